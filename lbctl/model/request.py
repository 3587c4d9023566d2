"""What a person or CI asks for. Built and authorised by the control socket, decided by the core."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lbctl.model.names import Colour, ReleaseId, ServerName, ServiceName, UnitName
from lbctl.model.record import Contract, people
from lbctl.model.topology import Plan
from lbctl.model.units import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Common to all requests: who asks (`uid 1000 pid 4711`, and the number alone), why, and the number its answer
    goes to. `login`: as whom that user logged in, before `sudo` or `su`; None if nobody did.

    `nonce` is fresh randomness for a token and `wall` the wall time for people; the core has neither.
    """

    id: int
    actor: str
    reason: str = ""
    nonce: str = ""
    wall: str = ""
    uid: int | None = None
    login: int | None = None

    @property
    def people(self) -> tuple[int, ...]:
        """As whom the asker is known."""
        return people(self.uid, self.login)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adopt(Asked):
    """Start driving a service whose traffic is on `active`. `settle`: bring all new traffic there first."""

    service: ServiceName
    active: Colour
    version: str = "unknown"
    contract: Contract = field(default_factory=Contract)
    settle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintenance(Asked):
    """Stop (or resume) all writes, of one service or of all (None)."""

    service: ServiceName | None
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze(Asked):
    """Let nothing of `target` (None: of all) go forward from now `until` a wall time of `zone`, or (empty) until it is
    removed. `over` are windows whose time is over, which the core cannot know."""

    name: str
    target: str | None
    until: str
    zone: str
    over: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfreeze(Asked):
    """Remove a freeze window that a person made."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim(Asked):
    """Hold the pool of `service` that may be deployed to, for `build`; without one for whoever asks.

    `take_over`: although another holder has it. Whoever asks has seen to it that nothing is deployed there any more.
    """

    service: ServiceName
    build: str = ""
    take_over: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveBack(Asked):
    """End the claim of `service` that `build` holds; without one that of whoever asks. Nothing is deployed any more."""

    service: ServiceName
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SayReady(Asked):
    """A version is deployed to the claimed pool of `service` and may go as soon as its unit has a set that fits."""

    service: ServiceName
    version: str
    build: str
    contract: Contract


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Asked):
    """Take the record of `service` off the board."""

    service: ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Switch(Asked):
    """Release `service` to the other pool by `plan`. `to` None: the pool that is not active.

    `followers`: services of its unit that go with it, with their versions; `service` is then the carrier. `unchecked`:
    a person says that these versions can speak with each other, where contracts would be compared else.
    """

    service: ServiceName
    to: Colour | None
    version: str
    plan: Plan
    followers: Mapping[ServiceName, str] = field(default_factory=dict)
    unchecked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainServer(Asked):
    """Give a server no new sessions (`on`), or let it be ready again."""

    service: ServiceName
    colour: Colour
    server: ServerName
    on: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OnRelease(Asked):
    """Common to requests on a running release."""

    release: ReleaseId


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause(OnRelease):
    """Hold the release where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume(OnRelease):
    """End a pause, clear latched holds, and give a release without go-token a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve(OnRelease):
    """Say yes before first traffic. `groups` are those of whoever asks, by number."""

    groups: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote(OnRelease):
    """Go to the next step now (`full`: to 100 %), over time, missing evidence and shared or active-only holds."""

    full: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback(OnRelease):
    """Go back now, in any phase before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(OnRelease):
    """End the release: before first traffic at once, afterwards as a person's rollback."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SayStopped(OnRelease):
    """The old pool of `service` is stopped: nothing of it calls anybody any more."""

    service: ServiceName


@dataclass(frozen=True, slots=True, kw_only=True)
class Undo(Asked):
    """Go back to what served before the last release of `unit`: a rollback while that may still be, else a new release
    of the recorded versions."""

    unit: UnitName
    plan: Plan


Steering = Pause | Resume | Approve | Promote | Rollback | Cancel | SayStopped
Request = (
    Adopt
    | Maintenance
    | Freeze
    | Unfreeze
    | Claim
    | GiveBack
    | SayReady
    | Withdraw
    | Switch
    | Undo
    | DrainServer
    | Steering
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the core says to a request. Accepted ones are told when their record is durable."""

    request_id: int
    accepted: bool
    body: dict[str, Any]
    """Accepted: facts for the caller (`release`, `phase`). Refused: `code`, `what`, `why`, `then`, `exit_code`."""
    after_rev: int = 0
    """Not to be told before this revision is durable."""
    goes_back: bool = False
    """A `back` token was marked for it: it is carried out by that, even if it cannot be recorded now."""
    at: Instant | None = None
    """When it was decided; a refusal has no such time."""
