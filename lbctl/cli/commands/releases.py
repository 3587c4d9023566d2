"""Commands that start a release and steer it."""

import re
import shlex
from typing import Any

import click

from lbctl.cli.failure import Exit
from lbctl.cli.options import client, confirm, form_option, goal_option, reason_option, span_ms
from lbctl.cli.output import emit, tell
from lbctl.cli.steering import steer

Json = dict[str, Any]
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
PLAN_OPTIONS = (
    click.option("--to", type=click.Choice(["blue", "green"]), help="The pool to go to; else the other one."),
    click.option(
        "--version",
        multiple=True,
        metavar="V|SERVICE=V",
        help="What runs there, for people; else `unknown` is recorded. Of a unit: once for each service.",
    ),
    click.option("--steps", metavar="LIST", help="Rising shares that end at 100%: 5%,25%,50%,100%."),
    click.option("--hold", metavar="TIME", help="How long each step must be held at least: 2s, 10m."),
    click.option("--bake", metavar="TIME", help="Proving time at 100 %; else --hold where that is given."),
    click.option("--retain", metavar="TIME", help="How long the old pool stays warm afterwards."),
)
TIMES = ("hold", "bake", "retain")


def _plan_options(command: Any) -> Any:
    for option in reversed(PLAN_OPTIONS):
        command = option(command)
    return command


def _body(service: str, asked: Json) -> Json:
    steps, versions = asked.pop("steps"), asked.pop("version")
    split = None if steps is None else [part.strip() for part in steps.split(",")]
    return {"service": service, "steps": split, **asked, **_versions(versions)}


def _versions(given: tuple[str, ...]) -> Json:
    """Return the version of a service, or those of a unit by service."""
    pairs = [text.partition("=") for text in given]
    if all(equals and NAME.fullmatch(name) for name, equals, _ in pairs):
        versions = {name: version for name, _, version in pairs}
        if len(versions) < len(pairs):
            raise click.BadParameter("a service has one version", param_hint="--version")
        return {"version": None, "versions": versions or None}
    if len(given) > 1:
        raise click.BadParameter("of several services write SERVICE=VERSION for each", param_hint="--version")
    return {"version": given[0], "versions": None}


@click.command()
@click.argument("service", metavar="SERVICE|UNIT")
@_plan_options
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit 10 if it would go now, 5 if it would be refused or wait for what is not ready.",
)
@form_option
@click.pass_context
def plan(ctx: click.Context, /, service: str, detailed_exitcode: bool, form: str, **asked: Any) -> None:
    """What a switch would do, and what would stop it. Changes nothing, and exits 0 unless asked for details."""
    refused = _show_plan(ctx, _body(service, asked), form)
    if detailed_exitcode:
        ctx.exit(Exit.REFUSED if refused else Exit.CHANGES)


def _show_plan(ctx: click.Context, body: Json, form: str) -> bool:
    from lbctl.cli.screens.release import plan_screen

    data = client(ctx).post("/v1/plan", body)
    emit(data, form, lambda plan: plan_screen(plan, _switch_again(plan, body)))
    return bool(data["refusals"] or data["unready"])


def _switch_again(plan: Json, body: Json) -> str:
    """Return the switch that does what was planned, with the options that were given."""
    named = [f"{name}={version}" for name, version in (body["versions"] or {}).items()]
    versions = named or ([body["version"]] if body["version"] is not None else [])
    to = [] if len(plan["members"]) > 1 else [("--to", plan["to"])]
    steps = [("--steps", ",".join(body["steps"]))] if body["steps"] else []
    times = [(f"--{key}", body[key]) for key in TIMES if body.get(key) is not None]
    options = [*to, *(("--version", version) for version in versions), *steps, *times]
    return shlex.join(["lbctl", "switch", body["service"], *(word for option in options for word in option)])


@click.command()
@click.argument("service", metavar="SERVICE|UNIT")
@_plan_options
@click.option("--wait", "waiting", is_flag=True, help="Return when the bake has passed: 0, 20, 21 or 22.")
@goal_option("What --wait waits for; finished: also until the old pools are certified, or left unproven.")
@click.option("--timeout", metavar="TIME", help="For --wait: then exit 22; without it, wait for the end.")
@click.option("--dry-run", is_flag=True, help="Only show the plan, as `lbctl plan` does.")
@click.option("--unchecked", is_flag=True, help="Of a UNIT with contracts: you say that the versions fit.")
@click.option("--yes", is_flag=True, help="Accepted for scripts: a switch never asks.")
@reason_option
@form_option
@click.pass_context
def switch(
    ctx: click.Context,
    /,
    service: str,
    waiting: bool,
    goal: str,
    timeout: str | None,
    dry_run: bool,
    unchecked: bool,
    yes: bool,
    reason: str,
    form: str,
    **asked: Any,
) -> None:
    """Release SERVICE to its other pool, step by step; it goes back by itself when the new pool is worse.

    Of a UNIT all services go together, each from its claimed pool; a service of a unit does not go alone.
    With --wait, events go to stderr; Ctrl-C detaches and the release goes on.
    """
    del yes
    timeout_ms = None if timeout is None else span_ms(timeout, "--timeout")
    body = _body(service, asked)
    if dry_run:
        _show_plan(ctx, body, form)
        return
    data = client(ctx).post("/v1/releases", {**body, "unchecked": unchecked, "reason": reason})
    if waiting:
        from lbctl.cli.follow import follow_to_end

        tell(f"release {data['release']} of {service} started")
        ctx.exit(follow_to_end(client(ctx), data["service"], data["release"], goal, timeout_ms, form))
    from lbctl.cli.screens.release import started_screen

    emit(data, form, started_screen)


@click.command()
@click.argument("target", metavar="SERVICE|UNIT|RELEASE")
@reason_option
@form_option
@click.pass_context
def pause(ctx: click.Context, target: str, reason: str, form: str) -> None:
    """Hold a release where it is. Going back stays possible, also by itself."""
    steer(ctx, target, "pause", form, reason=reason)


@click.command()
@click.argument("target", metavar="SERVICE|UNIT|RELEASE")
@reason_option
@form_option
@click.pass_context
def resume(ctx: click.Context, target: str, reason: str, form: str) -> None:
    """End a pause, clear latched holds, and give a release without a go-token a new one.

    After a reboot with a dead journal a rollback may be forgotten: look at `lbctl why` first.
    """
    steer(ctx, target, "resume", form, reason=reason)


@click.command()
@click.argument("target", metavar="SERVICE|UNIT|RELEASE")
@click.option("--full", is_flag=True, help="To 100 % at once; asks first on a terminal.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@form_option
@click.pass_context
def promote(ctx: click.Context, target: str, full: bool, yes: bool, reason: str, form: str) -> None:
    """Go to the next step now: over time and missing evidence, never over a verdict against the candidate."""
    if full:
        confirm(f"Send all new traffic of {target} to the candidate now?", yes=yes)
    steer(ctx, target, "promote", form, full=full, reason=reason)


@click.command()
@click.argument("target", metavar="SERVICE|UNIT|RELEASE")
@click.option("--yes", is_flag=True, help="Accepted for scripts: a rollback never asks.")
@reason_option
@form_option
@click.pass_context
def rollback(ctx: click.Context, target: str, yes: bool, reason: str, form: str) -> None:
    """Go back now: works in every phase before the end, and never asks."""
    del yes
    steer(ctx, target, "rollback", form, reason=reason)
