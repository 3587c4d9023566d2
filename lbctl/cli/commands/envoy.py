"""`lbctl envoy`: the embedded Envoy of a config."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import click

from lbctl.cli.commands.config import loaded_config
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import confirm, form_option
from lbctl.cli.output import emit
from lbctl.model.topology import Driver, Instance, Service

Json = dict[str, Any]
file_option = click.option("--config", "file", metavar="FILE", required=True, help="The config of lbctld.")


@click.group()
def envoy() -> None:
    """The embedded Envoy of a config: it runs apart from lbctld, and traffic goes on without lbctld."""


@envoy.command()
@file_option
@form_option
def start(file: str, form: str) -> None:
    """Start every Envoy of FILE that does not run, and bring the files of those that do up to FILE."""
    from lbctl.dataplane.envoy import embedded

    emit(_each(file, lambda one: embedded.start(one.instance, one.services, one.binary)), form, _lines)


@envoy.command()
@file_option
@click.option("--yes", is_flag=True, help="Do not ask.")
@form_option
def stop(file: str, yes: bool, form: str) -> None:
    """End every Envoy of FILE, and with it the traffic of its services. Asks first on a terminal."""
    from lbctl.dataplane.envoy import embedded

    confirm(f"Stop Envoy, and with it the traffic of every service behind it in {file}?", yes=yes)
    emit(_each(file, lambda one: embedded.stop(one.instance)), form, _lines)


@envoy.command()
@file_option
@form_option
@click.pass_context
def status(ctx: click.Context, file: str, form: str) -> None:
    """Whether each Envoy of FILE runs; exit 3 if one does not."""
    from lbctl.dataplane.envoy import embedded

    found = _each(file, lambda one: embedded.status(one.instance))
    emit(found, form, _lines)
    ctx.exit(Exit.DONE if all(one["running"] for one in found["instances"].values()) else Exit.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class _One:
    """One Envoy of the config: what `embedded` must be told."""

    instance: Instance
    services: Sequence[Service]
    binary: str | None


def _all(file: str) -> list[_One]:
    topology = loaded_config(file).topology
    found = []
    for plane in topology.planes.values():
        if plane.driver is Driver.ENVOY:
            services = [one for one in topology.services.values() if one.plane == plane.name]
            found += [_One(instance, services, plane.envoy_binary) for instance in plane.instances]
    if not found:
        raise Failure(f"{file} has no envoy data plane", then=f"lbctl config show {file}", exit_code=Exit.NO_SUCH)
    return found


def _each(file: str, ask: Callable[[_One], Awaitable[Any]]) -> Json:
    """Ask for each Envoy in turn; the first that cannot be helped ends it with what was said."""
    from lbctl.model.errors import LbctlError, Refused, Unreachable

    async def answers() -> Json:
        return {one.instance.name: asdict(await ask(one)) for one in _all(file)}

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
        lines.append(f"{'●' if one['running'] else '-'} {one['detail']}")
        lines += [f"  {sentence}" for sentence in one["did"] if sentence not in one["detail"]]
    return "\n".join(lines)
