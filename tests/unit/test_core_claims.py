"""Claims: what is granted stays granted, what is claimed anew ends a release that had no traffic, nothing stands for
ever; and a person's switch of a unit obeys the same rules as the board."""

from dataclasses import replace

import pytest

from lbctl.core import machine
from lbctl.core.claims import claim_granted, lacking
from lbctl.core.switching import occupied
from lbctl.core.targets import pin
from lbctl.daemon import session_view
from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.retired_view import retired_view
from lbctl.model.names import Colour, Generation, ServerName
from lbctl.model.reading import Observed
from lbctl.model.record import By, Contract, PoolState
from lbctl.model.request import Adopt, Claim, Maintenance, Rollback, Switch
from lbctl.model.route import Caller, Pin
from lbctl.model.topology import Deadlines, Rendezvous
from lbctl.model.units import HOUR, Instant, Span
from tests.shop import FIRST, PLAN, A, B, Shop

DAY = 24 * HOUR


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


def told(shop: Shop, kind: str) -> list[str]:
    return [entry.text for entry in shop.told if entry.kind.value == kind]


def both(shop: Shop) -> None:
    """Both deploy a new version, which fits only together."""
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))


def preflight() -> Shop:
    """A joint release that cannot start: a candidate server is down."""
    shop = Shop()
    shop.down.add((A, Colour.GREEN))
    both(shop)
    shop.until("preflight")
    return shop


def later(shop: Shop, span: int) -> None:
    """Let much time pass at once, then a few ticks."""
    shop.now = Instant(shop.now + span)
    shop.run(8)


# ---- the grant


def test_a_claim_is_granted_when_every_load_balancer_was_read_since_and_people_are_told() -> None:
    shop = Shop()
    shop.ask(Claim(id=900, actor="ci", service=B))
    assert not claim_granted(shop.state, B)
    shop.run(20)
    assert claim_granted(shop.state, B)
    assert told(shop, "pool.granted") == [
        "green of storefront gets no traffic and calls nobody, read back everywhere: it may be deployed to"
    ]


def test_a_pool_that_still_answers_keeps_its_partners_until_it_is_empty() -> None:
    shop = Shop()
    both(shop)
    shop.until("finished")
    shop.run(20)
    old = Caller(B, Colour.BLUE)
    for balancer in shop.balancers.values():
        balancer.pools[B, Colour.BLUE].servers[ServerName("s-blue-0")].in_flight = 2
    shop.ask(Claim(id=900, actor="ann", service=B, take_over=True))
    shop.run(40)
    held = shop.state.record.claims[B]
    assert lacking(shop.state, B, held) == "2 requests or connections are in flight at blue of storefront on edge/lb1"
    assert not claim_granted(shop.state, B)
    assert pin(shop.state.record, A, old) is Pin.BLUE
    assert shop.ask(Claim(id=901, actor="ci", service=A)).body["code"] == "still_called"
    for balancer in shop.balancers.values():
        balancer.pools[B, Colour.BLUE].servers[ServerName("s-blue-0")].in_flight = 0
    shop.run(40)
    assert claim_granted(shop.state, B)
    assert pin(shop.state.record, A, old) is Pin.NONE
    assert told(shop, "pool.emptied")[-1].startswith("blue of storefront has no request in flight")


def test_ready_right_after_any_other_decision_is_accepted() -> None:
    shop = Shop()
    shop.claim(A)
    shop.claim(B)
    shop.ask(Maintenance(id=900, actor="t", service=None, on=True))
    shop.ask(Maintenance(id=901, actor="t", service=None, on=False))
    assert shop.ready(A, 2, api(2)).accepted
    assert shop.ready(B, 2, needs(">=2")).accepted


def test_a_grant_outlives_a_restart() -> None:
    shop = Shop()
    shop.claim(B)
    shop.crash()
    assert shop.ready(B, 2, needs("1")).accepted


def test_a_claim_is_not_granted_while_nothing_may_be_written() -> None:
    shop = Shop()
    shop.ask(Maintenance(id=899, actor="t", service=A, on=True))
    shop.ask(Claim(id=900, actor="ci", service=B))
    shop.run(60)
    assert not claim_granted(shop.state, B)
    assert shop.ready(B, 2, needs("1")).body["code"] == "not_claimed"


def test_a_pool_that_nobody_proved_unused_is_not_called_proved_the_second_time_either() -> None:
    shop = Shop()
    first, second = shop.claim(B), shop.claim(B)
    assert first.body["proved"] is second.body["proved"] is False
    assert second.body["granted"]


# ---- a newer build


@pytest.mark.parametrize(("claimed", "other"), [(A, B), (B, A)])
def test_a_claim_before_first_traffic_ends_the_release_and_the_other_waits_on_the_board(claimed, other) -> None:  # type: ignore[no-untyped-def]
    shop = preflight()
    answer = shop.claim(claimed)
    assert answer.accepted
    assert shop.release is not None
    assert answer.body["superseded"] == shop.release.id
    assert (shop.release.phase.value, shop.release.back_by) == ("cancelled", By.NEWER)
    assert shop.release.outcome == f"superseded: {claimed} is claimed for a newer build"
    assert list(shop.state.record.board) == [other]
    (claim_told,) = [one for one in shop.told if one.kind.value == "pool.claimed" and one.data["superseded"]]
    assert (claim_told.service, claim_told.data["superseded"]) == (claimed, "build/2")
    assert shop.tokens == {}


def test_it_is_granted_only_when_the_pins_of_the_release_are_off_everywhere() -> None:
    shop = preflight()
    shop.ask(Claim(id=900, actor="ci", service=B))
    assert not claim_granted(shop.state, B)
    for _ in range(60):
        shop.tick()
        if claim_granted(shop.state, B):
            break
    for balancer in shop.balancers.values():
        for route in (*balancer.runtime.values(), balancer.boot[A]):
            pins = dict((route if not isinstance(route, dict) else route[A]).pins)
            assert pins[Caller(B, Colour.GREEN)] is Pin.NONE


def test_what_is_given_back_is_proved_to_be_apart_again_before_it_goes() -> None:
    shop = preflight()
    shop.ask(Claim(id=900, actor="ci", service=B))
    assert not claim_granted(shop.state, A)
    shop.run(20)
    assert claim_granted(shop.state, A)


def test_the_newer_build_goes_with_what_waited() -> None:
    shop = preflight()
    shop.speaks[3] = frozenset({2})
    shop.down.clear()
    assert shop.deploy(B, 3, needs(">=2")).accepted
    shop.until("finished")
    assert shop.release is not None
    assert {name: one.version for name, one in shop.release.members.items()} == {A: "2", B: "3"}
    assert shop.mismatched == []
    assert shop.calls[2, 2] == 0


def test_a_newer_build_that_fits_alone_leaves_the_breaking_one_waiting() -> None:
    shop = preflight()
    shop.speaks[3] = frozenset({1})
    shop.down.clear()
    shop.deploy(B, 3, needs("<2"))
    shop.until("finished")
    assert shop.release is not None
    assert list(shop.release.members) == [B]
    assert list(shop.state.record.board) == [A]
    assert shop.mismatched == []


def test_a_switch_that_is_superseded_puts_nothing_on_the_board() -> None:
    shop = Shop()
    shop.down.add((A, Colour.GREEN))
    shop.switch(B, A, version=2)
    shop.run(5)
    shop.claim(B)
    assert shop.state.record.board == {}
    assert list(shop.state.record.claims) == [A, B]


def test_after_first_traffic_a_claim_waits_for_the_next_release_and_says_so() -> None:
    shop = Shop()
    both(shop)
    shop.until("shifting")
    answer = shop.claim(B)
    assert answer.body["code"] == "in_release"
    assert answer.body["then"] == "lbctl release wait 1 --for finished"


def test_a_journal_that_does_not_work_supersedes_nothing() -> None:
    shop = preflight()
    shop.journal_works = False
    shop.ask(Claim(id=900, actor="ci", service=B))
    assert shop.release is not None
    assert shop.release.phase.value == "preflight"
    shop.journal_works = True
    shop.down.clear()
    shop.until("finished")
    assert shop.mismatched == []


# ---- nothing stands for ever


def test_a_claim_without_a_version_ends_after_an_hour_with_an_alert() -> None:
    shop = Shop()
    shop.claim(B)
    later(shop, HOUR - 5_000)
    assert B in shop.state.record.claims
    later(shop, 10_000)
    assert B not in shop.state.record.claims
    (text,) = told(shop, "claim.ended")
    assert text == (
        "green of storefront was claimed by ci, and nothing was ready within 1h: the claim has ended; "
        "then lbctl claim storefront"
    )
    assert shop.state.record.services[B].green.state is PoolState.IDLE
    assert shop.ready(B, 2).body["code"] == "not_claimed"


def test_a_version_that_is_ready_keeps_its_claim() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    later(shop, 3 * HOUR)
    assert A in shop.state.record.claims
    shop.withdraw(A)
    shop.run(5)
    assert A in shop.state.record.claims


def test_a_version_that_waits_is_told_daily_and_leaves_after_its_deadline() -> None:
    shop = Shop()
    shop.reconfigure(deadlines=Deadlines(board=Span(3 * DAY)))
    shop.deploy(A, 2, api(2))
    for _ in range(7):
        later(shop, DAY // 2)
    waits = told(shop, "version.waits")
    assert len(waits) == 2
    assert "accounts 2 has been ready for 24h" in waits[0]
    assert "waiting for storefront" in waits[0]
    assert shop.state.record.board == shop.state.record.claims == {}
    assert "was ready for 72h and could not go" in told(shop, "version.withdrawn")[0]


# ---- maintenance, adoption


def test_a_follower_in_maintenance_holds_the_release_and_a_person_still_goes_back() -> None:
    shop = Shop()
    both(shop)
    shop.until("shifting")
    shop.ask(Maintenance(id=900, actor="t", service=A, on=True))
    shop.run(3)
    assert shop.release is not None
    share = shop.release.share_bp
    shop.run(40)
    assert (shop.release.phase.value, shop.release.share_bp) == ("shifting", share)
    held = [hold for hold in shop.state.progress[shop.release.id].holds if hold.code == "maintenance"]
    assert held[0].needs == "lbctl maintenance off accounts"
    shop.on_release(Rollback)
    shop.until("rolled_back")
    assert shop.mismatched == []


def test_adopting_the_same_version_again_records_a_new_contract_and_nothing_else() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.speaks[1] = frozenset({1, 2})
    before = shop.state.record.services[B]
    adopt = Adopt(id=900, actor="t", service=B, active=Colour.BLUE, version="1", contract=needs(">=1"))
    assert shop.ask(adopt).accepted
    assert shop.state.record.services[B] == before.with_pool(Colour.BLUE, replace(before.blue, contract=needs(">=1")))
    shop.until("finished")
    assert shop.release is not None
    assert list(shop.release.members) == [A]


def test_adopting_without_a_contract_forgets_none() -> None:
    shop = Shop()
    shop.ask(Adopt(id=900, actor="t", service=B, active=Colour.BLUE, version="1"))
    assert shop.state.record.services[B].blue.contract == FIRST[B]


def test_another_version_of_the_same_pool_leaves_a_claimed_pool_apart() -> None:
    shop = Shop()
    shop.claim(B)
    shop.ask(Adopt(id=900, actor="t", service=B, active=Colour.BLUE, version="1.1", contract=needs("1")))
    assert claim_granted(shop.state, B)
    assert shop.state.record.services[B].green.state is PoolState.IDLE


def test_a_pool_that_is_adopted_as_active_is_claimed_by_nobody() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    adopt = Adopt(id=900, actor="t", service=A, active=Colour.GREEN, version="2", contract=api(1), settle=True)
    assert shop.ask(adopt).accepted
    assert shop.state.record.board == shop.state.record.claims == {}


# ---- a person's switch


def test_a_switch_of_one_service_of_a_unit_is_refused_and_names_the_unit() -> None:
    shop = Shop()
    shop.claim(B)
    answer = shop.ask(Switch(id=900, actor="t", service=B, to=None, version="2", plan=PLAN))
    assert (answer.body["code"], answer.body["exit_code"]) == ("in_unit", 5)
    assert "lbctl switch shop --version accounts=V --version storefront=V" in answer.body["then"]


def test_a_switch_of_a_unit_needs_a_granted_claim_of_every_service() -> None:
    shop = Shop()
    shop.claim(B)
    switch = Switch(id=900, actor="t", service=B, to=None, version="2", plan=PLAN, followers={A: "2"})
    answer = shop.ask(switch)
    assert answer.body["code"] == "not_claimed"
    assert answer.body["then"] == "lbctl claim accounts --wait, and deploy to it"


def test_a_version_on_the_board_is_left_to_the_board() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.claim(B)
    answer = shop.ask(Switch(id=900, actor="t", service=B, to=None, version="2", plan=PLAN, followers={A: "2"}))
    assert answer.body["code"] == "on_the_board"
    assert answer.body["then"] == "lbctl release withdraw shop --service accounts"


def test_a_contract_that_nobody_would_look_at_is_refused() -> None:
    shop = Shop()
    shop.reconfigure(rendezvous=Rendezvous.NONE)
    shop.claim(A)
    assert shop.ready(A, 2, api(2)).body["code"] == "contract_unchecked"
    adopt = Adopt(id=901, actor="t", service=A, active=Colour.BLUE, contract=api(1))
    assert shop.ask(adopt).body["code"] == "contract_unchecked"


def test_a_daemon_that_starts_anew_keeps_what_stands() -> None:
    shop = preflight()
    shop.claim(B)
    shop.state = machine.start(shop.disk, shop.state.topology, shop.now)
    shop.run(20)
    assert list(shop.state.record.board) == [A]
    assert claim_granted(shop.state, A)
    assert claim_granted(shop.state, B)


@pytest.mark.parametrize("how", ["unseen", "unsteered"])
def test_a_claim_waits_for_old_workers_that_nobody_sees_or_steers(how: str) -> None:
    shop = Shop(users=3)
    unseen = "OLD_WORKERS_UNSEEN: it was reloaded, and old workers may still route; set `master_socket`"
    more = {"warnings": (unseen,)} if how == "unseen" else {"draining_generations": (Generation("9@9"),)}

    def alter(seen: Observed) -> Observed:
        readings = {name: replace(one, **more) for name, one in seen.instances.items()}  # type: ignore[arg-type,type-var]
        return replace(seen, instances=readings)

    shop.alter = alter
    shop.run(3)
    assert shop.ask(Claim(id=1_000, actor="ci", service=B)).accepted
    shop.run(40)
    assert not claim_granted(shop.state, B)
    shop.alter = lambda seen: seen
    shop.run(5)
    assert claim_granted(shop.state, B)


# ---- sessions that the old pool still serves


def gone_back(shop: Shop) -> None:
    """A release had users, and a person took it back: they stay where they are."""
    assert shop.switch(B, A, version=2).accepted
    shop.until("shifting")
    shop.run(5)
    shop.on_release(Rollback)
    shop.until("rolled_back")


def test_a_claim_moves_no_session_that_a_rollback_kept_and_waits_until_nobody_came_for_the_quiet_time() -> None:
    shop = Shop()
    shop.drain(2_000, 300)
    gone_back(shop)
    refused = shop.ask(Claim(id=900, actor="ci", service=B))
    assert (refused.body["code"], shop.state.record.services[B].green.keep_bp) == ("sessions_kept", 10_000)
    assert "green of storefront still serves sessions that nobody counted" in str(refused.body["what"])
    shop.run(25)
    assert shop.ask(Claim(id=901, actor="ci", service=B)).accepted


def test_a_person_may_have_all_sessions_moved_and_the_event_says_so() -> None:
    shop = Shop()
    gone_back(shop)
    assert shop.ask(Claim(id=900, actor="ann", service=B, take_over=True)).accepted
    shop.run(2)
    assert told(shop, "pool.claimed")[-1].endswith("sessions that nobody counted move to blue with their next request")
    assert shop.state.record.services[B].green.keep_bp == 0


def test_sessions_that_a_rollback_kept_are_shown_and_another_version_does_not_go_over_them() -> None:
    shop = Shop()
    shop.drain(2_000, 300)
    gone_back(shop)
    view = session_view.sessions(shop.state, B, shop.now)
    assert view["green"]["kept"].startswith("sessions that nobody counted stay there since release 1 (rolled back)")
    assert not view["blue"]["kept"]
    (line,) = [one for one in rest_lines(shop.state, [A, B], shop.now) if one["what"].startswith("sessions of green")]
    assert "lbctl claim storefront --take-over" in line["needs"]
    (refused,) = occupied(shop.state, B, "9", shop.now)
    assert (refused.code, "still serves sessions" in refused.what) == ("sessions_kept", True)
    assert not [*occupied(shop.state, B, "2", shop.now)], "the version that serves them may go again"
    assert shop.release is not None
    old = retired_view(shop.state, shop.release, B, shop.now)
    assert (old["final"], "lbctl retired storefront --pool green" in old["waits"]) == (True, True)
    shop.run(25)
    assert not [*occupied(shop.state, B, "9", shop.now)]
    shop.run(25)
    bad = retired_view(shop.state, shop.release, B, shop.now, Colour.GREEN)
    assert (bad["colour"], bad["version"], bad["certified"]) == ("green", "2", True)
    assert not [one for one in rest_lines(shop.state, [A, B], shop.now) if one["what"].startswith("sessions")]
