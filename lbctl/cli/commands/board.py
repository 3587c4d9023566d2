"""Commands of a pipeline: claim a pool, say that a version is ready, take it back."""

from typing import Any

import click

from lbctl.cli.client import quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import client, contract_options, form_option, reason_option, span_ms
from lbctl.cli.output import clean, emit, tell

Json = dict[str, Any]


@click.command()
@click.argument("service")
@click.option(
    "--wait", "waiting", is_flag=True, help="Return when it may be deployed to; also wait for a release's end."
)
@click.option("--timeout", metavar="TIME", help="For --wait: then exit 22.")
@click.option(
    "--build", metavar="URL", help="Whose claim it is: another build is refused, here and at `release ready`."
)
@click.option("--unit", help="What it will be said ready for: a wrong one is refused now, not after the deployment.")
@click.option("--give-back", is_flag=True, help="End it: the deployment failed. Only that of --build, or one's own.")
@click.option(
    "--take-over",
    is_flag=True,
    help="Although another has it, sessions are kept there (they move at once), or a known program is connected to it "
    "past the load balancers. First stop what may be deploying.",
)
@reason_option
@form_option
@click.pass_context
def claim(
    ctx: click.Context,
    service: str,
    waiting: bool,
    timeout: str | None,
    build: str | None,
    unit: str | None,
    give_back: bool,
    take_over: bool,
    reason: str,
    form: str,
) -> None:
    """Hold the idle pool of SERVICE to deploy to it, and print its colour once it is granted; until then exit 26.

    Until its release nothing reaches that pool, and what it calls through a pin is refused: check its health alone.
    Without --build it is the user's, and shared by all jobs of that user. While it is held and nothing is said to be
    ready, others are refused (`claimed`); --wait waits for that, too. What the service had on the board is withdrawn.
    """
    if give_back:
        if waiting or take_over or unit is not None or timeout is not None:
            raise click.UsageError("--give-back goes with --build and --reason alone")
        body = {"reason": reason, "build": build}
        emit(client(ctx).post(f"/v1/services/{quoted(service)}/give-back", body), form, _given_back)
        return
    body = {"reason": reason, "build": build, "unit": unit}
    timeout_ms = None if timeout is None else span_ms(timeout, "--timeout")
    if take_over:
        client(ctx).post(f"/v1/services/{quoted(service)}/take-over", {"reason": reason, "build": build})
    if waiting:
        ctx.exit(_wait(ctx, service, body, timeout_ms, form))
    data = client(ctx).post(f"/v1/services/{quoted(service)}/claim", body)
    if data["granted"] or form == "json":
        emit(data, form, lambda found: str(found["colour"]))
    if not data["granted"]:
        whose = "" if build is None else f" --build {build}"
        why = f"{data['colour']} is held, but {_lacks(ctx, service)}"
        tell(f"not granted yet, so do not deploy: {why}\n  next  lbctl claim {service}{whose} --wait")
        ctx.exit(Exit.WAITING)


def _given_back(data: Json) -> str:
    if not data["given_back"]:
        return f"{data['service']}   - nothing of it was claimed"
    return f"{data['service']}   ○ {data['colour']} is given back: the next build may claim it"


def _lacks(ctx: click.Context, service: str) -> str:
    """Return what a claim waits for, as the daemon sees it now. It is held, whatever becomes of this question."""
    try:
        found = client(ctx).get("/v1/status", service=service)["services"].get(service) or {}
    except Failure as failure:
        return f"what it waits for cannot be asked: {failure.what}"
    waits = (found.get("claim") or {}).get("waits")
    return str(waits or "not every load balancer reads back yet that nothing reaches it")


def _wait(ctx: click.Context, service: str, body: Json, timeout_ms: int | None, form: str) -> int:
    from lbctl.cli.claiming import wait_granted

    try:
        ended, found = wait_granted(client(ctx), service, body, timeout_ms, lambda text: tell(clean(text)))
    except KeyboardInterrupt:
        tell("detached: what was claimed stays claimed")
        return Exit.INTERRUPTED
    if ended is Exit.DONE or form == "json":
        emit(found, form, lambda data: str(data["colour"]))
    if ended is not Exit.DONE:
        tell(f"the time is over, and no pool of {service} is granted: lbctl status {service}")
    return ended


@click.command()
@click.argument("unit")
@click.option(
    "--service", required=True, help="Which service of the unit; of a service in no unit its own name, twice."
)
@click.option("--version", required=True, help="What was deployed, for people.")
@click.option("--build", required=True, metavar="URL", help="The build: `release wait --build` finds it by this.")
@contract_options
@reason_option
@form_option
@click.pass_context
def ready(
    ctx: click.Context,
    unit: str,
    service: str,
    version: str,
    build: str,
    provides: tuple[str, ...],
    requires: tuple[str, ...],
    reason: str,
    form: str,
) -> None:
    """Say that a version is deployed to the claimed pool: it goes with UNIT as soon as it fits. Repeating is fine."""
    body = {
        "unit": unit,
        "version": version,
        "build": build,
        "provides": list(provides),
        "requires": list(requires),
        "reason": reason,
    }
    emit(client(ctx).post(f"/v1/services/{quoted(service)}/ready", body), form, _ready)


def _ready(data: Json) -> str:
    going = data.get("release")
    stands = f"goes with release {going}" if going else f"ready in {data['unit']}"
    head = f"{data['service']} {data['version']}   ● {stands}"
    warning = f"\n  ! {data['warning']}: it is not released like that" if data.get("warning") else ""
    return f"{head}{warning}\n  follow   lbctl release wait --build {data['build']}"


@click.command()
@click.argument("unit")
@click.option("--service", required=True, help="Which service of the unit.")
@reason_option
@form_option
@click.pass_context
def withdraw(ctx: click.Context, unit: str, service: str, reason: str, form: str) -> None:
    """Take what a service has on the board of UNIT back. A release that runs is not touched."""
    data = client(ctx).post(f"/v1/services/{quoted(service)}/withdraw", {"unit": unit, "reason": reason})
    emit(data, form, _withdrawn)


def _withdrawn(data: Json) -> str:
    head = f"{data['service']}   - nothing of it is on the board of {data['unit']}"
    going, build = data.get("release"), data.get("build")
    if build:
        way = f"lbctl claim {data['service']} --give-back --build {build}"
        return f"{head}\n  claimed  by {build} still\n  let go   {way}"
    if not going:
        return head
    return f"{head}\n  {data['version']} goes with release {going}\n  stop it  lbctl rollback {going}"
