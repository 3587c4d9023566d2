"""From a failing run to the smallest one that still fails: fewest ticks, fewest faults. It is kept as a small file."""

import json
from dataclasses import asdict, dataclass, fields, replace

from lbctl.sim.chance import Rates
from lbctl.sim.core import REAL, Core
from lbctl.sim.run import Report, run

SEEDS = (1, 2, 3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A run that did what must never be done, by what makes it: the same values give the same run."""

    seed: int
    ticks: int
    rates: Rates
    liveness: bool = False
    violation: str = ""

    def to_json(self) -> str:
        """Return it as a file for `tests/simulation/found`, without the faults that it does not need."""
        faults = {name: rate for name, rate in asdict(self.rates).items() if rate}
        told = {"violation": self.violation, "seed": self.seed, "ticks": self.ticks, "liveness": self.liveness}
        return json.dumps({**told, "faults": faults}, indent=2) + "\n"

    @staticmethod
    def from_json(text: str) -> "Found":
        """Return what `to_json` wrote. Raises ValueError or KeyError for anything else."""
        told = json.loads(text)
        known = {one.name for one in fields(Rates)}
        unknown = sorted(told["faults"].keys() - known)
        if unknown:
            raise ValueError(f"there is no fault {', '.join(unknown)}: {', '.join(sorted(known))}")
        return Found(
            seed=int(told["seed"]),
            ticks=int(told["ticks"]),
            rates=Rates(**told["faults"]),
            liveness=bool(told["liveness"]),
            violation=str(told["violation"]),
        )

    def again(self, core: Core = REAL, *, log: bool = False) -> Report:
        """Run it again."""
        return run(self.seed, self.ticks, core=core, rates=self.rates, liveness=self.liveness, log=log)


def shrunk(found: Found, core: Core = REAL) -> Found:
    """Return a run that breaks the same rule with no fault and no tick more than it needs, one by one.

    Without a fault the dice fall otherwise, so a few more seeds are tried. Raises ValueError if `found` breaks nothing.
    """
    report = found.again(core)
    if not report.violation:
        raise ValueError(f"seed {found.seed} breaks nothing")
    best = replace(found, violation=report.violation)
    last = report
    for one in fields(Rates):
        if not getattr(best.rates, one.name):
            continue
        rates = replace(best.rates, **{one.name: 0.0})
        for seed in dict.fromkeys((best.seed, *SEEDS)):
            less = replace(best, rates=rates, seed=seed)
            report = less.again(core)
            if _rule(report.violation) == _rule(best.violation):
                best, last = less, report
                break
    return _cut(best, last)


def _cut(found: Found, report: Report) -> Found:
    """Let it end just behind what it broke; in liveness mode that is the end, whenever the faults stop."""
    ticks = found.ticks if found.liveness else min(found.ticks, report.ticks + 1)
    return replace(found, ticks=ticks, violation=report.violation)


def _rule(violation: str) -> str:
    """Return a violation without its numbers and names: which rule was broken."""
    return violation.partition(":")[2].partition(":")[0].rstrip("0123456789 ")
