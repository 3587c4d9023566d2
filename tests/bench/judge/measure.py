"""All of it: which experiments, how many of each, with which seeds, side by side on the processors there are."""

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial, reduce
from multiprocessing import get_context
from operator import add
from typing import Any

from lbctl.core.judge import Settings
from tests.bench.judge import (
    agreement,
    blindness,
    cost,
    detection,
    false_alarms,
    latency,
    learning,
    power,
    quiet,
    response,
    rival_detection,
    servers,
    worlds,
)
from tests.bench.judge.detection import Cell

LARGE_SHARES = ((0.9, 0.02), (0.99, 0.02), (0.99, 0.05), (0.99, 0.2), (0.99, 1.0), (1.0, 0.02), (1.0, 1.0))
"""Share of the candidate, fault."""
OUTAGES = ((0.2, 0.1, 0.2), (1.0, 0.1, 0.2), (0.2, 0.9, 0.2), (0.2, 0.1, 1.0), (1.0, 0.1, 1.0))
MILD_OUTAGES = ((0.02, 0.1, 0.2), (0.02, 0.5, 0.2), (0.02, 0.9, 0.2))
"""Level, share of the candidate, tick."""
BAD_SERVERS = (0.001, 0.005, 0.009, 0.05, 1.0)
LOW_TRAFFIC = tuple(Cell(0.005, p1, 0.10, 1.0, rate=2.0) for p1 in (1.0, 0.2))
DEAD = Cell(0.001, 1.0, 0.10, 0.1)
"""The cell of the promise in seconds: a dead candidate at a tenth, ten looks a second."""

Key = tuple[Any, ...]
Figures = Mapping[Key, Any]
"""What was measured, by experiment: ("class", "A"), ("at step", cell), …"""


@dataclass(frozen=True)
class Size:
    """How many of everything."""

    classes: tuple[str, ...]
    chunk: int
    chunks: int
    cells: tuple[Cell, ...]
    runs: int
    """Releases of each fault."""
    few: int
    """Releases of everything else."""
    quiet: int
    agreement: tuple[int, int]
    """Releases and ticks."""
    latency: tuple[latency.Case, ...]
    healthy_s: float
    """How long a candidate is well before it falls ill in mid-step."""
    wide: bool
    """With the rivals, and what is only for the page."""
    cost_ms: float = 1.0
    """What a tick may cost: more among the tests, where neighbours make noise."""
    seed: int = 1


def full() -> Size:
    """Return what `make bench-judge` runs."""
    cases = (*latency.changes(0.01), *latency.changes(0.10), *latency.even(0.10), *latency.cold_starts(0.10))
    return Size(
        classes=tuple(worlds.CLASSES),
        chunk=500,
        chunks=4,
        cells=tuple(detection.cells()),
        runs=500,
        few=200,
        quiet=1000,
        agreement=(50, 400),
        latency=cases,
        healthy_s=130.0,
        wide=True,
    )


def small() -> Size:
    """Return what runs among the tests: a part of it that still tells when the judge gets worse."""
    cells = tuple(cell for cell in detection.cells() if (cell.p0, cell.w) in {(0.001, 0.1), (0.01, 0.5)})
    cases = tuple(case for case in latency.changes(0.10) if case.text in {"all x1.2", "all x1.5", "both pools x2"})
    return Size(
        classes=("A", "B", "D", "F"),
        chunk=60,
        chunks=1,
        cells=cells,
        runs=25,
        few=100,
        quiet=25,
        agreement=(8, 150),
        latency=cases,
        healthy_s=40.0,
        wide=False,
        cost_ms=3.0,
    )


def measure(size: Size, workers: int, say: Callable[[str], None]) -> Figures:
    """Run every experiment of this size in `workers` processes."""
    # Cost first, while nothing else runs.
    found: dict[Key, Any] = {("cost", full): cost.cpu_ms(full=full) for full in (True, False)}
    wanted = experiments(size)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        running = {key: pool.submit(experiment) for key, experiment in wanted.items()}
        for done, (key, future) in enumerate(running.items(), 1):
            found[key] = future.result()
            if done % 20 == 0 or done == len(running):
                say(f"{done} of {len(running)} experiments")
    for name in size.classes:
        found["class", name] = reduce(add, [found["class", name, index] for index in range(size.chunks)])
    return found


def experiments(size: Size) -> dict[Key, Callable[[], Any]]:
    """Return every experiment but the cost, by the key of its result."""
    return {
        **_classes(size),
        **_faults(size),
        **_responses(size),
        **_agreements(size),
        **_powers(size),
        **_further(size),
    }


def _classes(size: Size) -> dict[Key, Callable[[], Any]]:
    run = partial(false_alarms.chunk, releases=size.chunk, rivals_too=size.wide)
    return {
        ("class", name, index): partial(run, name, size.seed + index, fixed_too=size.wide and index == 0)
        for name in size.classes
        for index in range(size.chunks)
    }


def _faults(size: Size) -> dict[Key, Callable[[], Any]]:
    found: dict[Key, Callable[[], Any]] = {}
    for index, cell in enumerate((*size.cells, *LOW_TRAFFIC)):
        run = partial(detection.convict, cell, size.runs, size.seed + 100 + index)
        found["at step", cell] = run
        found["later", cell] = partial(run, healthy_s=size.healthy_s)
    for place, case in enumerate(size.latency):
        found["latency", case] = partial(latency.run, case, size.few, size.seed + 200 + place)
    return found


def _responses(size: Size) -> dict[Key, Callable[[], Any]]:
    shares = LARGE_SHARES if size.wide else ((0.99, 0.02), (0.99, 0.2))
    outages = (*OUTAGES, *MILD_OUTAGES) if size.wide else (OUTAGES[0], OUTAGES[4])
    found: dict[Key, Callable[[], Any]] = {}
    for w, fault in shares:
        run = partial(response.large_share, w, fault, size.few, size.seed)
        found["large share", w, fault, True] = partial(run, retreat=True)
        if size.wide:
            found["large share", w, fault, False] = partial(run, retreat=False)
    for level, w, tick_s in outages:
        found["outage", level, w, tick_s] = partial(response.outage, level, w, size.few, size.seed, tick_s)
    for probed in (True, False, None):
        found["blind", probed] = partial(blindness.lose_sight, Settings(), probed=probed)
    return found


def _agreements(size: Size) -> dict[Key, Callable[[], Any]]:
    run = partial(agreement.compare, *size.agreement)
    return {
        ("agreement", "errors"): partial(run, size.seed, latency=False, servers=False),
        ("agreement", "everything"): partial(run, size.seed + 1, latency=True, servers=True),
    }


def _powers(size: Size) -> dict[Key, Callable[[], Any]]:
    wanted = power.steps() if size.wide else [power.Step(1000, 0.1, 0.02), power.Step(50, 0.1, 0.05)]
    return {("power", step): partial(power.power, step, size.few, size.seed) for step in wanted}


def _further(size: Size) -> dict[Key, Callable[[], Any]]:
    found: dict[Key, Callable[[], Any]] = {("quiet",): partial(quiet.releases, size.quiet, size.seed)}
    if not size.wide:
        return found
    for ratio in BAD_SERVERS:
        found["server", ratio] = partial(servers.one_bad, ratio, 0.1, size.few, size.seed)
    for past in learning.hours():
        found["dispersion", past.text] = partial(learning.learned, past, size.seed)
    for fault in rival_detection.faults():
        found["rivals", fault] = partial(rival_detection.caught, fault, size.few, size.seed)
    return found
