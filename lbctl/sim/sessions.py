"""Users with sticky sessions in the simulated world: each comes back now and then, by any load balancer, with cookies.

What they meet is checked against what was ordered, not against what the core believes it sees.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from random import Random

from lbctl.core.leaving import CLOSE_PER_SECOND
from lbctl.core.rollcall import RollCall
from lbctl.model.names import Colour, InstanceName, ReleaseId
from lbctl.model.record import Phase, Release
from lbctl.model.sessions import AtDeadline, SessionPolicy
from lbctl.model.units import BP_FULL, SECOND, Instant, Span
from lbctl.sim.balancer import Balancer
from lbctl.sim.watch import ViolationError, Watch

COUNT = 100
RETURNS = 0.15
"""The chance that a user comes back within a tick."""
WINDOW_MS = 10 * SECOND
SLACK = 15
"""Sessions that had been due to move before, and those that share a bucket."""


POLICIES = (
    SessionPolicy(),
    SessionPolicy(per_second=4),
    SessionPolicy(per_second=4, deadline=Span(10_000), at_deadline=AtDeadline.CLOSE),
    SessionPolicy(deadline=Span(5_000), at_deadline=AtDeadline.CLOSE),
)
"""How sessions leave; they are a hundred."""
NOBODY = (None,) * 6
"""In more than half of the worlds there are none."""


@dataclass(slots=True)
class User:
    """One session: its bucket never changes, its colour is what its cookie says."""

    bucket: int
    colour: Colour
    moved_in: ReleaseId | None = None
    """The release in which it last changed colour, other than on the way back."""


@dataclass(slots=True)
class Users:
    """All of them, from `begin` on. They are first on blue."""

    chance: Random
    users: list[User] = field(default_factory=list)
    calls: dict[InstanceName, RollCall] = field(default_factory=dict)
    moves: list[Instant] = field(default_factory=list)
    cut_off_until: Instant = Instant(-1)
    """Until then only the first one can come."""
    disturbed_in: set[ReleaseId] = field(default_factory=set)
    """Releases during which somebody else changed a route: what users meet is then not lbctl's doing alone."""
    came_at: dict[Colour, Instant] = field(default_factory=dict)
    """When the last session of a colour came."""
    over_in: set[tuple[ReleaseId, Colour]] = field(default_factory=set)
    """Colours to which no session came for `drain.idle` during a release: theirs are over, and may go anywhere."""

    def begin(self) -> None:
        """Let there be users; a world without them has pools that nobody comes back to."""
        self.users = self.users or [User(self.chance.randrange(BP_FULL), Colour.BLUE) for _ in range(COUNT)]

    def chosen(self) -> SessionPolicy | None:
        """Choose how they leave; None: there are none."""
        policy = self.chance.choice((*POLICIES, *NOBODY))
        if policy is not None:
            self.begin()
        return policy

    def watched_anew(self, names: Iterable[InstanceName], now: Instant) -> None:
        """A new process knows nobody."""
        self.calls = {name: RollCall(now) for name in names}

    def disturbed(self, release: Release | None) -> None:
        """Somebody changed a route by hand."""
        self.disturbed_in |= set() if release is None else {release.id}

    def come(
        self,
        balancers: Mapping[InstanceName, Balancer],
        release: Release | None,
        now: Instant,
        watch: Watch,
        idle: Span,
    ) -> None:
        """Let some come back. Those of a release that was told to go back may go back, too."""
        if release is not None:
            over = {colour for colour, came_at in self.came_at.items() if now - came_at >= idle}
            self.over_in |= {(release.id, colour) for colour in over}
        names, back = list(balancers), release is not None and release.id in watch.forbidden
        for user in self.users[:1] if now < self.cut_off_until else self.users:
            if self.chance.random() < RETURNS:
                name = names[0] if len(names) == 1 else self.chance.choice(names)
                call, keep_bp = self.calls.get(name), balancers[name].routes.keep_bp(user.colour)
                self.came_at[user.colour] = now
                if user.bucket < keep_bp:
                    balancers[name].serve(user.colour, 1, 0, now)
                    if call is not None:
                        call.kept(user.colour, user.bucket)
                    continue
                watch.count("session moved")
                origin, user.colour = user.colour, user.colour.other
                balancers[name].serve(user.colour, 1, 0, now)
                if call is not None:
                    call.moved(origin, user.bucket)
                if release is not None and release.id not in self.disturbed_in:
                    self._moved(user, release, now, back=back or (release.id, origin) in self.over_in)

    def _moved(self, user: User, release: Release, now: Instant, *, back: bool) -> None:
        if back:
            user.moved_in = None
            return
        if release.phase not in {Phase.DRAINING, Phase.FINISHED}:
            # What the release before left behind may still arrive; nothing else moves anybody now.
            return
        if user.moved_in == release.id:
            raise ViolationError(f"a session of bucket {user.bucket} changed colour twice in release {release.id}")
        user.moved_in = release.id
        self._paced(release, now)

    def _paced(self, release: Release, now: Instant) -> None:
        policy = release.plan.sessions
        if policy.per_second is None and policy.at_deadline is AtDeadline.KEEP:
            raise ViolationError(f"a session was moved in release {release.id}, and they were to wait")
        self.moves = [at for at in self.moves if now - at < WINDOW_MS] + [now]
        per_second = policy.per_second or CLOSE_PER_SECOND
        if len(self.moves) > 1.5 * per_second * WINDOW_MS / SECOND + SLACK:
            raise ViolationError(f"{len(self.moves)} sessions moved within ten seconds, {per_second} a second")
