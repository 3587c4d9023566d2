"""`plan` and `switch`: what a release would do, and starting it."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from lbctl.cli.failure import EXIT_CHANGES, EXIT_OK, EXIT_REFUSED
from lbctl.cli.options import DURATION, client, milliseconds, readable, reasoned, show, tell, wants_json
from lbctl.cli.planview import plan_lines
from lbctl.cli.verbs import COLOURS
from lbctl.cli.wait import Goal, wait_for
from lbctl.cli.words import Json, clean, share

Command = TypeVar("Command", bound=Callable[..., Any])


def _planned(command: Command) -> Command:
    """Add the options a plan is made of; what is left out comes from the config."""
    for option in (
        click.option("--retain", type=DURATION, metavar="D", help="How long the old pool stays warm afterwards."),
        click.option("--bake", type=DURATION, metavar="D", help="How long it stays at 100 %; default: as --hold."),
        click.option("--hold", type=DURATION, metavar="D", help="Shortest time at each step."),
        click.option("--steps", metavar="LIST", help="Rising shares that end at 100%, like 5%,25%,50%,100%."),
        click.option("--version", metavar="V", help="What runs on the candidate; default: unknown."),
        click.option("--to", type=COLOURS, help="The candidate; default: the colour that is not active."),
        click.argument("service"),
    ):
        command = option(command)
    return command


def _body(service: str, given: dict[str, str | None]) -> Json:
    """Return the request; `--bake` follows `--hold` where only that is given."""
    steps = given["steps"]
    listed = None if steps is None else [part.strip() for part in steps.split(",")]
    return {"service": service, **given, "steps": listed, "bake": given["bake"] or given["hold"]}


@click.command()
@_planned
@click.option("--detailed-exitcode", is_flag=True, help="Exit 10 if the release could start now, 5 if it is refused.")
@readable
def plan(service: str, detailed_exitcode: bool, **given: str | None) -> int:
    """Say what a release would do now, and what stops it. Changes nothing.

    Exits 0 whether or not it could start, so that the plan can always be read; scripts add --detailed-exitcode.
    """
    return _plan(_body(service, given), detailed_exitcode)


def _plan(body: Json, detailed: bool) -> int:
    answer = client().post("plan", body=body)
    show(answer, plan_lines)
    if not detailed:
        return EXIT_OK
    return EXIT_REFUSED if answer["refusals"] else EXIT_CHANGES


@click.command()
@_planned
@click.option("--dry-run", is_flag=True, help="Only say what it would do: as `lbctl plan`.")
@click.option("--wait", is_flag=True, help="Return when the release is baked or went back, as `lbctl release wait`.")
@click.option("--timeout", type=DURATION, metavar="D", help="With --wait: give up after this time; exit 22.")
@reasoned
@readable
def switch(
    service: str, dry_run: bool, wait: bool, timeout: str | None, reason: str | None, **given: str | None
) -> int:
    """Start a release: move the traffic of SERVICE to its other pool, step by step.

    Exits 5 if it is refused. With --wait: 0 baked, 20 it went back by itself, 21 a person took it back, 22 time-out.
    Ctrl-C while waiting leaves the release running.
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout needs --wait")
    body = _body(service, given)
    if dry_run:
        return _plan(body, detailed=False)
    asked = client()
    started = asked.post("releases", body={**body, "reason": reason})
    if not wait:
        show(started, _started)
        return EXIT_OK
    for line in _started(clean(started)):
        tell(line)
    limit_s = None if timeout is None else milliseconds(timeout) / 1000
    return wait_for(asked, str(started["release"]), Goal.BAKED, limit_s, as_json=wants_json(), from_start=True)


def _started(answer: Json) -> list[str]:
    steps = " → ".join(share(step) for step in answer.get("steps_bp", []))
    number = answer["release"]
    return [
        f"● release {number} of {answer['service']} started: {answer['from']} → {answer['to']}, {steps}",
        f"  follow  lbctl release wait {number}",
        f"  stop    lbctl rollback {number}",
    ]
