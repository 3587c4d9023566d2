"""Journal entries: what happened, told once. Alerts, history, events and audit are all read from these."""

from dataclasses import dataclass, field
from enum import StrEnum

from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.units import Instant

Scalar = str | int | float | bool | None


class Severity(StrEnum):
    """`info`: as planned. `warning`: lbctl copes. `page`: a person must act."""

    INFO = "info"
    WARNING = "warning"
    PAGE = "page"


class Kind(StrEnum):
    """Every event lbctl tells: a fixed dotted past-tense fact. The reference page is generated from this list."""

    SERVICE_ADOPTED = "service.adopted"
    VERSION_READY = "version.ready"
    VERSION_WITHDRAWN = "version.withdrawn"
    VERSION_WAITS = "version.waits"
    POOL_CLAIMED = "pool.claimed"
    POOL_EMPTIED = "pool.emptied"
    POOL_GRANTED = "pool.granted"
    CLAIM_ENDED = "claim.ended"
    MAINTENANCE_CHANGED = "maintenance.changed"
    FREEZE_CHANGED = "freeze.changed"
    RELEASE_STARTED = "release.started"
    APPROVAL_AWAITED = "approval.awaited"
    APPROVAL_GIVEN = "approval.given"
    STEP_STARTED = "step.started"
    STEP_RETREATED = "step.retreated"
    STEP_RETURNED = "step.returned"
    STEP_REACHED = "step.reached"
    BAKE_STARTED = "bake.started"
    DRAIN_STARTED = "drain.started"
    SESSIONS_CLOSED = "sessions.closed"
    POOL_CERTIFIED = "pool.certified"
    POOL_STOPPED = "pool.stopped"
    CERTIFICATE_VOID = "certificate.void"
    SERVER_DRAINED = "server.drained"
    SERVER_UNDRAINED = "server.undrained"
    SESSIONS_MOVED = "sessions.moved"
    SESSIONS_KEPT = "sessions.kept"
    SESSIONS_CLOSING = "sessions.closing"
    CONNECTIONS_CLOSED = "connections.closed"
    CONNECTIONS_STAY = "connections.stay"
    RELEASE_CUT_SHORT = "release.cut_short"
    RELEASE_FINISHED = "release.finished"
    RELEASE_CANCELLED = "release.cancelled"
    ROLLBACK_STARTED = "rollback.started"
    ROLLBACK_BLOCKED = "rollback.blocked"
    ROLLBACK_FINISHED = "rollback.finished"
    REASON_GIVEN = "reason.given"
    RELEASE_PAUSED = "release.paused"
    RELEASE_RESUMED = "release.resumed"
    HOLD_STARTED = "hold.started"
    HOLD_ENDED = "hold.ended"
    HOLD_PAGED = "hold.paged"
    DRIFT_FOUND = "drift.found"
    DRIFT_CORRECTED = "drift.corrected"
    INSTANCE_RELOADED = "instance.reloaded"
    INSTANCE_LOST = "instance.lost"
    INSTANCE_FOUND = "instance.found"
    SERVER_CHANGED = "server.changed"
    CHECKER_SUSPECTED = "checker.suspected"
    JOURNAL_FAILED = "journal.failed"
    JOURNAL_RECOVERED = "journal.recovered"
    OPERATION_FAILED = "operation.failed"
    OPERATION_RECOVERED = "operation.recovered"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REFUSED = "config.refused"
    DAEMON_STARTED = "daemon.started"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One fact for people and machines. `text` is one sentence with the numbers; `data` the same for machines."""

    kind: Kind
    at: Instant
    text: str
    severity: Severity = Severity.INFO
    service: ServiceName | None = None
    release: ReleaseId | None = None
    actor: str = ""
    data: dict[str, Scalar] = field(default_factory=dict)
