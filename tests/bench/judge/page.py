"""The figures as Markdown tables: docs/reference/judge-figures.md."""

from collections.abc import Iterable, Iterator, Mapping
from math import inf, isfinite

import numpy as np

from tests.bench.judge import detection, latency, learning, power, rival_detection, rivals
from tests.bench.judge.false_alarms import FIXED, Row
from tests.bench.judge.lines import Line
from tests.bench.judge.measure import BAD_SERVERS, LARGE_SHARES, LOW_TRAFFIC, MILD_OUTAGES, OUTAGES, Figures, Size
from tests.bench.judge.vector import Floats
from tests.bench.judge.worlds import CLASSES

_HEAD = """# Figures of the judge

Made by `make bench-judge ARGS=--write`; do not edit. What the numbers mean: [the judge](../explanation/judge.md).

Thousands of releases are simulated with fixed seeds. The judge of the product runs one release at a time, so it is
written a second time for many at once; the first lines of the first table hold that one against the product's own, tick
by tick. The rules of other tools are written anew from their documentation and code, simplified and one-sided, and see
the same requests. Nothing here was measured with their programs.

Unless it says otherwise: 1,000 requests/s, active fails 0.1 %, `slo: 99.9%`, `false_rollback: 0.1%`, dispersion learned
over 4 h before, ticks of 1 s. *w* is the candidate's share. "Failed" counts failed requests of the candidate from the
beginning of the fault to the rollback. Seeds are in `tests/bench/judge/measure.py`; the same seed gives the same
numbers.
"""
_LINES = """## What must hold

`make bench-judge` fails when a line does not; a smaller set of them runs in `make test`.
"""
_FALSE_ALARMS = """## False rollbacks

Releases that were rolled back though the candidate was within what is tolerated, of {count:,} in each class (of {few:,}
in the rows with a fixed dispersion). Half an hour each, 1 / 5 / 10 / 25 / 50 %.
"""
_POLICY = """\
Rules without a margin mean to react in B, rules with an absolute limit in C; that is policy as much as error.
0 of 2,000 proves less than 0.15 % with 95 % confidence. The bound of 0.1 % is a theorem, and the odds are the stronger
evidence: a rollback needs 1000.

The same releases, as lbctl saw them:
"""
_HELD = """\
E, F and G are held on purpose: both pools are then worse than active used to be, and nobody should go on. No
traffic moves.
"""
_RIVALS = """## A fault in mid-step, by rule

w 10 %, the fault comes 130 s into the step. Median time to the rollback / mean failed requests; *n %* = only so many
were found within half an hour, *(n % early)* = rolled back before there was a fault.
"""
_BOUNDS = """## Against what no method can beat

N* is the number of candidate requests that any proof of this strength needs (Wald) when active may have moved in the
same moment; N_cp the same when the fault may come at any time of half an hour. {runs} releases each; ticks of 0.1, 0.2
or 1 s. Where N* is a few requests, ticks are what limits.
"""
_LARGE_SHARES = """## Large shares: the retreat

Above 50 % active has too little traffic to compare with. The account against what active used to do asks for a retreat
to 50 %, and there the comparison decides. {runs} releases each, ticks of 0.2 s, fault in mid-step, shares that change
at once; at most 400 s are looked at.
"""
_OUTAGES = """## Both pools ill at once

Nothing is rolled back; the release is held.
"""
_LATENCY = """## Latency

Times of requests: {spread}; *even*: {even}. Slow is beyond
1.25 x active's quantile + 5 ms. *Bound*: what no method can beat. Horizon 10 min (5 min where nothing should be found,
2 min for cold starts). {runs} releases each.
"""
_EVEN = """\
The margin is a margin of counts, not of time: where all requests take about the same time, few are near the
limit while all is well and many are when all become a little slower. So a service with even times is rolled back
at x1.2.
"""
_SERVERS = """## One bad server of seven

w 10 %. A server is named in a hold while the pool as a whole is within what is tolerated, and in the rollback where it
is not. It never moves traffic by itself.
"""
_DISPERSION = """## Learned dispersion

Evidence is divided by it: twice the dispersion needs about twice the requests. 1,000 requests/s, 0.1 %, where nothing
else is said.
"""
_POWER = """## The planner's word

How long a step must last to see a fault that begins with it, by `lbctl plan`, and in how many of {runs} releases of
just that length the judge saw it (90 % is the aim). Active fails 0.1 %, errors are independent. Steps longer than 12 h
were not simulated.
"""
_COST = """## Cost

One tick of the product's judge, best of 5 runs on a noisy machine: {errors:.2f} ms of CPU with errors alone,
{everything:.2f} ms with four streams and seven servers."""


def page(size: Size, figures: Figures, found: list[Line]) -> str:
    """Return the whole page."""
    parts = [
        _HEAD,
        *_lines(found),
        *_false_alarms(size, figures),
        *_rivals(figures),
        *_against_bounds(size, figures),
        *_large_shares(size, figures),
        *_outages(figures),
        *_latency(size, figures),
        *_servers(figures),
        *_dispersion(figures),
        *_power(size, figures),
        _COST.format(everything=figures["cost", True], errors=figures["cost", False]),
    ]
    return "\n".join(parts) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    columns = list(head)
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _s(seconds: float) -> str:
    if not isfinite(seconds):
        return "never"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:,.0f} s"


def _per_cent(part: float) -> str:
    return f"{100 * part:.3g} %"


def _lines(found: list[Line]) -> Iterator[str]:
    yield _LINES
    rows = ((line.name, line.must, line.seen, "yes" if line.holds else "**no**") for line in found)
    yield from _table(("line", "must hold", "seen", "holds"), rows)


def _false_alarms(size: Size, figures: Figures) -> Iterator[str]:
    rows = {name: figures["class", name] for name in size.classes}
    count = next(iter(rows.values())).releases
    few = next(iter(rows.values())).fixed[FIXED[0]][1]
    yield _FALSE_ALARMS.format(count=count, few=few)
    yield from _table(("class", "what happens"), ((name, CLASSES[name].text) for name in rows))
    yield from _table(("rule", *rows), _false_alarm_rows(rows))
    yield _POLICY
    head = ("class", "learned dispersion", "highest odds: median", "99.9 %", "releases held", "asked to retreat")
    yield from _table(
        head,
        (
            (
                name,
                f"{row.phi.mean():.2f} ({row.phi.min():.2f} to {row.phi.max():.2f})",
                f"{row.odds_quantile(0.5):.1f}",
                f"{row.odds_quantile(0.999):.0f}",
                _per_cent(row.held / row.releases),
                str(row.retreated),
            )
            for name, row in rows.items()
        ),
    )
    yield _HELD


def _false_alarm_rows(rows: Mapping[str, Row]) -> Iterator[tuple[str, ...]]:
    yield "**lbctl**", *(f"**{_per_cent(row.rolled_back / row.releases)}**" for row in rows.values())
    for phi in FIXED:
        shown = (row.fixed.get(phi, (0, 1)) for row in rows.values())
        text = "nothing learned: dispersion 2" if phi == 2 else "dispersion 1"
        yield f"the same, {text}", *(_per_cent(bad / count) for bad, count in shown)
    alone = "its account against the baseline, if that could roll back"
    yield alone, *(_per_cent(row.worse_than_before / row.releases) for row in rows.values())
    for rule in rivals.RULES:
        yield rule, *(_per_cent(row.others[rule] / row.releases) for row in rows.values())


def _rivals(figures: Figures) -> Iterator[str]:
    yield _RIVALS
    faults = list(rival_detection.faults())
    rules = (rival_detection.LBCTL, *rivals.RULES)
    yield from _table(
        ("rule", *faults), ((rule, *(_caught(figures["rivals", fault][rule]) for fault in faults)) for rule in rules)
    )


def _caught(one: rival_detection.Caught) -> str:
    text = f"{_s(one.delay_s)} / {one.harmed:,.0f}"
    if 0 < one.found < 0.995:
        text += f", {_per_cent(one.found)}"
    return text + (f" ({_per_cent(one.early)} early)" if one.early else "")


def _against_bounds(size: Size, figures: Figures) -> Iterator[str]:
    yield _BOUNDS.format(runs=size.runs)
    head = ("active / fault / w", "N*", "with the step", "N_cp", "in mid-step")
    cells = (*size.cells, *LOW_TRAFFIC)
    yield from _table(
        head,
        (
            (
                _cell_text(cell),
                f"{cell.least:,.0f}" if cell.least >= 10 else f"{cell.least:.1f}",
                _found(figures["at step", cell], cell.least),
                f"{cell.least_later:,.0f}" if cell.least_later >= 10 else f"{cell.least_later:.1f}",
                _found(figures["later", cell], cell.least_later),
            )
            for cell in cells
        ),
    )


def _cell_text(cell: detection.Cell) -> str:
    text = f"{100 * cell.p0:g} % / {100 * cell.p1:g} % / {100 * cell.w:g} %"
    return text if cell.rate == detection.RATE else f"{text}, {cell.rate:g} requests/s"


def _found(found: detection.Found, least: float) -> str:
    lost = found.missed + found.early
    text = f"{found.mean_requests / least:.2f} x, {_s(float(found.seconds.mean()))}, {found.harmed.mean():,.0f} failed"
    return text + (f", {lost} missed" if lost else "")


def _large_shares(size: Size, figures: Figures) -> Iterator[str]:
    yield _LARGE_SHARES.format(runs=size.few)
    rows = []
    for w, fault in LARGE_SHARES:
        alone, ours = (figures["large share", w, fault, retreat] for retreat in (False, True))
        rows.append(
            (
                f"{100 * w:g} %, {100 * fault:g} %",
                f"{_mean_s(alone.rollback_s)}, {alone.harmed.mean():,.0f}, {alone.harmed.max():,.0f}",
                f"{_mean_s(ours.retreat_s)} / {_mean_s(ours.rollback_s)}, **{ours.harmed.mean():,.0f}**, "
                f"{ours.harmed.max():,.0f}",
            )
        )
    head = ("w, fault", "comparison alone: rollback, failed: mean, worst", "retreat / rollback, failed: mean, worst")
    yield from _table(head, rows)


def _mean_s(seconds: Floats) -> str:
    known = seconds[~np.isnan(seconds)]
    return _s(float(known.mean())) if len(known) else "never"


def _outages(figures: Figures) -> Iterator[str]:
    yield _OUTAGES
    rows = []
    for level, w, tick_s in (*OUTAGES, *MILD_OUTAGES):
        one = figures["outage", level, w, tick_s]
        rows.append(
            (
                f"both {100 * level:g} %, w {100 * w:g} %, ticks of {tick_s:g} s",
                str(one.rolled_back),
                f"{_s(float(one.held_s.mean()))}, at most {_s(float(one.held_s.max()))}",
            )
        )
    yield from _table(("outage", "rolled back", "held after"), rows)


def _latency(size: Size, figures: Figures) -> Iterator[str]:
    yield _LATENCY.format(spread=latency.SPREAD.text, even=latency.EVEN.text, runs=size.few)
    rows = ((f"{case.text}, w {100 * case.w:g} %", *_slowed(case, figures["latency", case])) for case in size.latency)
    yield from _table(("change of the candidate", "bound", "rolled back", "mean"), rows)
    yield _EVEN


def _slowed(case: latency.Case, one: latency.Slowed) -> tuple[str, str, str]:
    mean_s = float(one.seconds.mean()) if one.found else inf
    bound = _s(case.bound_s) if case.bound_s < 86_400 else "within the margin"
    return bound, _per_cent(one.found / one.runs), _s(mean_s)


def _servers(figures: Figures) -> Iterator[str]:
    yield _SERVERS
    rows = []
    for ratio in BAD_SERVERS:
        one = figures["server", ratio]
        named, over = (each[each < inf] for each in (one.first_named_s, one.rolled_back_s))
        rows.append(
            (
                f"{100 * ratio:g} %",
                f"{_per_cent(len(named) / one.runs)}" + (f", mean {_s(float(named.mean()))}" if len(named) else ""),
                f"{_per_cent(len(over) / one.runs)}" + (f", mean {_s(float(over.mean()))}" if len(over) else ""),
                str(one.wrongly_named),
            )
        )
    yield from _table(("its bad ratio", "named in 10 min", "release rolled back", "a good server named"), rows)


def _dispersion(figures: Figures) -> Iterator[str]:
    yield _DISPERSION
    rows = ((past.text, f"{figures['dispersion', past.text]:.2f}") for past in learning.hours())
    yield from _table(("what active went through before", "dispersion"), rows)


def _power(size: Size, figures: Figures) -> Iterator[str]:
    yield _POWER.format(runs=size.few)
    rows = []
    for rate in power.RATES:
        for w in power.SHARES:
            cells = (power.Step(rate, w, fault) for fault in power.FAULTS)
            rows.append((f"{rate:g}, {100 * w:g} %", *(_seen(figures.get(("power", cell)), cell) for cell in cells)))
    yield from _table(("requests/s, w", *(f"{100 * fault:g} %" for fault in power.FAULTS)), rows)


def _seen(part: float | None, step: power.Step) -> str:
    return _long(step.needed_s) if part is None else f"{_long(step.needed_s)}, {part:.0%}"


def _long(seconds: float) -> str:
    if seconds < 120:
        return _s(seconds)
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
