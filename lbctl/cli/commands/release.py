"""`lbctl release`: ready, withdraw, wait, status, list, show, stopped, approve, cancel."""

import click

from lbctl.cli.client import quoted
from lbctl.cli.commands.board import ready, withdraw
from lbctl.cli.commands.retiring import stopped
from lbctl.cli.options import client, confirm, form_option, goal_option, reason_option, span_ms
from lbctl.cli.output import emit
from lbctl.cli.steering import steer
from lbctl.model.record import Phase


@click.group()
def release() -> None:
    """Say what is ready, and follow releases. TARGET is a number, or a service or unit: its running or last release."""


release.add_command(ready)
release.add_command(withdraw)
release.add_command(stopped)


@release.command()
@click.argument("target")
@form_option
@click.pass_context
def status(ctx: click.Context, target: str, form: str) -> None:
    """Where a release is, in one line."""
    from lbctl.cli.screens.release import summary

    data = client(ctx).get(f"/v1/releases/{quoted(target)}")
    emit(data, form, lambda found: summary(found["release"]))


@release.command()
@click.argument("target")
@form_option
@click.pass_context
def show(ctx: click.Context, target: str, form: str) -> None:
    """One release with its plan, holds and newest events."""
    from lbctl.cli.screens.release import release_screen

    emit(client(ctx).get(f"/v1/releases/{quoted(target)}"), form, release_screen)


@release.command("list")
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@form_option
@click.pass_context
def list_(ctx: click.Context, service: str | None, form: str) -> None:
    """The running or last release of each service or unit; `lbctl history` has the older ones."""
    from lbctl.cli.screens.release import releases_screen

    emit(client(ctx).get("/v1/releases", service=service), form, releases_screen)


@release.command()
@click.argument("target", required=False)
@click.option("--build", metavar="URL", help="Instead of TARGET: the build that was said to be ready.")
@goal_option("started: traffic moves. baked: proved at 100 %. finished: the old pool was released.")
@click.option("--timeout", metavar="TIME", help="Then exit 22 or 26; without it, wait for the end.")
@form_option
@click.pass_context
def wait(ctx: click.Context, target: str | None, build: str | None, goal: str, timeout: str | None, form: str) -> None:
    """Wait for a release. Exit 0 reached, 20 back by itself, 21 by a person or cancelled (also by a deadline:
    nothing of it goes again by itself), 22 time-out, 23 time-out while it waits for approval.

    With --build also while it stands on the board: 25 a newer build took its place, 26 time-out before it went,
    for want of a partner or in a freeze window. Ctrl-C detaches; the release goes on.
    """
    from lbctl.cli.follow import follow_build, follow_to_end

    if (target is None) == (build is None):
        raise click.UsageError("name a release, service or unit, or give --build URL")
    timeout_ms = None if timeout is None else span_ms(timeout, "--timeout")
    if build is not None:
        ctx.exit(follow_build(client(ctx), build, goal, timeout_ms, form))
    found = client(ctx).get(f"/v1/releases/{quoted(str(target))}")["release"]
    ctx.exit(follow_to_end(client(ctx), found["service"], found["id"], goal, timeout_ms, form))


@release.command()
@click.argument("target")
@reason_option
@form_option
@click.pass_context
def approve(ctx: click.Context, target: str, reason: str, form: str) -> None:
    """Approve a release before its first traffic. Nobody approves what they said is ready, or switched, themselves."""
    steer(ctx, target, "approve", form, reason=reason)


@release.command()
@click.argument("target")
@click.option("--yes", is_flag=True, help="Do not ask.")
@reason_option
@form_option
@click.pass_context
def cancel(ctx: click.Context, target: str, yes: bool, reason: str, form: str) -> None:
    """End a release: before first traffic at once, afterwards as a rollback; asks first on a terminal, if it is one."""
    found = client(ctx).get(f"/v1/releases/{quoted(target)}")["release"]
    if not Phase(found["phase"]).unmoved and not Phase(found["phase"]).ended:
        way = f"{found['from']} again, as `lbctl rollback {found['id']}` does"
        confirm(f"Release {found['id']} has had traffic: bring all new traffic to {way}?", yes=yes)
    steer(ctx, target, "cancel", form, reason=reason)
