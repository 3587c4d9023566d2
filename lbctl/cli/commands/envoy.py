"""`lbctl envoy`: the Envoys of a config, those lbctl runs and those that others run."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from lbctl.cli.client import Client
from lbctl.cli.commands.config import loaded_config
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import confirm, form_option
from lbctl.cli.output import emit
from lbctl.model.topology import Driver, EnvoyMode, Instance, Service

Json = dict[str, Any]
file_option = click.option("--config", "file", metavar="FILE", required=True, help="The config of lbctld.")


@click.group()
def envoy() -> None:
    """The Envoys of a config: embedded ones run apart from lbctld, attached ones are run by others.

    Either way traffic goes on without lbctld.
    """


@envoy.command()
@file_option
@form_option
def start(file: str, form: str) -> None:
    """Start every embedded Envoy of FILE that does not run, and bring the files of those that do up to FILE."""
    from lbctl.dataplane.envoy import embedded

    found = _ours(loaded_config(file), "start")
    emit(_each(found, file, lambda one: embedded.start(one.instance, one.services, one.binary)), form, _lines)


@envoy.command()
@file_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@form_option
def stop(file: str, yes: bool, form: str) -> None:
    """End every embedded Envoy of FILE, and with it the traffic of its services. Asks first on a terminal.

    Refused while lbctld runs, which would start it again.
    """
    from lbctl.dataplane.envoy import embedded

    config = loaded_config(file)
    found = _ours(config, "stop")
    _refuse_beside_the_daemon(config)
    confirm(f"Stop Envoy, and with it the traffic of every service behind it in {file}?", yes=yes)
    emit(_each(found, file, lambda one: embedded.stop(one.instance)), form, _lines)


@envoy.command()
@file_option
@click.option("--active", metavar="SERVICE=COLOUR", multiple=True, help="Who is active, where nothing else says it.")
@form_option
def prepare(file: str, active: tuple[str, ...], form: str) -> None:
    """Make the files of every attached Envoy of FILE whole: missing and damaged ones, nothing else.

    For whoever starts Envoy, before each start. A route file comes back from its copy; where there is none, all
    traffic goes to the pool that is active by the running daemon or by --active (exit 5 without).
    """
    from lbctl.cli import rendering
    from lbctl.dataplane.envoy import attached
    from lbctl.dataplane.envoy.layout import layout_of

    config = loaded_config(file)
    known = {**rendering.given(active, config), **rendering.recorded(Client([config.daemon.control_socket]))}

    async def prepared(one: _One) -> _Prepared:
        did = attached.prepare(layout_of(one.instance), one.services, known)
        return _Prepared(f"the files of {one.instance.name} are whole", did)

    found = [one for one in _all(config) if one.attached]
    if not found:
        raise Failure(
            f"{file} has no attached Envoy", then=f"lbctl envoy start --config {file}", exit_code=Exit.REFUSED
        )
    emit(_each(found, file, prepared), form, _lines)


@envoy.command()
@file_option
@form_option
@click.pass_context
def status(ctx: click.Context, file: str, form: str) -> None:
    """Whether each Envoy of FILE runs and what lbctl misses in an attached one; exit 3 if one cannot be used."""
    from lbctl.dataplane.envoy import attached, embedded

    found = _each(
        _all(loaded_config(file)),
        file,
        lambda one: attached.status(one.instance, one.services) if one.attached else embedded.status(one.instance),
    )
    emit(found, form, _lines)
    ctx.exit(Exit.DONE if all(_is_usable(one) for one in found["instances"].values()) else Exit.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What was done to the files of one attached Envoy."""

    detail: str
    did: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _One:
    """One Envoy of the config, and what must be known of it."""

    instance: Instance
    services: Sequence[Service]
    binary: str | None
    attached: bool


def _all(config: Any) -> list[_One]:
    topology = config.topology
    found = []
    for plane in topology.planes.values():
        if plane.driver is Driver.ENVOY:
            services = [one for one in topology.services.values() if one.plane == plane.name]
            attached = plane.envoy_mode is EnvoyMode.ATTACHED
            found += [_One(instance, services, plane.envoy_binary, attached) for instance in plane.instances]
    if not found:
        then = f"lbctl config show {config.path}"
        raise Failure(f"{config.path} has no envoy data plane", then=then, exit_code=Exit.NO_SUCH)
    return found


def _ours(config: Any, verb: str) -> list[_One]:
    """Those that lbctl runs: an attached one is never started or stopped."""
    found = _all(config)
    ours = [one for one in found if not one.attached]
    if not ours:
        names = ", ".join(one.instance.name for one in found)
        why = "`mode: attached` says that others run it; lbctl only writes its files and reads its admin socket"
        then = f"{verb} it where it is run, as in `systemctl {verb} lbctl-envoy`"
        raise Failure(f"lbctl does not {verb} {names}", why=why, then=then, code="attached", exit_code=Exit.REFUSED)
    return ours


def _refuse_beside_the_daemon(config: Any) -> None:
    """A daemon that runs brings an embedded Envoy up again before anybody has noticed that it was gone."""
    who = "lbctld"
    try:
        who += f" (pid {Client([config.daemon.control_socket]).get('/v1/version')['pid']})"
    except Failure as failure:
        if failure.exit_code == Exit.UNREACHABLE:
            return
    why = f"{who} runs and would start Envoy again within 2 s"
    then = f"stop lbctld (traffic stays as it is), then lbctl envoy stop --config {config.path}"
    raise Failure("Envoy is not stopped", why=why, then=then, code="daemon_runs", exit_code=Exit.REFUSED)


def _each(found: Sequence[_One], file: str, ask: Callable[[_One], Awaitable[Any]]) -> Json:
    """Ask for each Envoy in turn; the first that cannot be helped ends it with what was said."""
    from lbctl.model.errors import LbctlError, Refused, Unreachable

    async def answers() -> Json:
        return {one.instance.name: asdict(await ask(one)) for one in found}

    try:
        return {"instances": asyncio.run(answers())}
    except Refused as error:
        raise Failure(error.what, why=error.why, then=error.then, exit_code=error.exit_code) from None
    except LbctlError as error:
        code = Exit.UNREACHABLE if isinstance(error, Unreachable) else Exit.BUG
        raise Failure(str(error), then=f"lbctl envoy status --config {file}", exit_code=code) from None


def _lines(found: Json) -> str:
    lines = []
    for one in found["instances"].values():
        lines.append(f"{'●' if _is_usable(one) else '-'} {one['detail']}")
        said = (*one["did"], *one.get("faults", ()), *one.get("lacks", ()))
        lines += [f"  {sentence}" for sentence in said if sentence not in one["detail"]]
    return "\n".join(lines)


def _is_usable(one: Json) -> bool:
    return bool(one.get("running", True)) and not one.get("faults")
