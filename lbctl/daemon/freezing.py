"""Which services are frozen now: the windows of the config against the wall clock. Pure; the core gets the answer."""

from collections.abc import Iterator
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from lbctl.model.names import ServiceName
from lbctl.model.topology import Freeze, Topology

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MIDNIGHT = "24:00"


def frozen(topology: Topology, now: datetime) -> dict[ServiceName, str]:
    """Return why nothing of a service may go forward now, and until when; services that may are not in it.

    `now` is aware. A window belongs to the days on which it begins; it ends at the wall time of its zone, also over
    a change of the clocks.
    """
    found: dict[ServiceName, str] = {}
    for name in topology.services:
        for window in topology.unit_of(name).freeze:
            end = _end(window, now)
            if end is not None:
                because = f": {window.reason}" if window.reason else ""
                found[name] = f"frozen until {end:%a %Y-%m-%d %H:%M} {window.zone}{because}"
                break
    return found


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
