"""Whatever people ask and whatever breaks, in any order: the watch sees nothing forbidden, and everything ends.

Hypothesis chooses the events here, so a failure comes back as the shortest story that shows it.
"""

from dataclasses import replace
from itertools import count

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lbctl.core.invariants import check
from lbctl.model.names import Colour, InstanceName
from lbctl.model.record import Record
from lbctl.model.request import Cancel, Pause, Promote, Rollback
from lbctl.model.route import Route
from lbctl.model.sessions import SessionPolicy
from lbctl.model.topology import DriftPolicy, Plan, SessionsBack
from lbctl.model.units import Instant, Span
from lbctl.sim.chance import NONE
from lbctl.sim.core import REAL
from lbctl.sim.run import peace
from lbctl.sim.sessions import POLICIES
from lbctl.sim.world import SERVERS, SERVICE, World

LB = st.sampled_from((InstanceName("edge/lb1"), InstanceName("edge/lb2")))
ROUTES = st.builds(Route, st.sampled_from((0, 700, 2_500, 10_000)), st.sampled_from((0, 10_000)), st.just(10_000))


class Releases(RuleBasedStateMachine):
    """Two load balancers and everything that can happen to them."""

    @initialize(one_file=st.booleans())
    def begin(self, *, one_file: bool) -> None:
        self.world = World(REAL, 1, NONE, instances=2, orderly=True)
        for balancer in self.world.balancers.values():
            balancer.one_file = one_file
        self.seen = Record()
        self.ids = count(1_000_000)
        self._run(1)
        self.world.ask(self.world.asking.adopt(Colour.BLUE, settle=False))
        self._run(15)

    @rule(policy=st.sampled_from(POLICIES))
    def sessions_leave_otherwise(self, policy: SessionPolicy) -> None:
        if not self.world.users.users:
            # Nobody has a session on a pool that was closed because nobody came: they are where new ones go.
            self.world.users.begin()
            for user in self.world.users.users:
                user.colour = self.world.disk.record.services[SERVICE].active
        service = replace(self.world.topology.services[SERVICE], sessions=policy)
        self.world.topology = replace(self.world.topology, services={SERVICE: service})
        if self.world.process is not None:
            self.world.process.state = replace(self.world.process.state, topology=self.world.topology)

    @rule(sessions=st.sampled_from(SessionsBack), drift=st.sampled_from(DriftPolicy))
    def switch(self, sessions: SessionsBack, drift: DriftPolicy) -> None:
        plan = Plan(
            steps_bp=(500, 5_000, 10_000),
            hold_min=Span(200),
            bake=Span(200),
            retain=Span(500),
            preflight=Span(5_000),
            sessions_back=sessions,
            drift=drift,
        )
        self.world.ask(self.world.asking.switch(plan))
        self._run(8)

    @rule(kind=st.sampled_from((Pause, Rollback, Cancel)))
    def stop(self, kind: type[Pause | Rollback | Cancel]) -> None:
        release = self._record().running(SERVICE)
        if release is not None:
            self.world.ask(kind(id=next(self.ids), actor="ann", release=release.id))

    @rule(full=st.booleans())
    def promote(self, *, full: bool) -> None:
        release = self._record().running(SERVICE)
        if release is not None:
            self.world.ask(Promote(id=next(self.ids), actor="ann", release=release.id, full=full))

    @rule()
    def resume(self) -> None:
        release = self._record().running(SERVICE)
        if release is not None:
            self.world.ask(self.world.asking.resume(release.id))

    @rule(on=st.booleans())
    def maintenance(self, *, on: bool) -> None:
        self.world.ask(self.world.asking.maintenance(on=on, every=False))

    @rule(ticks=st.integers(1, 12))
    def wait(self, ticks: int) -> None:
        self._run(ticks)

    @rule(name=LB, keep_old=st.booleans())
    def reload(self, name: InstanceName, *, keep_old: bool) -> None:
        self.world.reload(self.world.balancers[name], keep_old=keep_old)

    @rule(name=LB, route=ROUTES, boot=st.booleans())
    def edit(self, name: InstanceName, route: Route, *, boot: bool) -> None:
        self.world.edit(self.world.balancers[name], route, boot=boot)

    @rule(name=LB, for_ms=st.integers(100, 3_000), readable=st.booleans())
    def stall(self, name: InstanceName, for_ms: int, *, readable: bool) -> None:
        balancer = self.world.balancers[name]
        balancer.stalled_until = Instant(self.world.now + for_ms)
        if not readable:
            balancer.unreadable_until = balancer.stalled_until

    @rule(full=st.booleans())
    def journal(self, *, full: bool) -> None:
        self.world.disk.full = full

    @rule(where=st.sampled_from(("after Mark", "before Save", "after Save", "after durable", "within Apply runtime")))
    def crash_soon(self, where: str) -> None:
        self.world.crash_at = where

    @rule(reboot=st.booleans())
    def crash(self, *, reboot: bool) -> None:
        self.world.kill(reboot=reboot)

    @rule()
    def start(self) -> None:
        self.world.down_until = self.world.now

    @rule(colour=st.sampled_from(Colour), dead=st.booleans())
    def servers(self, colour: Colour, *, dead: bool) -> None:
        if dead:
            self.world.up -= set(SERVERS[colour])
        else:
            self.world.up |= set(SERVERS[colour])

    @rule(colour=st.sampled_from(Colour), ratio=st.sampled_from((0.0, 0.5)))
    def errors(self, colour: Colour, ratio: float) -> None:
        self.world.error_ratio[colour] = ratio

    @invariant()
    def the_disk_goes_forward_by_allowed_steps(self) -> None:
        record = self.world.disk.record if hasattr(self, "world") else Record()
        if record.rev != getattr(self, "seen", record).rev and record.next_release == self.seen.next_release:
            self._checked(record)
        self.seen = record

    def teardown(self) -> None:
        """Everything works again: whatever runs ends."""
        if hasattr(self, "world"):
            self.world.down_until = self.world.now
            self.world.crash_at = ""
            peace(self.world)

    def _checked(self, record: Record) -> None:
        old, new = self.seen.releases.get(SERVICE), record.releases.get(SERVICE)
        if old is not None and new is not None and old.phase.value.startswith("roll"):
            assert new.phase.value.startswith("roll")
            assert new.share_bp == 0
        if old is None or new is None or old.phase is new.phase:
            check(self.seen, record)

    def _run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.world.tick()

    def _record(self) -> Record:
        return self.world.disk.record if self.world.process is None else self.world.process.state.record


TestReleases = Releases.TestCase
TestReleases.settings = settings(max_examples=40, stateful_step_count=25)


def test_what_a_person_writes_between_a_reading_and_an_order_is_no_fault_of_the_order() -> None:
    found = Releases()
    found.begin(one_file=False)
    _, second = found.world.balancers
    found.servers(Colour.BLUE, dead=True)
    found.edit(second, Route(0, 0, 10_000), boot=True)
    found.wait(1)
    found.edit(second, Route(700, 0, 10_000), boot=True)
    found.wait(8)
    found.teardown()
