"""Which services are frozen now: the windows of the config and of people against the wall clock. Pure; the core gets
the answer."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from lbctl.model.names import ServiceName
from lbctl.model.record import Frozen
from lbctl.model.topology import Freeze, Topology
from lbctl.model.units import Span

Json = dict[str, Any]
NOBODYS: Mapping[str, Frozen] = MappingProxyType({})
FORM = "%a %Y-%m-%d %H:%M"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = "24:00"
ENDLESS = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Closed:
    """Which services may not go forward: why, and how long yet. A window without an end has no place in `lasts`."""

    why: dict[ServiceName, str] = field(default_factory=dict)
    lasts: dict[ServiceName, Span] = field(default_factory=dict)


def frozen(topology: Topology, now: datetime, made: Mapping[str, Frozen] = NOBODYS) -> Closed:
    """Return why nothing of a service may go forward now, and until when; services that may are not in it.

    `now` is aware, `made` are the windows of people. A window of the config belongs to the days on which it begins; any
    ends at the wall time of its zone, also over a change of the clocks. Of several open ones the last to end counts.
    """
    found = Closed()
    for name in topology.services:
        spans = (*_by_config(topology.unit_of(name).freeze, now), *_by_people(topology, name, made, now))
        if not spans:
            continue
        end, found.why[name] = max(spans, key=lambda one: one[0] or ENDLESS)
        if end is not None:
            found.lasts[name] = Span(int((end - now) / timedelta(milliseconds=1)))
    return found


def windows(
    topology: Topology, made: Mapping[str, Frozen], now: datetime, services: Collection[ServiceName]
) -> list[Json]:
    """Return every window that concerns one of these services, for people: the config's first."""
    units = {unit.name: unit for unit in map(topology.unit_of, services)}
    configured = [_configured(one, unit.services, now) for unit in units.values() for one in unit.freeze]
    people = [_made(topology, name, one, now) for name, one in made.items()]
    return [*configured, *(one for one in people if not one["services"] or set(one["services"]) & set(services))]


def held(topology: Topology, window: Frozen) -> tuple[ServiceName, ...]:
    """Return the services that a person's window holds: those of a unit go together, so one stands for all. None are
    left of what is not in the config any more."""
    if window.target is None:
        return tuple(topology.services)
    return tuple(
        name
        for name in topology.services
        if window.target in {name, *(unit := topology.unit_of(name)).services, unit.name}
    )


def _by_config(windows: Sequence[Freeze], now: datetime) -> Iterator[tuple[datetime | None, str]]:
    for window in windows:
        end = _end(window, now)
        if end is not None:
            yield end, f"frozen until {end:{FORM}} {window.zone}{_because(window.reason)}"


def _by_people(
    topology: Topology, name: ServiceName, made: Mapping[str, Frozen], now: datetime
) -> Iterator[tuple[datetime | None, str]]:
    for called, window in made.items():
        if name not in held(topology, window) or _is_over(window, now):
            continue
        end = _until(window)
        when = f"until {end:{FORM}} {window.zone}" if end is not None else f"until `lbctl freeze remove {called}`"
        yield end, f"frozen {when} by {window.by}{_because(window.reason)}"


def _because(reason: str) -> str:
    return f": {reason}" if reason else ""


def _until(window: Frozen) -> datetime | None:
    return datetime.fromisoformat(window.until).replace(tzinfo=ZoneInfo(window.zone)) if window.until else None


def _is_over(window: Frozen, now: datetime) -> bool:
    end = _until(window)
    return end is not None and end <= now


def _configured(window: Freeze, services: Sequence[ServiceName], now: datetime) -> Json:
    over = not window.days and datetime.fromisoformat(window.end).replace(tzinfo=ZoneInfo(window.zone)) <= now
    return {
        "name": None,
        "source": "config",
        "services": list(services),
        "open": _end(window, now) is not None,
        "from": window.start,
        "until": window.end,
        "zone": window.zone,
        "days": list(window.days),
        "reason": window.reason,
        "over": over,
        "by": "",
        "since": "",
        "target": None,
    }


def _made(topology: Topology, name: str, window: Frozen, now: datetime) -> Json:
    over = _is_over(window, now)
    return {
        "name": name,
        "source": "person",
        "target": window.target,
        "services": list(held(topology, window)),
        "open": not over,
        "from": "",
        "until": window.until,
        "zone": window.zone,
        "reason": window.reason,
        "by": window.by,
        "since": window.since,
        "over": over,
        "days": [],
    }


def _end(window: Freeze, now: datetime) -> datetime | None:
    """Return when the window that is open now ends; None if none is."""
    here = now.astimezone(ZoneInfo(window.zone))
    return next((end for start, end in _around(window, here) if start <= here < end), None)


def _around(window: Freeze, here: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Yield the openings of a window that may contain this moment."""
    if not window.days:
        start, end = (datetime.fromisoformat(text).replace(tzinfo=here.tzinfo) for text in (window.start, window.end))
        yield start, end
        return
    for back in (1, 0):
        day = here.date() - timedelta(days=back)
        if DAYS[day.weekday()] not in window.days:
            continue
        start = datetime.combine(day, time.fromisoformat(window.start), here.tzinfo)
        later = window.end == MIDNIGHT or window.end <= window.start
        last = time() if window.end == MIDNIGHT else time.fromisoformat(window.end)
        yield start, datetime.combine(day + timedelta(days=int(later)), last, here.tzinfo)
