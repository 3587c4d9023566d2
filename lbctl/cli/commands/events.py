"""Commands that follow what happens."""

import json
import time
from collections.abc import Iterator
from typing import Any

import click

from lbctl.cli.client import Client
from lbctl.cli.options import client, form_option, span_ms
from lbctl.cli.output import clean, emit, on_screen, painted, tell, write

Json = dict[str, Any]
RECENT = 8
INTERVAL_MIN_MS, INTERVAL_MAX_MS = 500, 60_000


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
    """Follow live: the status and the newest events on a terminal, else one line per event. Ctrl-C ends.

    On a terminal p pauses, r resumes and b rolls back what is shown, each after a question; q quits. Without one it
    begins with the newest events; `lbctl status` has the state itself.
    """
    daemon = client(ctx)
    if plain or form == "json" or not on_screen():
        _plain(daemon, service, form)
        return
    from lbctl.cli.live.watching import watch as follow_on_screen

    follow_on_screen(daemon, service)


@click.command()
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@click.option("--interval", default="2s", show_default=True, metavar="DURATION", help="Rates are over so long.")
@form_option
@click.pass_context
def top(ctx: click.Context, service: str | None, interval: str, form: str) -> None:
    """Pools and servers by what they do now: requests and errors per second, in flight, sessions.

    Live on a terminal (s sorts, q quits); else once, after one interval.
    """
    from lbctl.cli.live.servers import Look, screen
    from lbctl.cli.live.servers import top as compared

    daemon, every_s = client(ctx), _interval_s(interval)

    def look() -> Look:
        return Look(clean(daemon.get("/v1/status", service=service)), time.monotonic())

    if form == "table" and on_screen():
        from lbctl.cli.live.topping import follow

        follow(look, every_s)
        return
    before = look()
    time.sleep(every_s)
    emit(compared(before, look()), form, lambda found: "\n".join(screen(found)))


def _interval_s(text: str) -> float:
    span = span_ms(text, "--interval")
    if not INTERVAL_MIN_MS <= span <= INTERVAL_MAX_MS:
        raise click.BadParameter("an interval lies within 500ms and 1m", param_hint="--interval")
    return span / 1_000


def _plain(daemon: Client, service: str | None, form: str) -> None:
    recent = daemon.get("/v1/events", service=service, tail=RECENT)["events"]
    for event in recent:
        _print(event, form)
    _follow(daemon, service, int(recent[-1]["id"]) if recent else 0, form)
