"""Commands about what a release leaves behind: its old pools, and the way back to them."""

from typing import Any

import click

from lbctl.cli.client import quoted
from lbctl.cli.failure import Exit
from lbctl.cli.options import client, form_option, reason_option, span_ms
from lbctl.cli.output import clean, emit, tell

Json = dict[str, Any]


@click.command()
@click.argument("target", metavar="RELEASE|SERVICE|UNIT")
@click.option("--service", help="Whose old pool; needed where a release has several services.")
@click.option(
    "--pool", type=click.Choice(["blue", "green"]), help="Another than the old one: that of a release that went back."
)
@click.option("--wait", "waiting", is_flag=True, help="Return when it is certified.")
@click.option("--timeout", metavar="TIME", help="For --wait: then exit 22, and list who is still there.")
@form_option
@click.pass_context
def retired(
    ctx: click.Context,
    target: str,
    service: str | None,
    pool: str | None,
    waiting: bool,
    timeout: str | None,
    form: str,
) -> None:
    """Whether the old pool is proved unused, so that it may be stopped: exit 0 with the certificate, 26 not yet.

    The certificate says who looked, what was counted and since when. Exit 5: it never will be, for this release.
    """
    from lbctl.cli.retiring import look, wait_certified
    from lbctl.cli.screens.retired import retired_screen

    if not waiting:
        found = look(client(ctx), target, service, pool)
        emit(found, form, retired_screen)
        ctx.exit(Exit.DONE if found["certified"] else Exit.REFUSED if found["final"] else Exit.WAITING)
    timeout_ms = None if timeout is None else span_ms(timeout, "--timeout")
    try:
        ended, found = wait_certified(client(ctx), target, service, timeout_ms, lambda text: tell(clean(text)), pool)
    except KeyboardInterrupt:
        tell(f"detached: the old pool is certified without this call; lbctl retired {target}")
        ctx.exit(Exit.INTERRUPTED)
    emit(found, form, retired_screen)
    ctx.exit(ended)


@click.command()
@click.argument("target", metavar="RELEASE")
@click.option("--service", required=True, help="Whose old pool is stopped.")
@reason_option
@form_option
@click.pass_context
def stopped(ctx: click.Context, target: str, service: str, reason: str, form: str) -> None:
    """Say that a certified old pool is stopped: then what only it called can be certified, too.

    Not needed where lbctl checks the servers themselves: it sees that they refuse connections.
    """
    from lbctl.cli.screens.release import changed_screen

    body = {"release": target, "reason": reason}
    emit(client(ctx).post(f"/v1/services/{quoted(service)}/stopped", body), form, changed_screen)


@click.command()
@click.argument("name", metavar="SERVICE|UNIT")
@click.option("--steps", metavar="LIST", help="Of a new release: rising shares that end at 100%.")
@click.option("--hold", metavar="TIME", help="Of a new release: how long each step must be held at least.")
@click.option("--bake", metavar="TIME", help="Of a new release: proving time at 100 %; else --hold.")
@click.option("--retain", metavar="TIME", help="Of a new release: how long the other pool stays warm afterwards.")
@click.option("--wait", "waiting", is_flag=True, help="Return when what served before serves again.")
@click.option("--timeout", metavar="TIME", help="For --wait: then exit 22; without it, wait for the end.")
@reason_option
@form_option
@click.pass_context
def undo(
    ctx: click.Context,
    /,
    name: str,
    steps: str | None,
    waiting: bool,
    timeout: str | None,
    reason: str,
    form: str,
    **times: Any,
) -> None:
    """Go back to what served before the last release.

    While the release runs and its old pool is not certified, that is a rollback. Afterwards, also after an end without
    a certificate, it is a new release of the recorded versions, with all checks: refused where they are not there any
    more; --steps 100% goes back in one step.
    """
    from lbctl.cli.retiring import begin_undo
    from lbctl.cli.screens.retired import undone_screen

    timeout_ms = None if timeout is None else span_ms(timeout, "--timeout")
    split = None if steps is None else [part.strip() for part in steps.split(",")]
    found = begin_undo(client(ctx), name, {"steps": split, **times, "reason": reason}, lambda text: tell(clean(text)))
    if not waiting:
        emit(found, form, undone_screen)
        return
    from lbctl.cli.follow import follow_to_end

    tell(clean(found["did"]))
    ended = follow_to_end(client(ctx), found["service"], found["release"], "baked", timeout_ms, form)
    went_back = found["phase"] == "rolling_back" and ended == Exit.BACK_BY_PERSON
    ctx.exit(Exit.DONE if went_back else ended)
