"""The words of `on:` in the configuration, and which entries each stands for."""

from collections.abc import Collection

from lbctl.model.entry import Entry, Kind, Severity

PAGE = "page"
"""Stands for every entry, of any kind, that a person must act on."""

WORDS: dict[str, frozenset[Kind]] = {
    "started": frozenset({Kind.RELEASE_STARTED, Kind.APPROVAL_AWAITED, Kind.APPROVAL_GIVEN}),
    "step": frozenset(
        {
            Kind.STEP_STARTED,
            Kind.STEP_REACHED,
            Kind.BAKE_STARTED,
            Kind.DRAIN_STARTED,
            Kind.SESSIONS_MOVED,
            Kind.SESSIONS_KEPT,
            Kind.SESSIONS_CLOSING,
            Kind.CONNECTIONS_CLOSED,
            Kind.POOL_EMPTIED,
            Kind.POOL_GRANTED,
            Kind.SESSIONS_CLOSED,
            Kind.POOL_STOPPED,
        }
    ),
    "finished": frozenset({Kind.RELEASE_FINISHED}),
    "certified": frozenset({Kind.POOL_CERTIFIED, Kind.CERTIFICATE_VOID}),
    "cancelled": frozenset({Kind.RELEASE_CANCELLED}),
    "rollback": frozenset(
        {
            Kind.ROLLBACK_STARTED,
            Kind.ROLLBACK_BLOCKED,
            Kind.ROLLBACK_FINISHED,
            Kind.REASON_GIVEN,
            Kind.RELEASE_CUT_SHORT,
        }
    ),
    "held": frozenset({Kind.HOLD_STARTED, Kind.HOLD_PAGED, Kind.HOLD_ENDED, Kind.STEP_RETREATED, Kind.STEP_RETURNED}),
    "paused": frozenset({Kind.RELEASE_PAUSED, Kind.RELEASE_RESUMED}),
    "drift": frozenset({Kind.DRIFT_FOUND, Kind.DRIFT_CORRECTED}),
    "instance": frozenset(
        {
            Kind.INSTANCE_RELOADED,
            Kind.INSTANCE_LOST,
            Kind.INSTANCE_FOUND,
            Kind.CONNECTIONS_STAY,
            Kind.OPERATION_FAILED,
            Kind.OPERATION_RECOVERED,
        }
    ),
    "health": frozenset({Kind.CHECKER_SUSPECTED, Kind.SERVER_CHANGED, Kind.SERVER_DRAINED, Kind.SERVER_UNDRAINED}),
    "journal": frozenset({Kind.JOURNAL_FAILED, Kind.JOURNAL_RECOVERED}),
    "service": frozenset({Kind.SERVICE_ADOPTED, Kind.MAINTENANCE_CHANGED, Kind.FREEZE_CHANGED}),
    "board": frozenset(
        {
            Kind.POOL_CLAIMED,
            Kind.CLAIM_ENDED,
            Kind.VERSION_READY,
            Kind.VERSION_WAITS,
            Kind.VERSION_WITHDRAWN,
        }
    ),
    "config": frozenset({Kind.CONFIG_RELOADED, Kind.CONFIG_REFUSED}),
    "daemon": frozenset({Kind.DAEMON_STARTED}),
    PAGE: frozenset(),
}

DEFAULT = frozenset(WORDS) - {"step"}
"""Everything but the noise: single steps, and requests whose sender was already told."""


def wanted(entry: Entry, on: Collection[str]) -> bool:
    """Return whether a channel with these words is told of `entry`. Unknown words stand for nothing."""
    if PAGE in on and entry.severity is Severity.PAGE:
        return True
    return any(entry.kind in WORDS.get(word, frozenset()) for word in on)


def minor(entry: Entry) -> bool:
    """Return whether it is one of the single steps of a release: of several only the last one matters to people."""
    return entry.release is not None and entry.kind in WORDS["step"]


def urgent(entry: Entry) -> bool:
    """Return whether it goes before everything that waits: a way back, or what a person must act on."""
    return entry.severity is Severity.PAGE or entry.kind in WORDS["rollback"]


def superseded(entry: Entry, later: Entry) -> bool:
    """Return whether people need not be told of `entry` once they are told of `later`."""
    if entry.release is None or entry.release != later.release:
        return False
    paged = (entry.kind, later.kind) == (Kind.HOLD_STARTED, Kind.HOLD_PAGED)
    return minor(entry) or (paged and entry.data.get("code") == later.data.get("code"))
