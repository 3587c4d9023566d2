"""What commands share: the daemon they speak to, the form of the output, the reason, durations, a question."""

import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from lbctl.cli.client import Client
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.sockets import candidates

Command = TypeVar("Command", bound=Callable[..., Any])
SOCKET = "lbctl.socket"
JSON = "lbctl.json"


def client(ctx: click.Context) -> Client:
    """Return a client of the daemon this command line means."""
    found = candidates(ctx.meta.get(SOCKET), os.getuid(), os.environ)
    return Client(found.paths, found.skipped)


def _short(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[JSON] = value


def _chosen(ctx: click.Context, _: click.Parameter, value: str) -> str:
    return "json" if ctx.meta.get(JSON) else value


def form_option(command: Command) -> Command:
    """Add `-o table|json` and `--json`; the command gets `form`."""
    form = click.Choice(["table", "json"])
    text = "Form of the output."
    long = click.option(
        "-o", "--output", "form", type=form, default="table", show_default=True, callback=_chosen, help=text
    )
    short = click.option(
        "--json", is_flag=True, is_eager=True, expose_value=False, callback=_short, help="Short for -o json."
    )
    return long(short(command))


def reason_option(command: Command) -> Command:
    """Add `--reason`; the command gets `reason`, empty if none was given."""
    return click.option("--reason", default="", metavar="TEXT", help="Why, for people: stored and told.")(command)


def goal_option(about: str) -> Callable[[Command], Command]:
    """Return what adds `--for started|baked|finished`, explained as `about`; the command gets `goal`."""
    goals = click.Choice(["started", "baked", "finished"])
    return click.option("--for", "goal", type=goals, default="baked", show_default=True, help=about)


def contract_options(command: Command) -> Command:
    """Add `--provides` and `--requires`; the command gets tuples of texts. The daemon reads them."""
    provides = click.option(
        "--provides", multiple=True, metavar="NAME=N", help="What it offers its consumers; several are a set."
    )
    requires = click.option(
        "--requires", multiple=True, metavar="NAME>=N,<M", help="What it needs of a provider: =, !=, <, <=, >, >=."
    )
    return provides(requires(command))


def span_ms(text: str, option: str) -> int:
    """Return the milliseconds of a duration.

    Raises:
        BadParameter: it is none; `option` is named.
    """
    from lbctl.config.quantity import parse_span

    try:
        return parse_span(text)
    except ValueError as error:
        raise click.BadParameter(f"{error}; write it like 500ms, 2m or 1h30m", param_hint=option) from None


def confirm(question: str, *, yes: bool) -> None:
    """Ask, where a person sits at a terminal; a script meant what it wrote. `yes`: do not ask at all.

    Raises:
        Failure: the answer was no.
    """
    if yes or not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    if not click.confirm(question, err=True):
        raise Failure("nothing was changed", why="the answer was no", code="declined", exit_code=Exit.REFUSED)
