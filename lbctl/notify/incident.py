"""What pagers keep open until it is over: which alerts open an incident, by what name, and how each one ends."""

from collections.abc import Iterable
from dataclasses import dataclass

from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.units import HOUR, Span

ONE_OFF = Span(24 * HOUR)
"""An incident that nothing else ends is over so long after the last alert that opened it."""
OPEN_OF = "incidents/{}"
"""Where what is open at a channel is kept."""
LOST_ALERTS = "once/alerts"
"""Alerts that were not delivered in time: among them may be what a person must act on."""


@dataclass(frozen=True, slots=True)
class Life:
    """How an incident ends: by one of these facts about the same thing, and by itself so long after it was opened."""

    over_by: frozenset[Kind] = frozenset()
    lasts: Span | None = None


LIVES: dict[str, Life] = {
    "release": Life(
        frozenset(
            {
                Kind.HOLD_ENDED,
                Kind.RELEASE_RESUMED,
                Kind.STEP_STARTED,
                Kind.BAKE_STARTED,
                Kind.DRAIN_STARTED,
                Kind.ROLLBACK_STARTED,
                Kind.ROLLBACK_FINISHED,
                Kind.RELEASE_FINISHED,
                Kind.RELEASE_CANCELLED,
            }
        )
    ),
    # Open until there is a new one or somebody claims the pool, whatever becomes of the release it was of.
    "certificate": Life(frozenset({Kind.POOL_CERTIFIED, Kind.POOL_CLAIMED})),
    # A set that cannot go has left the board: its team comes again, or nobody does.
    "board": Life(frozenset({Kind.VERSION_READY, Kind.POOL_CLAIMED, Kind.RELEASE_STARTED}), ONE_OFF),
    # What still stands after a start is told anew then: a life that ended says nothing of what was over since.
    "journal": Life(frozenset({Kind.JOURNAL_RECOVERED, Kind.DAEMON_STARTED})),
    "instance": Life(frozenset({Kind.OPERATION_RECOVERED, Kind.DAEMON_STARTED})),
    "once": Life(lasts=ONE_OFF),
}
"""By the first word of an incident's name. After these facts nobody is needed any more for what was paged before; what
else needs a person pages anew."""


def opens(entry: Entry) -> bool:
    """Return whether a person must act: the incident stays open until something closes it."""
    return entry.severity is Severity.PAGE


def name_of(entry: Entry) -> str:
    """Return the name of the incident an entry opens, should it do so: one per release, old pool, service of the board,
    journal, instance, else per kind and service."""
    if entry.kind is Kind.CERTIFICATE_VOID:
        return f"certificate/{entry.service}"
    if entry.release is not None:
        return f"release/{entry.release}"
    if entry.kind is Kind.VERSION_WITHDRAWN:
        return f"board/{entry.service}"
    if entry.kind is Kind.JOURNAL_FAILED and "found" not in entry.data:
        return "journal"
    if entry.kind is Kind.OPERATION_FAILED:
        return f"instance/{entry.data.get('instance', '')}"
    return f"once/{entry.kind.value}/{entry.service or ''}"


def lasts(name: str) -> Span | None:
    """Return after what time an incident of this name ends by itself; None: something else ends it."""
    return LIVES[_today(name).partition("/")[0]].lasts


def _today(name: str) -> str:
    """Return what an incident is called now that an earlier version of lbctl may have opened by another name."""
    what, _, about = name.partition("/")
    if what == "certificate":
        return f"certificate/{about.rpartition('/')[2]}"
    if what in LIVES:
        return name
    return f"{_FORMERLY[what]}/{about}" if what in _FORMERLY else f"once/{name}"


_FORMERLY = {Kind.CERTIFICATE_VOID.value: "certificate", Kind.VERSION_WITHDRAWN.value: "board"}


def closes(entry: Entry) -> tuple[str, ...]:
    """Return the names of the incidents that are over, should they be open; one that ends in `/` stands for all that
    begin so."""
    found = (_over(what, entry) for what, life in LIVES.items() if entry.kind in life.over_by)
    return tuple(name for name in found if name and not (opens(entry) and name == name_of(entry)))


def _over(what: str, entry: Entry) -> str:
    match what:
        case "release":
            return f"release/{entry.release}" if entry.release is not None else ""
        case "journal":
            return "journal"
        case "instance":
            return f"instance/{entry.data.get('instance', '')}"
        case _:
            return f"{what}/{entry.service}"


def meant(patterns: Iterable[str], names: Iterable[str]) -> list[str]:
    """Return those of `names` that one of the patterns stands for, also by names of earlier versions."""
    wanted = tuple(patterns)
    return [name for name in names if any(_stands_for(one, name) for one in wanted)]


def _stands_for(pattern: str, name: str) -> bool:
    return _today(name) == _today(pattern) or (pattern[-1:] == "/" and name.startswith(pattern))
