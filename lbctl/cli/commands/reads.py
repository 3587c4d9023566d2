"""Commands that only read."""

import sys
from typing import Any

import click

from lbctl.cli.client import quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import client, form_option
from lbctl.cli.output import emit, tell


@click.command()
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@form_option
@click.pass_context
def status(ctx: click.Context, service: str | None, form: str) -> None:
    """What serves now, what moves, why it waits, what happens next, how to stop it."""
    from lbctl.cli.screens.status import status_screen

    data = client(ctx).get("/v1/status", service=service)
    emit(data, form, lambda found: status_screen(found, servers=service is not None))


@click.command()
@click.argument("target", metavar="SERVICE|UNIT|RELEASE")
@form_option
@click.pass_context
def why(ctx: click.Context, target: str, form: str) -> None:
    """Why a release waits: what, since when, what it needs, its deadline, and what happens then."""
    from lbctl.cli.screens.release import why_screen

    emit(client(ctx).get(f"/v1/why/{quoted(target)}"), form, why_screen)


@click.command()
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@click.option("-n", "--limit", type=click.IntRange(1, 1_000), default=50, show_default=True, help="At most so many.")
@form_option
@click.pass_context
def history(ctx: click.Context, service: str | None, limit: int, form: str) -> None:
    """Past releases, newest first."""
    from lbctl.cli.screens.release import releases_screen

    emit(client(ctx).get("/v1/history", service=service, limit=limit), form, releases_screen)


@click.command()
@click.argument("release", metavar="SERVICE|UNIT|RELEASE")
@form_option
@click.pass_context
def explain(ctx: click.Context, release: str, form: str) -> None:
    """Every decision of a release with its numbers."""
    from lbctl.cli.screens.release import explain_screen

    emit(client(ctx).get(f"/v1/explain/{quoted(release)}"), form, explain_screen)


@click.command()
@form_option
@click.pass_context
def version(ctx: click.Context, form: str) -> None:
    """Versions of lbctl and, if it answers, of the daemon."""
    from lbctl.about import VERSION

    data: dict[str, Any] = {"lbctl": VERSION, "python": sys.version.split()[0], "daemon": None}
    try:
        data["daemon"] = client(ctx).get("/v1/version")
    except Failure as failure:
        if failure.exit_code != Exit.UNREACHABLE:
            raise
        tell(f"{failure.what}: {failure.why}")
    emit(data, form, _versions)


def _versions(data: dict[str, Any]) -> str:
    daemon = data["daemon"]
    lines = [f"lbctl   {data['lbctl']}   python {data['python']}"]
    lines += [f"lbctld  {daemon['version']}   pid {daemon['pid']}   {daemon['config']}"] if daemon else []
    return "\n".join(lines)
