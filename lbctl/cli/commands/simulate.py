"""What lbctl would do, before it does: a release of the user's own config in a made-up world."""

import re
from typing import Any

import click

from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import form_option, span_ms
from lbctl.cli.output import emit

Json = dict[str, Any]
RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)/(s|m)")
RATE_MAX = 10_000.0
WATCHED_MAX_MS = 7 * 86_400_000
EXITS = {
    "finished": Exit.DONE,
    "rolled_back": Exit.BACK_BY_ITSELF,
    "cancelled": Exit.BACK_BY_PERSON,
    "goes_on": Exit.TIMED_OUT,
    "broke": Exit.BUG,
}
TROUBLES = (
    click.option("--errors", multiple=True, metavar="WHO=RATIO[@WHEN][+TIME]", help="So many requests fail: green=3%."),
    click.option(
        "--latency", multiple=True, metavar="WHO=TIME[@WHEN][+TIME]", help="Answers take longer by that: green=300ms."
    ),
    click.option("--dead", multiple=True, metavar="WHO[@WHEN][+TIME]", help="A pool or one server stops answering."),
    click.option(
        "--unreadable",
        multiple=True,
        metavar="LB[@WHEN][+TIME]",
        help="A load balancer routes on, but does not answer.",
    ),
    click.option("--reload", multiple=True, metavar="LB[@WHEN]", help="A load balancer is reloaded."),
    click.option("--kill", multiple=True, metavar="@WHEN[+TIME]", help="lbctld is killed, and started 5s later."),
)
TRAFFIC = (
    click.option("--rate", default="100/s", show_default=True, metavar="N/s", help="Users' requests."),
    click.option(
        "--usual-errors", default="0.05%", show_default=True, metavar="RATIO", help="What fails without any fault."
    ),
    click.option("--usual-latency", default="50ms", show_default=True, metavar="TIME", help="Median, without a fault."),
    click.option(
        "--watched", default="1d", show_default=True, metavar="TIME", help="How long lbctl has known the service."
    ),
)
PLAN = (
    click.option("--steps", metavar="LIST", help="Another plan than the config's: 5%,25%,50%,100%."),
    click.option("--hold", metavar="TIME", help="How long each step must be held at least."),
    click.option("--bake", metavar="TIME", help="Proving time at 100 %; else --hold where that is given."),
    click.option("--retain", metavar="TIME", help="How long the old pool stays warm afterwards."),
)


def _options(command: Any) -> Any:
    for option in reversed((*TROUBLES, *TRAFFIC, *PLAN)):
        command = option(command)
    return command


@click.command()
@click.option("-f", "--file", required=True, metavar="FILE", help="The config, as lbctld reads it.")
@click.option("--service", metavar="SERVICE|UNIT", help="What goes, where the config has several.")
@click.option("--active", type=click.Choice(["blue", "green"]), default="blue", show_default=True, help="What serves.")
@_options
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Chance: the same, the same output.")
@form_option
@click.pass_context
def simulate(ctx: click.Context, /, form: str, **asked: Any) -> None:
    """Show what lbctl would do with a release of this config: every decision, and the users harmed until then.

    The real core, judge and plan on a virtual clock, in a made-up world; nothing is contacted or changed. WHO is
    blue, green, candidate, active, a server, or SERVICE/ and one of these. WHEN is step1, step2 …, bake, drain, or a
    time since the start as 90s; without it, the start. +TIME: for so long. Each may be given several times.

    Exits with 0 if the release finished, 20 if it went back by itself, 21 if it was cancelled, 22 if it was still
    waiting for a person when nothing more would come, 1 if an invariant broke: that is a bug, please report it.
    """
    from lbctl.cli.screens.simulated import simulated_screen
    from lbctl.cli.simulating import rehearsed

    data = rehearsed(asked)
    emit(data, form, simulated_screen)
    ctx.exit(EXITS[data["outcome"]])


def rate_of(text: str) -> float:
    """Return requests per second."""
    found = RATE.fullmatch(text)
    rate = 0.0 if found is None else float(found[1]) / (1 if found[2] == "s" else 60)
    if not 0 < rate <= RATE_MAX:
        raise click.BadParameter(f"{text!r} is no rate up to {RATE_MAX:g}/s; write 200/s or 30/m", param_hint="--rate")
    return rate


def watched_of(text: str) -> int:
    """Return for how many milliseconds the service was watched before."""
    span = span_ms(text, "--watched")
    if span > WATCHED_MAX_MS:
        raise click.BadParameter("longer than 7d changes nothing", param_hint="--watched")
    return span


def no_such(target: str, known: list[str]) -> Failure:
    """Return that there is no such service or unit."""
    from lbctl.config.fault import did_you_mean

    return Failure(
        f"there is no service or unit {target!r}",
        then=did_you_mean(target, known) or f"one of {', '.join(known)}",
        code="no_such",
        exit_code=Exit.NO_SUCH,
    )
