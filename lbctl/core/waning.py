"""Counting the sessions of draining pools as time passes. Pure."""

from collections.abc import Iterator

from lbctl.core.ebb import EVERY, KEPT, Ebb, Ebbs
from lbctl.core.seating import seats_of
from lbctl.core.state import State
from lbctl.model.names import Colour, ServiceName
from lbctl.model.units import Instant, since


def ebbs(state: State, now: Instant) -> Ebbs:
    """Return the counts after this tick, of pools whose sessions leave them."""
    return dict(_counted(state, now))


def _counted(state: State, now: Instant) -> Iterator[tuple[tuple[ServiceName, Colour], Ebb]]:
    for name, adopted in state.record.services.items():
        for colour in Colour:
            pool, before = adopted.pool(colour), state.ebbs.get((name, colour), Ebb())
            if pool.leaving is None or not pool.keep_bp or name not in state.topology.services:
                continue
            if before.counts and since(before.counts[-1][0], now) < EVERY:
                yield (name, colour), before
                continue
            seen = seats_of(state, name, colour, now)
            if seen is not None and seen.known:
                count = (now, seen.alive(pool.keep_bp))
                yield (name, colour), Ebb((*before.counts[1 - KEPT :], count))
