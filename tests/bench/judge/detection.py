"""Faults of the candidate: how long they live, and how near that is to what no method can beat."""

from dataclasses import dataclass

import numpy as np

from lbctl.core.judge.terms import Settings
from tests.bench.judge import bounds, dispersion, worlds
from tests.bench.judge.fleet import ROLLBACK, Fleet
from tests.bench.judge.vector import Floats, Mask

RATE = 1000.0
HEALTHY_S = 130.0
_HORIZON = 12.0
_BOUND_MAX_S = 400.0


@dataclass(frozen=True)
class Cell:
    """A fault: active's ratio, the candidate's, its share, requests per second, and how often the judge looks."""

    p0: float
    p1: float
    w: float
    tick_s: float
    rate: float = RATE

    @property
    def least(self) -> float:
        """N*: candidate requests no proof can do without, if the fault comes with the step."""
        return bounds.wald(self.p0, self.p1, self.w)

    @property
    def least_later(self) -> float:
        """N_cp: the same if it comes at any time of half an hour."""
        return bounds.change_point(self.p0, self.p1, self.w, self.rate * self.w * 1800)

    @property
    def per_tick(self) -> float:
        """Candidate requests in a tick."""
        return self.rate * self.w * self.tick_s


@dataclass(frozen=True)
class Found:
    """How the releases of a cell ended, from the onset of the fault."""

    runs: int
    early: int
    """Rolled back before the fault came: false."""
    missed: int
    seconds: Floats
    requests: Floats
    """Candidate requests from the onset to the rollback."""
    harmed: Floats
    """Those of them that failed."""

    @property
    def mean_requests(self) -> float:
        return float(self.requests.mean()) if len(self.requests) else float("inf")


def cells() -> list[Cell]:
    """Return every cell whose bound is shorter than 400 s."""
    found = []
    for p0 in (0.0001, 0.001, 0.01):
        for w in (0.01, 0.1, 0.5):
            for p1 in (0.005, 0.02, 0.05, 0.2, 1.0):
                if p1 > bounds.D + bounds.R * p0:
                    least_s = bounds.wald(p0, p1, w) / (RATE * w)
                    tick_s = 0.1 if least_s < 10 else 0.2 if least_s < 40 else 1.0
                    found.append(Cell(p0, p1, w, tick_s))
    return [cell for cell in found if cell.least / (cell.rate * cell.w) <= _BOUND_MAX_S]


def fleet_before(cell: Cell, runs: int, rng: np.random.Generator) -> Fleet:
    """Return judges that know the service for hours and have just begun the step."""
    base = worlds.Healthy("", cell.rate, worlds.level(cell.p0), worlds.level(cell.p0), cell.p0)
    fleet = Fleet(dispersion.known(base, runs, rng), Settings())
    fleet.step()
    return fleet


def convict(cell: Cell, runs: int, seed: int, *, healthy_s: float = 0.0) -> Found:
    """Run a fault that comes with the step (`healthy_s` 0), or later in it."""
    rng = np.random.default_rng([seed, 7])
    fleet = fleet_before(cell, runs, rng)
    early = _healthy(fleet, cell, round(healthy_s / cell.tick_s), runs, rng)
    bound = cell.least_later if healthy_s else cell.least
    ticks = round(_HORIZON * bound / cell.per_tick) + 20
    return _faulty(fleet, cell, ticks, runs, early, rng)


def _healthy(fleet: Fleet, cell: Cell, ticks: int, runs: int, rng: np.random.Generator) -> int:
    wrong = np.zeros(runs, dtype=bool)
    for _ in range(ticks):
        wrong |= _tick(fleet, cell, cell.p0, runs, rng)[0]
    fleet.keep(~wrong)
    return int(wrong.sum())


def _faulty(fleet: Fleet, cell: Cell, ticks: int, runs: int, early: int, rng: np.random.Generator) -> Found:
    left = runs - early
    requests, harmed = np.zeros(left), np.zeros(left)
    ends: list[tuple[Floats, Floats, Floats]] = []
    for tick in range(1, ticks + 1):
        over, g, k = _tick(fleet, cell, cell.p1, left, rng)
        requests, harmed = requests + g, harmed + k
        if over.any():
            ends.append((np.full(int(over.sum()), tick * cell.tick_s), requests[over], harmed[over]))
            fleet.keep(~over)
            requests, harmed, left = requests[~over], harmed[~over], int((~over).sum())
        if not left:
            break
    columns = [np.concatenate(column) for column in zip(*ends, strict=True)] if ends else [np.zeros(0)] * 3
    return Found(runs, early, left, columns[0], columns[1], columns[2])


def _tick(fleet: Fleet, cell: Cell, p1: float, left: int, rng: np.random.Generator) -> tuple[Mask, Floats, Floats]:
    """Draw a tick and judge it; return who rolls back, and the candidate's requests and failures."""
    mean_g, mean_b = cell.per_tick, cell.rate * cell.tick_s - cell.per_tick
    k = rng.poisson(mean_g * p1, left).astype(float)
    g = k + rng.poisson(mean_g * (1 - p1), left)
    m = rng.poisson(mean_b * cell.p0, left).astype(float)
    b = m + rng.poisson(mean_b * (1 - cell.p0), left)
    return fleet.tick((g, k, b, m), cell.tick_s, cell.w).words == ROLLBACK, g, k
