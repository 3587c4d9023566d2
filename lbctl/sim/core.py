"""The door of the core as the world sees it, so that the tests can put a damaged copy of the core in its place."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lbctl.core import invariants, machine
from lbctl.core.state import Applied, Effect, Recorded, State, Tick
from lbctl.model.request import Request
from lbctl.model.units import Instant

Stepped = tuple[State, tuple[Effect, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """One decision core. Effects are told apart by their class's name, as a copy has classes of its own."""

    start: Callable[..., State]
    step: Callable[[State, Any], Stepped]
    ask: Callable[[State, Request, Instant], Stepped]
    tick: type[Tick] = Tick
    recorded: type[Recorded] = Recorded
    applied: type[Applied] = Applied
    broken: type[Exception] = invariants.InvariantViolatedError


REAL = Core(start=machine.start, step=machine.step, ask=machine.ask)
"""The core that the daemon runs."""
