"""What pagers keep open until it is over: which alerts open an incident, which close it, and by what name."""

from lbctl.model.entry import Entry, Kind, Severity

_OF_INSTANCE = frozenset({Kind.OPERATION_FAILED, Kind.OPERATION_RECOVERED})
_OF_CERTIFICATE = frozenset({Kind.CERTIFICATE_VOID, Kind.POOL_CERTIFIED, Kind.POOL_CLAIMED})
_OF_JOURNAL = frozenset({Kind.JOURNAL_FAILED, Kind.JOURNAL_RECOVERED})
_CLOSERS = frozenset(
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
        Kind.JOURNAL_RECOVERED,
        Kind.OPERATION_RECOVERED,
        Kind.POOL_CERTIFIED,
        Kind.POOL_CLAIMED,
    }
)
"""After these nobody is needed any more for what was paged before; what else needs a person pages anew."""


def opens(entry: Entry) -> bool:
    """Return whether a person must act: the incident stays open until something closes it."""
    return entry.severity is Severity.PAGE


def closes(entry: Entry) -> bool:
    """Return whether the incident of the same name is over, should one be open."""
    return not opens(entry) and entry.kind in _CLOSERS


def name_of(entry: Entry) -> str:
    """Return the name of the incident an entry belongs to: one per release, old pool of one, journal, instance, else
    per kind. A void certificate is open until there is a new one or somebody claims the pool."""
    if entry.kind in _OF_CERTIFICATE:
        return f"certificate/{entry.service}"
    if entry.release is not None:
        return f"release/{entry.release}"
    if entry.kind in _OF_JOURNAL:
        return "journal"
    if entry.kind in _OF_INSTANCE:
        return f"instance/{entry.data.get('instance', '')}"
    return f"{entry.kind.value}/{entry.service or ''}"
