"""One account per server of the candidate against the whole active pool: it names the single bad one.

It never moves traffic: a bad server in a good pool is repaired or taken out by people. All of them together hold in at
most one of 1 / `false_rollback` healthy releases, as each has its part of that chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import exp, log

from lbctl.core.judge.capital import NEW, limit_log, log_odds
from lbctl.core.judge.streams import FAULT_HOLD_S, FRESH, Bar, Comparison, compared
from lbctl.core.judge.terms import EMPTY, NO_COUNTS, Counts, Settings, Window

# Servers are judged in blocks of a second, a few at a time: many servers must not make a tick dear.
_BLOCK_S = 1.0
_ROUNDING_S = 1e-6
_JUDGED_PER_TICK = 4
_BY_CHANCE_MAX = 0.05
"""How likely it may be that some server of a pool without a bad one has so many of the bad answers."""


@dataclass(frozen=True, slots=True)
class ServerWatch:
    """One server. `quiet_s` and `episode` as in `Watch`."""

    errors: Comparison = FRESH
    quiet_s: float = FAULT_HOLD_S
    episode: Window = EMPTY
    step: Counts = NO_COUNTS
    """What it did in this step."""

    @property
    def faulty(self) -> bool:
        """Whether it was proved to be worse than tolerated within the last 30 s."""
        return self.quiet_s < FAULT_HOLD_S


Servers = Mapping[str, ServerWatch]


def watched_servers(
    watches: Servers, seen: Mapping[str, Counts], active: Counts, span_s: float, bar: Bar, settings: Settings
) -> Servers:
    """Take in one tick of every server that was seen."""
    if not seen:
        return watches
    waiting = {name: _waiting(watches.get(name, ServerWatch()), seen[name], active, span_s) for name in seen}
    due = [name for name, watch in waiting.items() if _is_due(watch.errors.pending)]
    due.sort(key=lambda name: -waiting[name].errors.pending.span_s)
    for name in due[:_JUDGED_PER_TICK]:
        waiting[name] = _judged(waiting[name], len(seen), bar, settings)
    return waiting


def _is_due(pending: Window) -> bool:
    # A server without requests waits for ever: it must not take the turn of one that has some.
    can_be_judged = pending.candidate.total > 0 and pending.active.total > 0
    return can_be_judged and pending.span_s >= _BLOCK_S - _ROUNDING_S


def new_steps(watches: Servers) -> Servers:
    """Return the watches with the counts of a step that begins."""
    return {name: replace(watch, step=NO_COUNTS) for name, watch in watches.items()}


def worst(watches: Servers) -> tuple[str, Counts, int] | None:
    """Return the one server that sent at least half of all bad answers of this step, its counts, and all bad ones.

    None if there is no such server, none to compare it with, or if that may well be chance: it got its part of them.
    """
    busy = {name: watch.step for name, watch in watches.items() if watch.step.total}
    bad = sum(counts.bad for counts in busy.values())
    if len(busy) < 2 or not bad:
        return None
    name = max(busy, key=lambda one: busy[one].bad)
    # Of two servers, a half is what chance gives.
    part = 0.5 if len(busy) > 2 else 0.8
    share = busy[name].total / sum(counts.total for counts in busy.values())
    by_chance = len(busy) * exp(-bad * _apart(busy[name].bad / bad, share))
    return (name, busy[name], bad) if busy[name].bad >= part * bad and by_chance <= _BY_CHANCE_MAX else None


def _apart(seen: float, share: float) -> float:
    """Return how far the part that a server has of the bad answers lies above its part of all answers (Chernoff)."""
    if seen <= share:
        return 0.0
    others = (1 - seen) * log((1 - seen) / (1 - share)) if seen < 1 else 0.0
    return seen * log(seen / share) + others


def _waiting(watch: ServerWatch, own: Counts, active: Counts, span_s: float) -> ServerWatch:
    own = own if own.bad <= own.total else Counts(own.bad, own.bad)
    tick = Window(own, active, span_s)
    quiet_s = min(watch.quiet_s + span_s, FAULT_HOLD_S)
    return ServerWatch(
        errors=replace(watch.errors, pending=watch.errors.pending + tick),
        quiet_s=quiet_s,
        episode=watch.episode + tick if quiet_s < FAULT_HOLD_S else EMPTY,
        step=watch.step + own,
    )


def _judged(watch: ServerWatch, server_count: int, bar: Bar, settings: Settings) -> ServerWatch:
    errors = compared(watch.errors, EMPTY, bar, settings)
    if log_odds(errors.capital) < limit_log(settings) + log(server_count):
        return replace(watch, errors=errors)
    episode = watch.episode if watch.faulty else errors.capital.window
    return replace(watch, errors=replace(errors, capital=NEW), quiet_s=0.0, episode=episode)
