"""What all commands share: the socket, the form of the output, the reason, durations."""

import json
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import click

from lbctl.cli.client import Client
from lbctl.cli.sockets import candidates
from lbctl.cli.words import Json, clean, tint

Command = TypeVar("Command", bound=Callable[..., Any])
SOCKET_KEY = "lbctl.socket"
FORM_KEY = "lbctl.form"
FORMS = ("table", "json")


def client() -> Client:
    """Return a client of the daemon this command line means."""
    given = click.get_current_context().meta.get(SOCKET_KEY)
    return Client(candidates(given, os.getuid(), os.environ))


def show(data: Json, table: Callable[[Json], Iterable[str]]) -> None:
    """Print data as JSON if that was asked for, else as the lines `table` makes of it, on stdout."""
    if wants_json():
        print(json.dumps(data, indent=2))
    else:
        for line in table(clean(data)):
            say(line)


def wants_json() -> bool:
    """Whether this command shall print JSON."""
    return click.get_current_context().meta.get(FORM_KEY) == "json"


def say(line: str) -> None:
    """Print one line for people on stdout, in colour where that is wanted and possible."""
    print(tint(line) if _in_colour() else line)


def tell(line: str) -> None:
    """Print one line on stderr at once: progress and notes, never data."""
    print(line, file=sys.stderr, flush=True)


def _in_colour() -> bool:
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and sys.stdout.isatty()


def _form(context: click.Context, parameter: click.Parameter, value: Any) -> None:
    """Remember the form; `--json` is short for `-o json`, and an option not given changes nothing."""
    if value:
        context.meta[FORM_KEY] = "json" if value is True else value


def readable(command: Command) -> Command:
    """Add `-o table|json` and `--json`."""
    choice = click.Choice(FORMS)
    short = click.option("--json", is_flag=True, expose_value=False, callback=_form, help="Short for -o json.")
    long = click.option(
        "-o", "--output", type=choice, expose_value=False, callback=_form, help="Form of the output; default: table."
    )
    return long(short(command))


def reasoned(command: Command) -> Command:
    """Add `--reason`."""
    return click.option("--reason", metavar="TEXT", help="Why: stored in the journal and told to people.")(command)


class Duration(click.ParamType):
    """A duration as the config writes it; the value stays text, so that the daemon reads what was written."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text if it is a duration."""
        milliseconds(str(value), lambda fault: self.fail(fault, param, ctx))
        return str(value)


def milliseconds(text: str, fail: Callable[[str], Any] | None = None) -> int:
    """Return the milliseconds of a duration; `fail` gets the sentence that says why it is none."""
    from lbctl.config.quantity import parse_span

    try:
        return parse_span(text)
    except ValueError as error:
        if fail is None:
            raise
        return int(fail(f"{error}; write it like 500ms, 2m or 1h30m") or 0)


DURATION = Duration()
