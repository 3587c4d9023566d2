"""What `config render` prints: which instance, which services, who is active, and the text of the driver."""

import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from lbctl.cli.client import Client
from lbctl.cli.failure import Exit, Failure
from lbctl.config.fault import did_you_mean
from lbctl.config.settings import Config
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.route import Route
from lbctl.model.topology import EnvoyMode, Instance, Plane, RequestLog, Service
from lbctl.model.units import BP_FULL, percent

Active = Mapping[ServiceName, Colour]
WITHOUT_MAPS = (
    "HAProxy does not start without the map files: add `--write-maps --active SERVICE=COLOUR` to this very command, "
    "and it makes those that are missing"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says; `active` is what was given by hand."""

    driver: str
    instance: str | None
    active: Active
    write_maps: bool
    into: str | None = None
    """HAProxy's own config, to be printed with lbctl's rules in it."""


def given(texts: Sequence[str], config: Config) -> dict[ServiceName, Colour]:
    """Return what `--active SERVICE=COLOUR` says.

    Raises:
        UsageError: it is malformed.
        Failure: there is no such service.
    """
    active = {}
    for text in texts:
        name, _, colour = text.partition("=")
        if colour not in {*Colour}:
            raise click.UsageError(f"--active {text!r}: write SERVICE=blue or SERVICE=green")
        if ServiceName(name) not in config.topology.services:
            then = did_you_mean(name, config.topology.services)
            raise Failure(f"there is no service {name!r} in {config.path}", then=then, exit_code=Exit.NO_SUCH)
        active[ServiceName(name)] = Colour(colour)
    return active


def recorded(daemon: Client) -> dict[ServiceName, Colour]:
    """Return who is active by the daemon's record; nothing where no daemon can be asked."""
    try:
        services = daemon.get("/v1/status")["services"]
    except Failure as failure:
        if failure.exit_code != Exit.UNREACHABLE:
            raise
        return {}
    return {ServiceName(name): Colour(one["active"]) for name, one in services.items() if one["active"] is not None}


def rendered(config: Config, asked: Asked, record: Callable[[], Active]) -> tuple[str, Sequence[str]]:
    """Return the text, and what was written beside it.

    Raises:
        Failure: no such instance, nobody knows who is active, or the driver cannot say it.
    """
    plane, instance, services = chosen(config, asked.driver, asked.instance)
    attached = plane.envoy_mode is EnvoyMode.ATTACHED
    active: Active = {}
    if asked.write_maps or (asked.driver == "envoy" and not attached):
        active = _active(services, {**asked.active, **record()}, asked)
    try:
        if asked.driver == "envoy":
            return _attached(instance, services) if attached else _embedded(services, active), ()
        return _haproxy(instance, services, active, asked, plane.request_log)
    except Garbled as error:
        raise Failure(str(error), then=way_out(config.path, asked.into, str(error)), exit_code=Exit.CONFIG) from None
    except OSError as error:
        what = f"{error.filename or instance.directory} cannot be written: {error.strerror or error}"
        busy = error.errno == errno.EBUSY
        then = f"end it: fuser -v {instance.directory}" if busy else "run it as the user of lbctld"
        raise Failure(what, then=then, exit_code=Exit.REFUSED if busy else Exit.BUG) from None


def way_out(config: str, into: str | None, what: str) -> str:
    """Return what to do about a text that cannot be made."""
    if into:
        return f"change {into} there"
    if ".listen is needed" in what:
        return "or, where lbctl's rules are in a config of yours: --into /etc/haproxy/haproxy.cfg, which needs none"
    return f"lbctl config validate {config}"


def _attached(instance: Instance, services: Sequence[Service]) -> str:
    from lbctl.dataplane.envoy.layout import layout_of
    from lbctl.dataplane.envoy.proposal import proposal

    return proposal(instance.name, layout_of(instance), services)


def _embedded(services: Sequence[Service], active: Active) -> str:
    from lbctl.dataplane.envoy.render import render_static

    return render_static(services, {name: Route.all_to(colour) for name, colour in active.items()})


def _haproxy(
    instance: Instance, services: Sequence[Service], active: Active, asked: Asked, log: RequestLog | None
) -> tuple[str, Sequence[str]]:
    from lbctl.dataplane.haproxy.firstfiles import write_maps
    from lbctl.dataplane.haproxy.render import render
    from lbctl.dataplane.haproxy.statemap import map_path, read_file

    text, told = (
        (render(instance, services, log), ())
        if asked.into is None
        else merged_into(asked.into, instance, services, log)
    )
    if not asked.write_maps:
        return text, told if asked.into is None else [*told, WITHOUT_MAPS]
    wrote = write_maps(instance, services, active)
    return text, [
        *told,
        *(f"wrote {line}" for line in wrote),
        *_kept(map_path(instance), read_file(instance) or {}, active),
    ]


def merged_into(
    file: str, instance: Instance, services: Sequence[Service], log: RequestLog | None
) -> tuple[str, Sequence[str]]:
    """Return HAProxy's own config with lbctl's rules in it, and what people must know. Raises Failure, Garbled."""
    from lbctl.cli.importing import text_of, with_maps
    from lbctl.dataplane.haproxy.existing.merging import merged
    from lbctl.dataplane.haproxy.existing.sections import read
    from lbctl.dataplane.haproxy.existing.unmerging import unmerged

    own = unmerged(text_of(Path(file)))
    text, told = merged(own, with_maps(read([(Path(file).name, own)], {}, {})), instance, services, log)
    return text, ["compare it with your file, check it with `haproxy -c`, then reload", *told]


def _kept(path: Path, entries: Mapping[str, str], active: Active) -> Iterator[str]:
    """Yield what the file says of services that do not go to their active pool by it: it was there, so it stays."""
    from lbctl.dataplane.haproxy.statemap import parse_route

    for name, colour in active.items():
        said = parse_route(entries.get(name, ""))
        if said is not None and said.share_bp(colour) != BP_FULL:
            share = percent(said.share_bp(colour))
            yield f"kept {path}: {name} {said}, that is {share} to {colour}: what is there is never changed here"


def chosen(config: Config, driver: str, name: str | None) -> tuple[Plane, Instance, list[Service]]:
    """Return the instance, its plane and what it serves; with several, one must be named. Raises Failure."""
    planes = [plane for plane in config.topology.planes.values() if plane.driver.value == driver]
    found = {instance.name: (plane, instance) for plane in planes for instance in plane.instances}
    if not found:
        what = f"{config.path} has no {driver} data plane"
        raise Failure(what, then="lbctl config show FILE", exit_code=Exit.NO_SUCH)
    wanted = name or (next(iter(found)) if len(found) == 1 else "")
    if wanted in found:
        plane, instance = found[InstanceName(wanted)]
        return plane, instance, [one for one in config.topology.services.values() if one.plane == plane.name]
    what = f"there is no instance {wanted!r}" if wanted else f"there are {len(found)} instances: name one"
    raise Failure(what, then=f"--instance {' | '.join(sorted(found))}", exit_code=Exit.NO_SUCH)


def _active(services: Sequence[Service], known: Active, asked: Asked) -> Active:
    missing = [one.name for one in services if one.name not in known]
    if missing:
        options = " ".join(f"--active {name}=blue|green" for name in missing)
        why = "no daemon answers or it was not adopted, and a guess could send users to the wrong pool"
        what = f"which pool of {', '.join(missing)} is active is not known"
        raise Failure(what, why=why, then=f"add {options}", exit_code=Exit.REFUSED)
    return {one.name: known[one.name] for one in services}
