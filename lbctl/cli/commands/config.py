"""`lbctl config`: validate, show, schema, render, import. None of them needs a running daemon."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from lbctl.cli.client import Client
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import SOCKET, client, form_option, reason_option
from lbctl.cli.output import clean, emit, tell, write

Json = dict[str, Any]


@click.group()
def config() -> None:
    """Config files: check them, see all defaults, render what the load balancer needs."""


@config.command()
@click.argument("file")
@click.option("--no-secrets", is_flag=True, help="Do not read secrets: for a check where they are not at hand.")
@form_option
@click.pass_context
def validate(ctx: click.Context, file: str, no_secrets: bool, form: str) -> None:
    """Check FILE as lbctld would when you start it; print every fault with its place. Exit 4 if there is one.

    What the config names and this host does not have now (sockets, programs, servers that answer) is printed, too: that
    is no fault, it may come later. With --no-secrets nothing but the text is looked at.
    """
    from lbctl.config.fault import ConfigError
    from lbctl.config.live import look
    from lbctl.config.load import load

    try:
        loaded = load(file, uid=os.getuid(), environ=os.environ, read_secrets=not no_secrets)
    except ConfigError as error:
        _faults(error, file, form)
        ctx.exit(Exit.CONFIG)
    missing = [] if no_secrets else [fault.render(file) for fault in look(loaded)]
    warnings = (*loaded.warnings, *missing)
    for warning in warnings:
        tell(f"warning: {warning}")
    services = ", ".join(loaded.topology.services)
    found = {"file": file, "valid": True, "faults": [], "warnings": list(loaded.warnings), "missing": missing}
    found["digest"] = loaded.digest
    hints = f" ({_counted(warnings, 'warning')} above; no faults)" if warnings else ""
    emit(found, form, lambda _: f"● {clean(file)} is valid: {services}{hints}")


def _faults(error: Any, file: str, form: str) -> None:
    """Print every fault: for people as lines on stderr, for programs as data."""
    if form == "json":
        faults = [
            {"line": one.mark.line, "column": one.mark.column, "path": one.path, "what": one.what, "then": one.then}
            for one in error.faults
        ]
        write(json.dumps({"file": file, "valid": False, "faults": faults, "warnings": []}, indent=2))
    else:
        tell(error.render())
        tell(f"error: {file} is not valid: {_counted(error.faults, 'fault')}")


def _counted(found: Sequence[Any], word: str) -> str:
    return f"{len(found)} {word}{'s' if len(found) != 1 else ''}"


def loaded_config(file: str) -> Any:
    """Return the config at `file` without its secrets, warnings told.

    Raises:
        Failure: it is not valid; every fault was told.
    """
    from lbctl.config.fault import ConfigError
    from lbctl.config.load import load

    try:
        found = load(file, uid=os.getuid(), environ=os.environ, read_secrets=False)
    except ConfigError as error:
        tell(error.render())
        raise Failure(f"{file} is not valid", then=f"lbctl config validate {file}", exit_code=Exit.CONFIG) from None
    for warning in found.warnings:
        tell(f"warning: {warning}")
    return found


@config.command()
@click.argument("file", required=False)
@form_option
@click.pass_context
def show(ctx: click.Context, file: str | None, form: str) -> None:
    """The whole config with all defaults, without secrets: of FILE, else of the running daemon."""
    from lbctl.config.show import config_text

    text = client(ctx).text("/v1/config") if file is None else config_text(loaded_config(file))
    if form == "json":
        import yaml

        write(json.dumps(yaml.safe_load(text), indent=2))
    else:
        write("\n".join(str(clean(line)) for line in text.rstrip().splitlines()))


@config.command()
@reason_option
@form_option
@click.pass_context
def reload(ctx: click.Context, reason: str, form: str) -> None:
    """Have the running daemon take its config file anew, whole or not at all; exit 4 and the reason if it is refused.

    `systemctl reload lbctl` does the same. What cannot change while lbctl runs needs a restart, which moves no traffic.
    """
    emit(client(ctx).post("/v1/config/reload", {"reason": reason}), form, _reloaded)


def _reloaded(data: Json) -> str:
    return f"● {clean(data['config'])} is in force: {', '.join(map(str, data['services']))}"


@config.command()
def schema() -> None:
    """A JSON Schema of the config, for editors."""
    from lbctl.config.json_schema import json_schema

    write(json.dumps(json_schema(), indent=2))


@config.command(name="import")
@click.argument("files", metavar="HAPROXY.CFG…", nargs=-1, required=True)
@click.option("--only", metavar="BACKEND", multiple=True, help="Propose these backends, and no others.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A variable of HAProxy's own environment.")
@click.option(
    "--assume", metavar="CONDITION=yes|no", multiple=True, help="What an `.if` means that only HAProxy knows."
)
@click.option("--master-socket", metavar="PATH", help="What HAProxy's -S names.  [default: Debian's, if it is here]")
@click.option("--map-dir", metavar="PATH", default="/var/lib/lbctl/haproxy", show_default=True, help="For map files.")
@form_option
@click.pass_context
def import_(
    ctx: click.Context,
    files: tuple[str, ...],
    only: tuple[str, ...],
    env: tuple[str, ...],
    assume: tuple[str, ...],
    master_socket: str | None,
    map_dir: str,
    form: str,
) -> None:
    """Propose a config for an HAProxy that is there already, from its config files. Nothing is changed.

    The proposal goes to stdout, every key with its reason and the line it comes from. What only a person can know is
    marked FILL IN, listed on stderr, and ends with exit 4; else `config validate` takes it as it is. Several files, or
    a directory, are read as HAProxy reads them.
    """
    from lbctl.cli import importing

    document = importing.document_of(files, env, assume)
    master = importing.found_master_socket() if master_socket is None else master_socket
    found = importing.proposed(document, only, " ".join(files), master, map_dir)
    if form == "json":
        write(json.dumps(found, indent=2))
    else:
        write(found["config"].rstrip("\n"))
        tell(importing.report(found))
    ctx.exit(Exit.DONE if found["complete"] and found["services"] else Exit.CONFIG)


@config.command()
@click.argument("driver", metavar="haproxy|envoy", type=click.Choice(["haproxy", "envoy"]))
@click.option("--config", "file", metavar="FILE", required=True, help="The config of lbctld.")
@click.option("--instance", metavar="NAME", help="Which load balancer, where the config has several of this kind.")
@click.option("--active", metavar="SERVICE=COLOUR", multiple=True, help="Who is active, where no daemon can say it.")
@click.option("--into", metavar="HAPROXY.CFG", help="haproxy: print this file with lbctl's rules put into it.")
@click.option("--write-maps", is_flag=True, help="haproxy: also make missing map files, 100 % on the active pool.")
@click.option(
    "--freeze", metavar="DIR", help="To go on without lbctl: copy the split as it is into this new directory."
)
@click.pass_context
def render(
    ctx: click.Context,
    driver: str,
    file: str,
    instance: str | None,
    active: tuple[str, ...],
    into: str | None,
    write_maps: bool,
    freeze: str | None,
) -> None:
    """Print the load balancer's configuration for FILE, as `haproxy -c` or `envoy --mode validate` takes it.

    Which pool is active comes from the running daemon of FILE, else from --active; an embedded envoy, and haproxy
    with --write-maps, need it (exit 5 without). For an attached envoy it is a bootstrap with comments, whose files
    `lbctl envoy prepare` makes. What --write-maps wrote is told on stderr.

    With --freeze what is printed reads its split from copies in DIR, which nobody moves: it goes on as it is when
    lbctl is removed, also in mid-release. It needs no daemon. Where lbctl's rules are in a config of yours, give that
    as --into, too.

    With --into HAProxy's own config is printed as it is, with lbctl's rules where its frontends chose the services'
    backends, and with the backends that are missing. The file itself is not changed.
    """
    from lbctl.cli import frozen, rendering

    if write_maps and driver != "haproxy":
        raise click.UsageError("--write-maps is for haproxy; Envoy's files are made by `lbctl envoy prepare` or start")
    if into and driver != "haproxy":
        raise click.UsageError("--into is for haproxy")
    found = loaded_config(file)
    if freeze is not None:
        if write_maps or active:
            raise click.UsageError("--freeze copies what is there: --write-maps and --active do not go with it")
        _told(*frozen.frozen(found, driver, instance, Path(freeze), into))
        return
    asked = rendering.Asked(driver, instance, rendering.given(active, found), write_maps, into)
    _told(*rendering.rendered(found, asked, lambda: rendering.recorded(_daemon_of(ctx, found))))


def _told(text: str, told: Sequence[str]) -> None:
    for line in told:
        tell(line)
    write(text.rstrip("\n"))


def _daemon_of(ctx: click.Context, config: Any) -> Client:
    """Return a client of the daemon that runs this config: another one's record must not be taken for its own."""
    if ctx.meta.get(SOCKET) or os.environ.get("LBCTL_SOCKET"):
        return client(ctx)
    return Client([config.daemon.control_socket])
