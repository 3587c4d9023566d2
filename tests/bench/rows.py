"""Figures beside their goals: said in one line each, and kept in `tests/bench/figures` for the page of promises.

Whoever measures calls `told` once at its end. A figure is what was last seen, kept whether it meets its goal or not.
"""

import json
import operator
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

FIGURES = Path(__file__).parent / "figures"
MEETS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. `key` is its name within its file; `goal` None: nothing is promised, it is only seen."""

    key: str
    what: str
    figure: float
    unit: str = ""
    goal: float | None = None
    sense: str = "<="
    seen: str = ""
    """How it was measured or how it varied: for people."""

    @property
    def is_met(self) -> bool:
        """Whether the figure is as good as its goal."""
        return self.goal is None or MEETS[self.sense](self.figure, self.goal)

    @property
    def goal_words(self) -> str:
        """The goal as people read it; empty if there is none."""
        return "" if self.goal is None else f"{SIGNS[self.sense]} {spoken(self.goal, self.unit)}"

    def line(self) -> str:
        """The row in one line."""
        verdict = "seen" if self.goal is None else f"goal {self.goal_words}: {'ok' if self.is_met else 'MISSED'}"
        more = f"; {self.seen}" if self.seen else ""
        return f"{self.what}: {spoken(self.figure, self.unit)} ({verdict}){more}"


SIGNS = {"<=": "≤", ">=": "≥"}


def spoken(number: float, unit: str) -> str:
    """Return a number with its unit, as short as it is still true."""
    text = f"{number:,.0f}" if number == int(number) or abs(number) >= 1_000 else f"{number:.3g}"
    return f"{text} {unit}" if unit else text


def told(name: str, rows: Iterable[Row], *, keep: bool = True) -> int:
    """Print the rows, keep them as the last figures of `name`, and return the exit code: 1 if a goal is missed."""
    rows = list(rows)
    for row in rows:
        print(row.line(), flush=True)
    if keep:
        FIGURES.mkdir(exist_ok=True)
        found = {"measured": f"{time.strftime('%Y-%m-%d')}, {_company()}", "rows": [asdict(row) for row in rows]}
        (FIGURES / f"{name}.json").write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return 0 if all(row.is_met for row in rows) else 1


def _company() -> str:
    """How many others want the processors: seconds and lateness are theirs as much as ours."""
    return f"load {os.getloadavg()[0]:.0f} on {os.cpu_count()} processors"


def kept(name: str) -> tuple[str, dict[str, Row]]:
    """Return when and in which company `name` was last measured, and its rows by key; empty if it never was."""
    try:
        found = json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return "", {}
    return found["measured"], {row["key"]: Row(**row) for row in found["rows"]}
