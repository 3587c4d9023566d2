"""What must hold. Each line says what it saw; one that does not hold fails the bench and the tests."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tests.bench.judge.measure import DEAD, LOW_TRAFFIC, Figures, Size
from tests.bench.judge.worlds import CLASSES

BURSTY = ("D", "I")
QUIET = ("A", "C", "H")
FALSE_ROLLBACK = 0.001
BURSTY_ROLLBACK = 0.002


@dataclass(frozen=True)
class Line:
    """One promise, whether it holds, and by what."""

    name: str
    must: str
    seen: str
    holds: bool


def lines(size: Size, figures: Figures) -> list[Line]:
    """Return every line, in order."""
    return [
        *_agreement(figures),
        *_false_alarms(size, figures),
        *_outages(figures),
        *_detection(size, figures),
        *_retreat(figures),
        *_blind(figures),
        *_latency(size, figures),
        *_power(figures),
        *_cost(size, figures),
    ]


def _agreement(figures: Figures) -> Iterator[Line]:
    for name in ("errors", "everything"):
        found = figures["agreement", name]
        yield Line(
            "shipped judge",
            f"agrees with the vectorised one, {name}: odds within 10⁻⁶, the same words",
            f"{found.releases} releases of {found.ticks} ticks: {found.words_differ} words differ, "
            f"odds by {found.odds_differ:.0e}",
            bool(found.words_differ == 0 and found.odds_differ <= 1e-6),
        )


def _false_alarms(size: Size, figures: Figures) -> Iterator[Line]:
    rows = {name: figures["class", name] for name in CLASSES if name in size.classes}
    for name, row in rows.items():
        most = BURSTY_ROLLBACK if name in BURSTY else FALSE_ROLLBACK
        odds = row.odds_quantile(0.999)
        yield Line(
            f"F1 {name}",
            f"false rollbacks ≤ {100 * most:g} %" + ("" if name in BURSTY else ", 99.9 % quantile of odds < 1000"),
            f"{row.rolled_back} of {row.releases}, odds {odds:.0f}",
            row.rolled_back <= most * row.releases and (name in BURSTY or odds < 1000),
        )
    quiet = figures["quiet",]
    held = [(name, row.held, row.releases) for name, row in rows.items() if name in QUIET]
    for name, count, releases in (*held, ("A with latency and servers", quiet.held, quiet.releases)):
        yield Line(f"F2 {name}", "quiet releases with a hold ≤ 2 %", f"{count} of {releases}", count <= 0.02 * releases)


def _outages(figures: Figures) -> Iterator[Line]:
    for key, found in figures.items():
        if key[0] == "outage" and key[1] >= 0.2:
            _, level, w, tick_s = key
            most_s = 1.0 if tick_s < 1 else 8.0
            yield Line(
                f"F3 both {level:.0%}, w {w:.0%}, {tick_s:g} s ticks",
                f"0 rollbacks, held within {most_s:g} s",
                f"{found.rolled_back} of {found.runs}, held after at most {found.held_s.max():.1f} s",
                bool(found.rolled_back == 0 and found.held_s.max() <= most_s + 1e-9),
            )


def _detection(size: Size, figures: Figures) -> Iterator[Line]:
    for name, part, factor in (("D1", "at step", 2.0), ("D2", "later", 1.5)):
        worst, bad, missed = 0.0, 0, 0
        for cell in size.cells:
            found = figures[part, cell]
            least = cell.least if part == "at step" else cell.least_later
            most = factor * least + 3 * cell.per_tick
            worst = max(worst, found.mean_requests / most)
            bad += found.mean_requests > most
            missed += found.missed + found.early
        yield Line(
            name,
            f"candidate requests ≤ {factor:g} x {'N*' if part == 'at step' else 'N_cp'} + 3 ticks, 0 missed",
            f"{len(size.cells)} faults of {size.runs} releases: {bad} over it, the worst needs {worst:.0%} of it; "
            f"{missed} missed or early",
            not bad and not missed,
        )
    at_step, later = figures["at step", DEAD].seconds.max(), figures["later", DEAD].seconds.max()
    yield Line(
        "D3",
        "dead candidate, w 10 %, 0.1 s ticks: ≤ 0.3 s at a step, ≤ 0.5 s later",
        f"at most {at_step:.1f} s and {later:.1f} s",
        bool(at_step <= 0.3 + 1e-9 and later <= 0.5 + 1e-9),
    )
    harmed = figures["at step", LOW_TRAFFIC[0]].harmed.mean()
    yield Line("D4", "2 requests/s, w 10 %, dead from the step on: mean ≤ 7 failed", f"{harmed:.1f}", bool(harmed <= 7))


def _retreat(figures: Figures) -> Iterator[Line]:
    for fault, most in ((0.02, 130), (0.2, 450)):
        found = figures["large share", 0.99, fault, True]
        harmed = found.harmed.mean()
        yield Line(
            f"R1 {fault:.0%}",
            f"w 99 %: mean ≤ {most} failed, 0 missed",
            f"{harmed:.0f}, {found.missed} missed",
            bool(harmed <= most and not found.missed),
        )


def _blind(figures: Figures) -> Iterator[Line]:
    known = figures["blind", True]
    yield Line(
        "N1",
        "no counters: hold at 3 s, back at `blind_limit` (10 min) only if active is probed healthy, never on",
        f"hold {known.hold_s:.1f} s, back {known.rollback_s:.1f} s; not probed healthy: never back",
        abs(known.hold_s - 3) < 0.01
        and abs(known.rollback_s - 600) < 0.01
        and known.advanced_after_s < 3
        and all(figures["blind", probed].rollback_s == float("inf") for probed in (False, None)),
    )


def _latency(size: Size, figures: Figures) -> Iterator[Line]:
    most = {"all x1.5": 4.0, "all x1.2": 0.0, "both pools x2": 0.0, "none": 0.0}
    for case in size.latency:
        if case.w != 0.10 or case.text not in most:
            continue
        found, limit_s = figures["latency", case], most[case.text]
        mean_s = float(np.mean(found.seconds)) if found.found else float("inf")
        yield Line(
            f"L1 {case.text}",
            f"mean ≤ {limit_s:g} s, 0 missed" if limit_s else "never rolled back",
            f"{found.found} of {found.runs}" + (f", mean {mean_s:.1f} s" if found.found else ""),
            (found.found == found.runs and mean_s <= limit_s) if limit_s else found.found == 0,
        )


def _power(figures: Figures) -> Iterator[Line]:
    seen = {key[1]: part for key, part in figures.items() if key[0] == "power"}
    step = min(seen, key=lambda one: seen[one])
    yield Line(
        "P1",
        "a step as long as the planner says sees the fault in ≥ 88 % of releases (90 % is its aim)",
        f"{len(seen)} steps, the worst {seen[step]:.1%} ({step.rate:g} requests/s, w {step.w:.0%}, {step.fault:.1%})",
        seen[step] >= 0.88,
    )


def _cost(size: Size, figures: Figures) -> Iterator[Line]:
    everything, errors = figures["cost", True], figures["cost", False]
    yield Line(
        "C1",
        f"≤ {size.cost_ms:g} ms of CPU per tick with four streams and seven servers",
        f"{everything:.2f} ms; errors alone {errors:.2f} ms",
        everything <= size.cost_ms,
    )
