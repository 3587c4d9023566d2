"""What the API answers, as forms: for the OpenAPI document and for tests. More keys may come; none will go."""

from typing import Any, Literal

import msgspec

from lbctl.control.boardanswers import CellView, ClaimView, ColourWord, PinView, ReadyView
from lbctl.control.sessionanswers import MeasuredView, RequestTimes, SessionsView
from lbctl.control.voids import VoidedView


class Held(msgspec.Struct):
    """Why it waits for more than time."""

    reason: str
    code: str
    since_ms: int
    needs: str = ""


class DrainedView(msgspec.Struct):
    """A server that a person drains (`drain`), or lets be ready again (`ends`). `read_back`: by every load balancer."""

    by: str
    state: Literal["drain", "ends"]
    read_back: bool
    waits: str
    """Why it is not read back, or why nobody can say that nobody is there; empty: it is."""


class ServerView(msgspec.Struct):
    """One server. Null: not known; counts are so as long as one of the load balancers cannot be read. `in_flight` is by
    all their workers."""

    up: bool | None
    weight: int | None
    in_flight: int | None
    pool: ColourWord
    detail: str
    requests: int | None
    errors: int | None
    drained: DrainedView | None = None
    draining: bool = False
    """It is up, and gets no new sessions by somebody's order."""
    says: str | None = None
    """The version that it named last; null: it was not asked lately, or named none."""


class PoolView(msgspec.Struct):
    """One pool, over all instances. Counts are null as long as one of them cannot be read."""

    state: str | None
    version: str | None
    requests: int | None
    errors: int | None
    in_flight: int | None
    up_count: int
    server_count: int
    keep_bp: int | None
    drained_count: int = 0
    """How many of those that are up get no new sessions, by somebody's order."""
    certified: bool = False
    attested: dict[str, int] = {}
    """Versions that its servers named last, and how many did; empty: nobody asked lately."""
    holders: list[dict[str, Any]] = []
    voided: VoidedView | None = None
    unproven: str = ""
    """Why the old pool of a service at rest is not proved unused; empty: it is, or is no such pool."""


class WorkerHolder(msgspec.Struct):
    """Who is in flight on an old worker, and for how long; `client` empty: the load balancer does not tell."""

    service: str
    client: str
    server: str
    age_ms: int


class OldWorkerView(msgspec.Struct):
    """An old worker that still holds work. `old_since_wall` empty: it is not told when the next one began. `kept_by`:
    who is there, of any service, the oldest first; not all of them, where there are many."""

    generation: str
    old_since_wall: str
    kept_by: list[WorkerHolder]
    text: str


class InstanceView(msgspec.Struct):
    """One running load balancer. `routes` and `boot` are GREEN:KEEP_BLUE:KEEP_GREEN in basis points."""

    reachable: bool
    reason: str
    generation: str | None
    old_generations: int
    routes: list[str]
    boot: str | None
    warnings: list[str] = []
    request_times: RequestTimes | None = None
    measured: MeasuredView | None = None
    old_workers: list[OldWorkerView] = []


class Step(msgspec.Struct):
    """Where in its steps a release is; `since_ms` is the time at this step. `planned` requests of the candidate must be
    judged before it is done (0: time decides), `judged` are."""

    index: int
    count: int
    share_bp: int
    since_ms: int
    hold_min_ms: int
    judged: int = 0
    planned: int = 0


class Verdict(msgspec.Struct):
    """What the judge says: it goes back by itself when `odds` reach `limit`."""

    word: str
    code: str
    reason: str
    odds: float | None
    limit: float | None


class ServiceView(msgspec.Struct):
    """One service. Shares are the candidate's; after a release those of its `to`. Of a follower, phase, share and
    release are those of its release."""

    active: ColourWord | None
    candidate: ColourWord | None
    share_bp: int
    observed_share_bp: int | None
    phase: str | None
    held: Held | None
    release: str | None
    mode: Literal["observe", "adopted", "maintenance"]
    servers: dict[str, ServerView]
    pools: dict[str, PoolView]
    instances: dict[str, InstanceView]
    step: Step | None
    next: str
    verdict: Verdict | None
    outcome: str = ""
    result: str = ""
    """How that release ended: certified, unproven, rolled_back or cancelled; empty while it runs."""
    claim: ClaimView | None = None
    board: ReadyView | None = None
    sessions: dict[str, SessionsView] = {}
    unready: list[dict[str, str]] = []
    """What of its load balancers a release would wait for: `code` and `text`, as in a plan."""


class UnitView(msgspec.Struct):
    """Services released together. `carrier` and `members` are those of the running release. `pins` are named by
    provider and consumer pool: `accounts<storefront-blue`. `matrix` is who called whom, by provider."""

    services: list[str]
    carrier: str | None
    phase: str | None
    release: str | None
    board: dict[str, ReadyView]
    pins: dict[str, PinView]
    claims: dict[str, ClaimView] = {}
    members: list[str] = []
    share_bp: int = 0
    observed_share_bp: int | None = None
    held: Held | None = None
    step: Step | None = None
    next: str = ""
    result: str = ""
    """How that release ended: certified, unproven, rolled_back or cancelled; empty while it runs."""
    matrix: dict[str, list[CellView]] = {}


class Status(msgspec.Struct):
    """`daemon.journal` is `ok` or why it cannot be written. `units` are those of several services."""

    services: dict[str, ServiceView]
    units: dict[str, UnitView]
    daemon: dict[str, Any]


class AdoptedAnswer(msgspec.Struct):
    """The service is driven from now on. `warning`: servers of the pool that say that they run another version."""

    service: str
    active: ColourWord
    version: str
    warning: str = ""


class MaintenanceAnswer(msgspec.Struct):
    """`service` null: of all."""

    maintenance: bool
    service: str | None


class Started(msgspec.Struct):
    """A release began. `service` carries the split; `members` are all its services with their versions."""

    release: str
    service: str
    from_: str = msgspec.field(name="from")
    to: str
    phase: str
    steps_bp: list[int]
    unit: str | None = None
    members: dict[str, str] = {}


class Changed(msgspec.Struct):
    """What the request made of the release; `did` is for people. `note`: what is still to come without a journal."""

    release: str
    service: str
    phase: str
    share_bp: int
    did: str
    note: str = ""


class Event(msgspec.Struct):
    """One fact of the journal."""

    id: int
    wall: str
    kind: str
    severity: str
    service: str | None
    release: str | None
    text: str
    actor: str
    data: dict[str, Any]


class ReleaseMember(msgspec.Struct):
    """One service of a release."""

    service: str
    from_: str = msgspec.field(name="from")
    to: str
    version: str
    build: str = ""


class ApprovalsView(msgspec.Struct):
    """How many people of `group` must approve before first traffic, and who did."""

    count: int
    group: str
    given: list[str]


class ReleaseView(msgspec.Struct):
    """One release; `service` carries the split, `members` has it first. `unit` null: it is a unit of its own.
    `back_by`: who wanted the way back, null while there is none. `certificates` of old pools, by service."""

    id: str
    phase: str
    service: str
    from_: str = msgspec.field(name="from")
    to: str
    version: str
    share_bp: int
    started_wall: str
    outcome: str
    reason: str
    initiator: str
    baked: bool
    back_by: str | None
    unit: str | None
    members: list[ReleaseMember]
    approvals: ApprovalsView | None = None
    ended_wall: str | None = None
    certificates: dict[str, dict[str, Any] | None] = {}
    stopped: dict[str, str] = {}
    plan: dict[str, Any] = {}
    held: Held | None = None
    events: list[Event] = []
    result: str = ""
    """How it ended: certified, unproven, rolled_back or cancelled; empty while it runs."""


class Releases(msgspec.Struct):
    """Newest first."""

    releases: list[ReleaseView]


class OneRelease(msgspec.Struct):
    """One release."""

    release: ReleaseView


class WhyLine(msgspec.Struct):
    """One reason to wait. `code` is what programs go by, a hold's own where it is one; `by_itself`: time ends it."""

    what: str
    since_ms: int
    needs: str
    deadline: str
    then: str
    code: str = ""
    by_itself: bool = False


class WhyAnswer(msgspec.Struct):
    """Why a release waits, and what is on the board. `release` null: there was none yet."""

    service: str
    release: str | None
    phase: str | None
    lines: list[WhyLine]
    unit: str | None = None


class Explained(msgspec.Struct):
    """Why a release is where it is; `not` is what does not speak against the candidate."""

    release: str
    summary: str
    why: list[str]
    not_: list[str] = msgspec.field(name="not")
    seen: list[str]
    decisions: list[Event]


class Events(msgspec.Struct):
    """Ids rise."""

    events: list[Event]


class AlertTested(msgspec.Struct):
    """`result` is `sent` or `failed`."""

    alert: str
    result: str
    detail: str


class ConfigReloaded(msgspec.Struct):
    """Of the config file that is in force now."""

    config: str
    services: list[str]


class VersionAnswer(msgspec.Struct):
    """Who is running."""

    version: str
    pid: int
    config: str
    uptime_s: int


class ProblemAnswer(msgspec.Struct):
    """RFC 9457: `title` is what, `detail` why, `then` the next command, `exit_code` what lbctl exits with."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    then: str
    exit_code: int
