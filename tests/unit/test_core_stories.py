"""Stories of two services behind two load balancers, each told to the end: what is decided, answered, ordered and told.

The stories stand in `stories/*.txt`. `UPDATE=1` writes them anew: read the difference.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lbctl.core.claims import claim_granted
from lbctl.model.census import Program, Strangers
from lbctl.model.hook import Hook, NoAnswer, Point, Word
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.reading import Holder, InstanceReading, Observed, Unreadable
from lbctl.model.record import Contract
from lbctl.model.request import (
    Adopt,
    Approve,
    Cancel,
    Claim,
    DrainServer,
    Freeze,
    GiveBack,
    Maintenance,
    Pause,
    Promote,
    Resume,
    Rollback,
    SayReady,
    SayStopped,
    Switch,
    Undo,
    Unfreeze,
    Withdraw,
)
from lbctl.model.route import Caller
from lbctl.model.topology import Approvals, Plan
from lbctl.model.units import DAY, HOUR, MINUTE, Instant, Span
from tests.shop import LB1, LB2, PLAN, SHOP, A, B, Shop
from tests.transcript import Written

STORIES = Path(__file__).parent / "stories"
BLUE, GREEN = Colour.BLUE, Colour.GREEN
SLOW = replace(PLAN, hold_min=Span(60_000), bake=Span(60_000), retain=Span(60_000))
NOBODY = "s-green-0"


class Told(Written):
    """The words of the stories."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self._asked = 7_000

    def says(self, kind: Any, **about: Any) -> None:
        """Somebody asks something."""
        self._asked += 1
        named = {"id": self._asked, "actor": about.pop("actor", "ann"), **about}
        self.ask(kind(**named))

    def of_release(self, kind: Any, **about: Any) -> None:
        release = self.shop.release
        assert release is not None
        self.says(kind, release=release.id, **about)

    def claims(self, name: ServiceName, **about: Any) -> None:
        self.says(Claim, actor="ci", service=name, **about)
        self.run(3)

    def deploys(self, name: ServiceName, version: int, **contract: Any) -> None:
        """A pipeline claims, deploys and says ready."""
        build = f"{name}/{version}"
        if not claim_granted(self.shop.state, name):
            self.claims(name, build=build)
        for _ in range(30):
            if not claim_granted(self.shop.state, name):
                self.run(1)
        self.shop.deployed[name, self.shop.active(name).other] = version
        self.says(
            SayReady,
            actor="ci",
            service=name,
            version=str(version),
            build=build,
            contract=Contract(**contract),
            nonce=f"n{version}",
        )

    def both(self, plan: Plan = PLAN, **unit: Any) -> None:
        """Both deploy what fits only together."""
        self.shop.reconfigure(plan=plan, **unit)
        self.deploys(A, 2, provides={"accounts-api": (2,)})
        self.deploys(B, 2, requires={"accounts-api": "2"})
        self.run(1)

    def reads(self, **changes: Any) -> None:
        """What the first load balancer says instead, from now on."""

        def alter(seen: Observed) -> Observed:
            reading = seen.instances[LB1]
            assert isinstance(reading, InstanceReading)
            return replace(seen, instances={**seen.instances, LB1: replace(reading, **changes)})

        self.shop.alter = alter

    def sees(self, **changes: Any) -> None:
        """What is seen instead, from now on."""
        self.shop.alter = lambda seen: replace(seen, **changes)


def sleeps(told: Told, span: int) -> None:
    told.shop.now = Instant(told.shop.now + span)
    told.does(f"{span // 1_000} s pass")
    told.run(3)


@cache
def claimed() -> Shop:
    """Both idle pools are claimed for the builds that go together in most stories."""
    shop = Shop(users=1)
    for name in (A, B):
        assert shop.claim(name, build=f"{name}/2").accepted
    shop.run(2)
    return shop


# ---- the stories


def both_go_over_and_the_old_pools_are_stopped(told: Told) -> None:
    told.shop.drain(300, 60_000)
    told.both()
    told.shop.drain(300, 60_000)
    told.until("retiring")
    told.says(SayStopped, release="1", service=B, reason="by hand")
    told.says(SayStopped, release="1", service=ServiceName("other"))
    told.shop.stop(B, BLUE)
    told.until("finished")
    told.run(8)


def each_goes_alone(told: Told) -> None:
    told.shop.speaks[1] = frozenset({1, 2})
    told.deploys(A, 2, provides={"accounts-api": (1, 2)})
    told.until("finished")
    told.shop.speaks[2] = frozenset({2})
    told.deploys(B, 2, requires={"accounts-api": ">=1"})
    told.run(42)


def one_waits_for_the_other_and_is_withdrawn(told: Told) -> None:
    told.deploys(A, 2, provides={"accounts-api": (2,)})
    told.run(2)
    told.deploys(B, 3, requires={"accounts-api": "3"})
    told.run(2)
    sleeps(told, DAY)
    told.says(Withdraw, actor="ci", service=A, reason="broken")
    told.says(Withdraw, actor="ci", service=A)
    told.says(GiveBack, actor="ci", service=A, build="accounts/2")
    told.run(2)
    sleeps(told, 14 * DAY)


def pools_are_claimed_by_several(told: Told) -> None:
    told.claims(B, build="b/1")
    told.claims(B, build="b/2", reason="mine")
    told.claims(B, build="b/2", take_over=True, reason="mine")
    told.claims(B, build="b/2")
    told.says(SayReady, actor="ci", service=B, version="2", build="b/1", contract=Contract(), nonce="n")
    told.says(GiveBack, actor="ci", service=B, build="b/1")
    told.claims(A)
    sleeps(told, HOUR)
    told.claims(ServiceName("other"))
    told.says(SayReady, actor="ci", service=B, version="2", build="b/2", contract=Contract(), nonce="n")


def a_newer_build_supersedes_before_first_traffic(told: Told) -> None:
    told.shop.down |= {(B, GREEN)}
    told.both()
    told.until("preflight")
    told.run(2)
    told.claims(B, build="newer")
    told.run(6)


def a_person_pauses_promotes_and_goes_back(told: Told) -> None:
    told.both(SLOW)
    told.until("shifting")
    told.run(3)
    told.of_release(Pause, reason="lunch")
    told.of_release(Pause)
    told.run(12)
    told.of_release(Promote, reason="in a hurry")
    told.of_release(Resume, nonce="r", reason="back")
    told.of_release(Resume, nonce="r")
    told.of_release(Promote, reason="in a hurry")
    told.run(3)
    told.of_release(Promote, full=True)
    told.run(6)
    told.of_release(Promote)
    told.run(3)
    told.of_release(Promote)
    told.of_release(Rollback, reason="too slow")
    told.of_release(Rollback)
    told.of_release(Promote)
    told.of_release(Pause)
    told.run(6)
    told.of_release(Rollback)
    told.says(Undo, unit=SHOP, plan=PLAN, nonce="u")


def a_release_is_cancelled(told: Told) -> None:
    told.shop.down |= {(B, GREEN)}
    told.both()
    told.run(3)
    told.of_release(Promote)
    told.of_release(Cancel, reason="not today")
    told.run(4)
    told.of_release(Cancel)


def approvals_are_given(told: Told) -> None:
    told.both(replace(PLAN, approvals=Approvals(2, "deployers", 77)))
    told.until("awaiting_approval")
    told.run(12)
    for uid, groups in ((5, {77}), (5, {77}), (6, set()), (7, {77})):
        told.of_release(Approve, uid=uid, groups=frozenset(groups), reason="fine")
    told.run(4)
    told.of_release(Approve, uid=8, groups=frozenset({77}))


def hooks_say_what_they_say(told: Told) -> None:
    points = (Point.PREFLIGHT, Point.BEFORE_STEP, Point.AFTER_STEP, Point.ROLLED_BACK, Point.ACTIVE, Point.RELEASED)
    hooks = tuple(Hook(at=point, argv=(f"/hooks/{point}",)) for point in points)
    told.shop.hooks |= {Point.PREFLIGHT: Word.NO, Point.BEFORE_STEP: None}
    told.both(hooks=hooks)
    told.run(36)
    told.shop.hooks[Point.PREFLIGHT] = Word.YES
    told.does("preflight says yes")
    sleeps(told, 30_000)
    told.run(4)
    told.shop.hooks[Point.BEFORE_STEP] = Word.NONE
    sleeps(told, 41_000)
    told.shop.hooks[Point.BEFORE_STEP] = Word.YES
    sleeps(told, 31_000)
    told.run(12)
    told.shop.hooks[Point.AFTER_STEP] = Word.BACK
    told.does("after_step says back")
    told.run(36)


def a_hook_without_an_answer_goes_back(told: Told) -> None:
    hook = Hook(at=Point.AFTER_STEP, url="https://desk@hooks.example/x?token=1", no_answer=NoAnswer.ROLLBACK)
    told.shop.hooks[Point.AFTER_STEP] = Word.NONE
    told.both(hooks=(hook,))
    told.run(36)


def the_journal_is_full(told: Told) -> None:
    told.both(SLOW)
    told.until("shifting")
    told.run(3)
    told.shop.journal_works = False
    told.does("the journal is full")
    told.of_release(Promote)
    told.of_release(Pause)
    told.run(13)
    told.of_release(Rollback, reason="now")
    told.run(12)
    told.shop.journal_works = True
    told.does("there is room again")
    told.run(13)


def the_first_certificate_is_not_written(told: Told) -> None:
    told.shop.drain(300, 60_000)
    told.both(replace(PLAN, retain=Span(500)))
    told.shop.drain(300, 60_000)
    told.until("draining")
    told.run(2)
    told.shop.journal_works = False
    told.does("the journal is full")
    told.run(16)
    told.shop.journal_works = True
    told.does("there is room again")
    told.run(16)


def load_balancers_are_reloaded_edited_and_lost(told: Told) -> None:
    told.both(SLOW)
    told.until("shifting")
    told.run(4)
    told.shop.reload(LB1)
    told.does("lb1 is reloaded")
    told.run(6)
    balancer = told.shop.balancers[LB2]
    route = balancer.runtime[balancer.generation][B]
    balancer.runtime[balancer.generation][B] = route.with_share(GREEN, 300)
    told.does("somebody lowers storefront on lb2")
    told.run(8)
    told.of_release(Resume, nonce="r")
    told.run(6)
    told.shop.alter = lambda seen: replace(
        seen, instances={**seen.instances, LB1: Unreadable(Instant(0), "connection refused")}
    )
    told.does("lb1 cannot be read")
    told.run(14)
    told.of_release(Rollback)
    told.run(14)
    told.shop.alter = lambda seen: seen
    told.does("lb1 answers")
    told.run(10)


def at_rest_somebody_edits_and_reloads(told: Told) -> None:
    balancer = told.shop.balancers[LB2]
    route = balancer.runtime[balancer.generation][B]
    balancer.runtime[balancer.generation][B] = route.with_share(GREEN, 300)
    told.does("somebody gives green some of storefront on lb2")
    told.run(5)
    told.shop.reload(LB1)
    told.does("lb1 is reloaded")
    told.run(5)
    balancer.boot[A] = balancer.boot[A].with_share(GREEN, 700)
    told.does("somebody edits the next start of lb2")
    told.run(5)


def the_host_was_rebooted(told: Told) -> None:
    told.both(SLOW)
    told.until("shifting")
    told.run(3)
    told.shop.tokens.clear()
    told.shop.crash()
    told.does("the host is rebooted")
    told.run(30)
    told.of_release(Resume, nonce="again", reason="looked at it")
    told.run(6)


def nothing_goes_in_a_freeze_or_in_maintenance(told: Told) -> None:
    told.says(Freeze, name="sale", target="shop", until="", zone="UTC", reason="black friday")
    told.says(Freeze, name="sale", target="shop", until="", zone="UTC")
    told.shop.frozen = dict.fromkeys((A, B), "frozen by ann: black friday")
    told.both(SLOW)
    told.run(3)
    told.shop.frozen = {}
    told.says(Unfreeze, name="sale")
    told.says(Unfreeze, name="sale")
    told.until("shifting")
    told.run(3)
    told.shop.frozen = {A: "frozen until 18:00"}
    told.shop.frozen_for = {A: HOUR}
    told.run(12)
    told.says(Maintenance, service=A, on=True, reason="new disks")
    told.says(Maintenance, service=A, on=True)
    told.run(12)
    told.says(Maintenance, service=None, on=True)
    told.of_release(Rollback)
    told.run(4)
    told.says(Maintenance, service=A, on=False)
    told.says(Maintenance, service=None, on=False)
    told.run(6)


def a_server_says_another_version(told: Told) -> None:
    told.shop.ask_versions()
    told.shop.says |= {ServerName("s-green-6"): "1", ServerName("a-green-0"): None}
    told.both()
    told.shop.ask_versions()
    told.run(14)
    told.shop.says.clear()
    told.does("all say 2")
    told.run(28)


def candidates_die(told: Told) -> None:
    told.both(SLOW)
    told.until("shifting")
    told.run(3)
    told.shop.down |= {(A, GREEN)}
    told.does("accounts green is down")
    told.run(14)


def a_candidate_dies_while_the_old_pool_drains(told: Told) -> None:
    told.both(replace(PLAN, retain=Span(60_000)))
    told.until("draining")
    told.run(2)
    told.shop.down |= {(B, GREEN)}
    told.does("storefront green is down")
    told.run(8)


def the_way_home_is_closed(told: Told) -> None:
    told.both(SLOW)
    told.until("shifting")
    told.run(3)
    told.shop.down |= {(B, BLUE)}
    told.does("storefront blue is down")
    told.run(12)
    told.of_release(Rollback)
    told.run(14)
    told.shop.down.clear()
    told.does("it is up again")
    told.run(14)


def strangers_and_wrong_calls(told: Told) -> None:
    told.shop.strangers = True
    told.both()
    told.run(14)
    told.shop.strangers = False
    told.does("nobody else calls accounts any more")
    sleeps(told, 10 * MINUTE)
    told.until("shifting")
    told.shop.misled[Caller(B, BLUE)] = GREEN
    told.does("lb1 sends blue storefront to green accounts")
    told.run(10)


def somebody_uses_the_old_pool(told: Told) -> None:
    told.shop.drain(300, 5_000)
    told.both()
    told.shop.drain(300, 5_000)
    told.until("draining")
    balancer = told.shop.balancers[LB1]
    server = next(iter(balancer.pools[B, BLUE].servers.values()))
    server.in_flight = 3
    told.does("three requests stay at blue storefront")
    told.run(8)
    holders = (Holder(ServerName("s-blue-0"), Span(90_000), "192.0.2.7"), Holder(ServerName("s-blue-1"), Span(2_000)))

    def alter(seen: Observed) -> Observed:
        reading = seen.instances[LB1]
        assert isinstance(reading, InstanceReading)
        of = reading.services[B]
        pools = {**of.pools, BLUE: replace(of.pools[BLUE], holders=holders)}
        services = {**reading.services, B: replace(of, pools=pools)}
        return replace(seen, instances={**seen.instances, LB1: replace(reading, services=services)})

    told.shop.alter = alter
    told.run(4)
    sleeps(told, 6_000)
    told.run(4)
    server.in_flight = 0
    told.shop.alter = lambda seen: seen
    told.does("they are gone")
    told.run(10)
    told.claims(B, take_over=True)


def a_program_goes_around_the_load_balancers(told: Told) -> None:
    told.shop.drain(300, 5_000)
    told.both()
    told.shop.drain(300, 5_000)
    told.until("draining")
    cron = Program(process="cron", pid=12, uid=0, count=2)

    def alter(seen: Observed) -> Observed:
        counted = replace(seen.census[B, BLUE], strangers=Strangers(programs=(cron,)))
        return replace(seen, census={**seen.census, (B, BLUE): counted})

    told.shop.alter = alter
    told.does("cron is connected to blue storefront")
    told.run(8)
    sleeps(told, 6_000)
    told.run(3)
    told.claims(B)
    told.claims(B, take_over=True)


def a_late_request_voids_the_proof(told: Told) -> None:
    told.shop.drain(300, 60_000)
    told.both()
    told.shop.drain(300, 60_000)
    told.until("retiring")
    told.run(2)
    balancer = told.shop.balancers[LB1]
    balancer.pools[B, BLUE].arrived[balancer.generation] += 2
    told.does("two requests come to blue storefront")
    told.run(6)
    sleeps(told, 4_000)
    told.shop.stop(B, BLUE)
    told.run(8)
    sleeps(told, 20_000)
    told.run(8)
    balancer.pools[A, BLUE].arrived[balancer.generation] += 1
    told.does("one request comes to blue accounts")
    told.run(4)


def a_release_ends_unproven(told: Told) -> None:
    told.shop.drain(60_000, 900)
    told.both()
    told.shop.drain(60_000, 900)
    told.until("draining")
    told.run(16)
    told.says(Undo, unit=SHOP, plan=PLAN, nonce="u", reason="it was better before")
    told.run(30)


def an_undo_while_pools_retire(told: Told) -> None:
    told.shop.drain(300, 60_000)
    told.both()
    told.shop.drain(300, 60_000)
    told.until("retiring")
    told.of_release(Rollback)
    told.says(Undo, unit=SHOP, plan=PLAN, nonce="u", reason="slow")
    told.run(6)
    told.says(Undo, unit=SHOP, plan=PLAN, nonce="v", reason="slow")
    told.run(28)


def servers_are_drained_and_fall_and_rise(told: Told) -> None:
    for server, on in ((NOBODY, True), (NOBODY, True), ("s-blue-0", True), ("nobody", True)):
        colour = GREEN if server == NOBODY else BLUE
        told.says(DrainServer, service=B, colour=colour, server=ServerName(server), on=on, reason="new disk")
    told.run(3)
    told.says(DrainServer, service=B, colour=BLUE, server=ServerName("s-blue-0"), on=False)
    told.run(3)
    told.shop.down |= {(B, BLUE)}
    told.does("storefront blue is down")
    sleeps(told, 5_000)
    sleeps(told, 5_000)
    told.shop.down |= {(A, BLUE)}
    told.does("accounts blue is down")
    sleeps(told, 5_000)
    sleeps(told, 5_000)
    told.shop.down.clear()
    told.does("all is up")
    sleeps(told, 5_000)
    sleeps(told, 5_000)
    told.sees(checker_suspect={B: "it is late"})
    told.does("the checker is suspect")
    told.run(12)


def a_person_switches_and_adopts(told: Told) -> None:
    about = {"service": B, "to": None, "version": "9", "plan": PLAN, "nonce": "s"}
    told.says(Switch, **about, followers={A: "9"})
    told.says(Switch, **about)
    told.claims(A)
    told.claims(B)
    told.run(14)
    told.says(Switch, **about, followers={A: "9"})
    told.says(Switch, **about, followers={A: "9"}, unchecked=True, reason="it fits")
    told.says(Adopt, service=B, active=GREEN, version="9")
    told.run(26)
    told.of_release(Rollback)
    told.run(8)
    told.says(Adopt, service=B, active=GREEN, version="9")
    told.says(Adopt, service=B, active=GREEN, version="9", settle=True, reason="it is better")
    told.run(6)
    told.says(Adopt, service=B, active=GREEN, version="9", contract=Contract(requires={"accounts-api": "9"}))


TOLD: dict[str, Callable[[Told], None]] = {
    one.__name__: one
    for one in (
        both_go_over_and_the_old_pools_are_stopped,
        each_goes_alone,
        one_waits_for_the_other_and_is_withdrawn,
        pools_are_claimed_by_several,
        a_newer_build_supersedes_before_first_traffic,
        a_person_pauses_promotes_and_goes_back,
        a_release_is_cancelled,
        approvals_are_given,
        hooks_say_what_they_say,
        a_hook_without_an_answer_goes_back,
        the_journal_is_full,
        the_first_certificate_is_not_written,
        load_balancers_are_reloaded_edited_and_lost,
        at_rest_somebody_edits_and_reloads,
        the_host_was_rebooted,
        nothing_goes_in_a_freeze_or_in_maintenance,
        a_server_says_another_version,
        candidates_die,
        a_candidate_dies_while_the_old_pool_drains,
        the_way_home_is_closed,
        strangers_and_wrong_calls,
        somebody_uses_the_old_pool,
        a_program_goes_around_the_load_balancers,
        a_late_request_voids_the_proof,
        a_release_ends_unproven,
        an_undo_while_pools_retire,
        servers_are_drained_and_fall_and_rise,
        a_person_switches_and_adopts,
    )
}


@pytest.mark.parametrize("name", TOLD)
def test_a_story_goes_as_it_is_written(name: str) -> None:
    begins_claimed = "both" in TOLD[name].__code__.co_names
    told, file = Told(claimed().fork() if begins_claimed else Shop(users=1)), STORIES / f"{name}.txt"
    TOLD[name](told)
    found = "\n".join(told.lines) + "\n"
    if os.environ.get("UPDATE"):
        file.write_text(found, encoding="utf-8")
    assert found == file.read_text(encoding="utf-8"), "read the difference, then UPDATE=1"
