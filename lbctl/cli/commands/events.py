"""Commands that follow what happens."""

import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import click

from lbctl.cli.client import Client
from lbctl.cli.options import client, form_option
from lbctl.cli.output import clean, painted, tell, write

Json = dict[str, Any]
REDRAW_S = 1.0
RECENT = 8
CLEAR = "\x1b[H\x1b[2J"


@click.command()
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@click.option(
    "-n", "--lines", type=click.IntRange(1, 1_000), default=50, show_default=True, help="Newest events first shown."
)
@click.option("--after", type=click.IntRange(0), help="Instead: everything after this event id.")
@form_option
@click.pass_context
def events(ctx: click.Context, service: str | None, follow: bool, lines: int, after: int | None, form: str) -> None:
    """What happened, oldest first, one line each; with -o json one object a line."""
    last = after or 0
    for event in _stored(client(ctx), service, lines, after):
        _print(event, form)
        last = int(event["id"])
    if follow:
        _follow(client(ctx), service, last, form)


def _stored(daemon: Client, service: str | None, lines: int, after: int | None) -> Iterator[Json]:
    if after is None:
        yield from daemon.get("/v1/events", service=service, tail=lines)["events"]
        return
    while page := daemon.get("/v1/events", service=service, after=after, limit=1_000)["events"]:
        yield from page
        after = int(page[-1]["id"])


def _follow(daemon: Client, service: str | None, last: int, form: str) -> None:
    for kind, event in daemon.follow("/v1/events", follow=1, after=last, service=service):
        if kind == "resync":
            tell("some events were missed here: this reader was too slow; see lbctl events --after ID")
        else:
            _print(event, form)


def _print(event: Json, form: str) -> None:
    from lbctl.cli.screens.lines import event_line

    write(json.dumps(event) if form == "json" else painted(event_line(clean(event))))


@click.command()
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@click.option("--plain", is_flag=True, help="One line per event, as without a terminal.")
@form_option
@click.pass_context
def watch(ctx: click.Context, service: str | None, plain: bool, form: str) -> None:
    """Follow live: the status redrawn each second on a terminal, else one line per event. Ctrl-C ends.

    Without a terminal it begins with the newest events; `lbctl status` has the state itself.
    """
    daemon = client(ctx)
    if plain or form == "json" or not sys.stdout.isatty():
        _plain(daemon, service, form)
    else:
        _redraw(daemon, service)


def _plain(daemon: Client, service: str | None, form: str) -> None:
    recent = daemon.get("/v1/events", service=service, tail=RECENT)["events"]
    for event in recent:
        _print(event, form)
    _follow(daemon, service, int(recent[-1]["id"]) if recent else 0, form)


def _redraw(daemon: Client, service: str | None) -> None:
    from lbctl.cli.screens.lines import event_line
    from lbctl.cli.screens.status import status_screen

    while True:
        status = clean(daemon.get("/v1/status", service=service))
        recent = clean(daemon.get("/v1/events", service=service, tail=RECENT)["events"])
        lines = [status_screen(status), "", *(event_line(one) for one in recent)]
        sys.stdout.write(CLEAR)
        write(painted("\n".join(lines)))
        time.sleep(REDRAW_S)
