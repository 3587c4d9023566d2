"""A release as a trace: one span for all of it, one below it for each step, and what was decided as events. Pure.

Made of the journal once the release has ended, so that a trace is always whole. Its numbers follow from the release
alone: sent twice, it is the same trace.
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from lbctl import wall
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.units import percent
from lbctl.notify.plain import plain
from lbctl.notify.port import Told

Json = dict[str, Any]
ENDS = frozenset({Kind.RELEASE_FINISHED, Kind.RELEASE_CANCELLED, Kind.ROLLBACK_FINISHED})
EVENTS_MAX = 100
"""Events of one span; what is left out is counted."""
_PARTS = {
    Kind.RELEASE_STARTED: "preflight",
    Kind.APPROVAL_AWAITED: "awaiting approval",
    Kind.BAKE_STARTED: "bake",
    Kind.DRAIN_STARTED: "drain",
    Kind.POOL_CERTIFIED: "retire",
    Kind.ROLLBACK_STARTED: "rollback",
}
_STEPS = frozenset({Kind.STEP_STARTED, Kind.STEP_RETREATED, Kind.STEP_RETURNED})
_OF_ALL = frozenset({Kind.ROLLBACK_STARTED, Kind.ROLLBACK_BLOCKED, Kind.ROLLBACK_FINISHED, *ENDS})
"""These are events of the whole release, too: there one looks for them first."""


def spans(told: Sequence[Told], about: Json, left_out: int = 0) -> list[Json]:
    """Return the spans of a release, the whole first, as data for the encoder. Times are milliseconds of wall time.

    `told` are its entries in order, the last one its end; `about` is the message that tells of that end. `left_out` of
    them were too many, and the whole says so.
    """
    if not told:
        return []
    clock = _Clock(told[-1])
    parts = [_part(rows, clock, number) for number, rows in enumerate(_parted(told), 1)]
    for part, later in pairwise(parts):
        part["end_ms"] = later["start_ms"]
    whole = {
        "number": 0,
        "name": f"release {_name(about)}",
        "start_ms": clock.of(told[0].entry),
        "end_ms": clock.of(told[-1].entry),
        "failed": "" if _went_well(told[-1].entry) else plain(about.get("reason") or told[-1].entry.text),
        "attributes": {
            **_attributes(told[-1].entry, about),
            **({"lbctl.entries_left_out": left_out} if left_out else {}),
        },
        "events": [_event(one.entry, clock) for one in told if one.entry.kind in _OF_ALL][:EVENTS_MAX],
    }
    return [whole, *parts]


def trace_id(about: Json, began: str) -> str:
    """Return the 32 hexadecimal digits of a release's trace."""
    return hashlib.sha256(f"{about['host']}|{about['release']}|{began}".encode("utf-8", "replace")).hexdigest()[:32]


class _Clock:
    """Wall time of entries, counted back from the last one's: a wall clock that was set must not turn spans round."""

    def __init__(self, last: Told) -> None:
        self._wall_ms = wall.unix_ms(last.wall)
        self._at = last.entry.at

    def of(self, entry: Entry) -> int:
        return self._wall_ms - (self._at - entry.at)


def _parted(told: Sequence[Told]) -> Iterator[list[Entry]]:
    """Yield the entries of each step; what begins one stands first."""
    rows: list[Entry] = []
    for one in told:
        if rows and (one.entry.kind in _PARTS or one.entry.kind in _STEPS):
            yield rows
            rows = []
        rows.append(one.entry)
    if rows:
        yield rows


def _part(rows: Sequence[Entry], clock: _Clock, number: int) -> Json:
    first, last = rows[0], rows[-1]
    paged = next((plain(one.text) for one in rows if one.severity is Severity.PAGE), "")
    return {
        "number": number,
        "name": _PARTS.get(first.kind) or f"step {percent(int(first.data.get('share_bp') or 0))}",
        "start_ms": clock.of(first),
        "end_ms": clock.of(last),
        "failed": paged or (plain(first.text) if first.kind is Kind.ROLLBACK_STARTED else ""),
        "attributes": {"lbctl.share_ratio": int(first.data.get("share_bp") or 0) / 10_000, "lbctl.events": len(rows)},
        "events": [_event(one, clock) for one in rows[:EVENTS_MAX]],
    }


def _event(entry: Entry, clock: _Clock) -> Json:
    numbers = {f"lbctl.{key}": value for key, value in entry.data.items() if value is not None}
    facts = {"lbctl.text": plain(entry.text), "lbctl.severity": entry.severity.value, "lbctl.actor": plain(entry.actor)}
    return {"name": entry.kind.value, "at_ms": clock.of(entry), "attributes": {**facts, **_safe(numbers)}}


def _safe(numbers: Json) -> Json:
    return {plain(key, 100): plain(value) if isinstance(value, str) else value for key, value in numbers.items()}


def _went_well(end: Entry) -> bool:
    return end.kind is Kind.RELEASE_FINISHED


def _name(about: Json) -> str:
    return str(about.get("unit") or about.get("service") or "unknown")


def _attributes(end: Entry, about: Json) -> Json:
    """Names as in OpenTelemetry's conventions for deployments, and ours for what those do not know."""
    members = about.get("members") or []
    return {
        "deployment.id": str(about["release"]),
        "deployment.name": _name(about),
        "deployment.status": "succeeded" if _went_well(end) else "failed",
        "lbctl.end": end.kind.value,
        "lbctl.reason": str(about.get("reason") or ""),
        "lbctl.initiator": str(about.get("initiator") or ""),
        "lbctl.peak_ratio": int(about.get("reached_bp") or 0) / 10_000,
        "lbctl.services": [str(one["service"]) for one in members],
        "lbctl.versions_from": [str(one["version_from"]) for one in members],
        "lbctl.versions_to": [str(one["version_to"]) for one in members],
        "lbctl.builds": [str(one["build"]) for one in members],
        "service.version": str(about.get("version_to") or ""),
    }
