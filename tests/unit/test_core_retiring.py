"""Old pools on their way to a certificate: consumers first, providers when those are stopped; and the way back."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lbctl.cli.retiring import waiting_lines
from lbctl.cli.screens.retired import retired_screen
from lbctl.control.retiring import RetiredAnswer
from lbctl.core.emptiness import emptiness
from lbctl.core.state import State
from lbctl.daemon.ending import result_of
from lbctl.daemon.retired_view import retired_view
from lbctl.model.certificate import Confidence
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Pool, PoolState
from lbctl.model.request import Answer, Cancel, Claim, DrainServer, Request, Rollback, SayStopped, Undo
from lbctl.model.topology import HealthCheck, Probe
from lbctl.model.units import HOUR, Instant, Span
from tests.shop import LB1, LB2, PLAN, SHOP, A, B, Shop

BLUE = Colour.BLUE


def finishing(**more: int) -> Shop:
    """Both go over, and their old pools may be proved unused."""
    shop = Shop(**more)
    shop.drain(300, 3_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("draining")
    return shop


def old(shop: Shop, name: object) -> Pool:
    return shop.state.record.services[name].blue  # type: ignore[index]


def ask_undo(shop: Shop) -> Answer:
    return shop.ask(Undo(id=next(shop._ids), actor="ann", unit=SHOP, plan=PLAN, nonce="undo"))


def why(shop: Shop, name: object) -> str:
    return emptiness(shop.state, name, BLUE, shop.now).waits  # type: ignore[arg-type]


def test_the_consumer_is_certified_first_and_the_provider_when_that_is_stopped() -> None:
    shop = finishing()
    shop.until("retiring")
    assert (old(shop, B).state, old(shop, A).state) == (PoolState.IDLE, PoolState.DRAINING)
    certificate = old(shop, B).certificate
    assert certificate is not None
    assert certificate.confidence is Confidence.FULL
    assert set(certificate.counted) == set(shop.balancers)
    shop.run(10)
    assert old(shop, A).certificate is None
    assert why(shop, A).startswith("storefront-blue is not stopped (")
    shop.stop(B, BLUE)
    shop.until("finished")
    assert old(shop, A).certificate is not None
    assert shop.release is not None
    assert (shop.release.outcome, result_of(shop.release, shop.state.record)) == ("", "certified")
    assert not shop.mismatched
    assert not shop.failed_users


def test_a_word_that_a_consumer_is_stopped_does_not_count_against_its_own_checks() -> None:
    shop = finishing()
    refused = shop.on_release(SayStopped, service=A)  # type: ignore[arg-type]
    assert (refused.accepted, refused.body["code"]) == (False, "not_certified")
    shop.until("retiring")
    assert shop.on_release(SayStopped, service=B).accepted  # type: ignore[arg-type]
    shop.run(10)
    # It was not true: it goes on calling.
    assert old(shop, A).certificate is None
    assert why(shop, A).startswith("storefront-blue is not stopped (")
    assert "t said that it is stopped, but 7 servers (s-blue-0, s-blue-1, s-blue-2, …) pass their checks" in why(
        shop, A
    )
    shop.stop(B, BLUE)
    shop.until("finished")
    assert old(shop, A).certificate is not None


def test_a_word_that_it_is_stopped_does_not_outlive_the_proof_that_it_was_wrong() -> None:
    shop = finishing()
    shop.until("retiring")
    unchecked(shop)
    assert shop.on_release(SayStopped, service=B).accepted  # type: ignore[arg-type]
    lb = shop.balancers[LB1]
    lb.pools[B, BLUE].arrived[lb.generation] += 1
    shop.run(2)
    assert shop.release is not None
    assert not shop.release.stopped
    assert old(shop, B).certificate is None


def test_a_consumer_that_was_not_stopped_after_all_voids_the_certificate_of_whom_it_calls() -> None:
    shop = Shop(users=3)
    shop.drain(300, 600_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.run(5)
    # Both are certified within the same release, and then the old storefront is used again.
    while old(shop, A).certificate is None:
        shop.tick()
    assert shop.release is not None
    assert shop.release.phase.value == "retiring"
    lb = shop.balancers[LB1]
    lb.pools[B, BLUE].arrived[lb.generation] += 1
    shop.tick()
    assert (old(shop, B).certificate, old(shop, A).certificate) == (None, None)
    assert (old(shop, B).state, old(shop, A).state) == (PoolState.DRAINING, PoolState.DRAINING)


def test_after_a_claim_the_old_pool_is_no_releases_any_more() -> None:
    shop = finishing()
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.until("finished")
    first = shop.release
    assert first is not None
    assert shop.claim(B).accepted
    shop.deployed[B, BLUE] = 3
    shop.now = Instant(shop.now + HOUR)
    shop.run(60)
    assert B not in shop.state.record.claims
    certificate = old(shop, B).certificate
    assert certificate is not None
    assert certificate.release is None
    view = retired_view(shop.state, first, B, shop.now)
    assert (view["certified"], view["final"]) == (False, True)
    assert view["waits"] == "blue of storefront was claimed since it served: another build may run there"


def unchecked(shop: Shop) -> None:
    """Take a config in which nobody's servers are checked at their own port."""
    health = HealthCheck(kind=Probe.HTTP, port=9)
    services = {name: replace(one, health=health) for name, one in shop.state.topology.services.items()}
    shop._take(replace(shop.state.topology, services=services))


def test_no_rollback_after_the_first_certificate_and_a_crash_forgets_neither() -> None:
    shop = finishing()
    shop.until("retiring")
    shop.crash()
    shop.drain(300, 3_000)
    refused = shop.on_release(Rollback)
    assert (refused.accepted, refused.body["code"], refused.body["then"]) == (False, "retiring", "lbctl undo shop")
    shop.stop(B, BLUE)
    shop.until("finished")
    assert old(shop, A).certificate is not None


def test_the_way_back_from_draining_is_open_where_nobody_called_the_old_provider_any_more() -> None:
    shop = finishing()
    shop.drain(300, 60_000, idle_ms=30_000)
    shop.stop(B, BLUE)  # Its servers are started anew.
    shop.run(8)
    shop.stopped.clear()
    assert (old(shop, A).keep_bp, old(shop, B).keep_bp) == (0, 10_000)
    assert shop.on_release(Rollback).accepted
    shop.until("rolled_back")
    assert (old(shop, A).keep_bp, old(shop, A).state) == (10_000, PoolState.ACTIVE)
    assert not shop.mismatched


def test_undo_is_a_rollback_while_the_old_pool_drains() -> None:
    shop = finishing()
    answer = ask_undo(shop)
    assert (answer.body["phase"], answer.body["again"]) == ("rolling_back", False)
    shop.until("rolled_back")
    assert ask_undo(shop).body["code"] == "nothing_to_undo"
    assert not shop.mismatched


def test_undo_of_a_retiring_release_ends_it_and_then_brings_the_recorded_versions_back() -> None:
    shop = finishing()
    shop.until("retiring")
    assert ask_undo(shop).body["again"] is True
    shop.until("finished")
    answer = ask_undo(shop)
    assert answer.accepted, answer.body
    assert answer.body["did"] == "release 2 brings back storefront 1, accounts 1"
    shop.until("draining")
    assert (shop.active(A), shop.active(B)) == (BLUE, BLUE)
    assert not shop.mismatched
    assert not shop.failed_users


@pytest.mark.parametrize("phase", ["preflight", "shifting", "draining"])
def test_an_undo_that_is_asked_twice_does_not_turn_round(phase: str) -> None:
    shop = finishing()
    shop.until("retiring")
    ask_undo(shop)
    shop.until("finished")
    assert ask_undo(shop).accepted
    shop.until(phase)
    twice = ask_undo(shop)
    assert twice.body["did"] == ("nothing was changed: it brings back what served before; lbctl rollback 2 turns round")
    assert (twice.body["release"], twice.body["phase"], twice.body["again"]) == ("2", phase, False)
    shop.until("retiring")
    assert (shop.active(A), shop.active(B)) == (BLUE, BLUE)


@pytest.mark.parametrize("fails", [Cancel, Rollback])
def test_an_undo_that_did_not_get_there_may_be_asked_again(fails: type[Request]) -> None:
    shop = finishing()
    shop.until("retiring")
    ask_undo(shop)
    shop.until("finished")
    if fails is Cancel:
        shop.down.add((A, BLUE))
        shop.run(3)
        assert ask_undo(shop).body["code"] == "stopped"
        shop.says[ServerName("a-blue-0")] = "7"
        shop.ask_versions()
        shop.down.clear()
        shop.run(3)
    assert ask_undo(shop).accepted
    shop.until("preflight" if fails is Cancel else "shifting")
    assert shop.on_release(fails).accepted
    shop.until("cancelled" if fails is Cancel else "rolled_back")
    shop.says.clear()
    shop.run(20)
    again = ask_undo(shop)
    assert again.body.get("did") == "release 3 brings back storefront 1, accounts 1"
    shop.until("draining")
    assert (shop.active(A), shop.active(B)) == (BLUE, BLUE)
    assert shop.release is not None
    assert shop.release.reason == "undo of release 1"


def test_a_release_that_changed_nothing_is_no_way_back_to_the_one_before_it() -> None:
    shop = finishing()
    ask_undo(shop)
    shop.until("rolled_back")
    refused = ask_undo(shop)
    assert (refused.body["code"], refused.body["what"]) == (
        "nothing_to_undo",
        "what served before release 1 serves shop now",
    )


def test_undo_names_what_is_not_there_any_more() -> None:
    shop = finishing()
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.until("finished")
    assert ask_undo(shop).body["code"] == "stopped"
    assert ask_undo(shop).body["what"] == "blue of storefront is stopped: no server is up"
    del shop.stopped[B, BLUE]
    shop.run(2)
    assert shop.claim(A).accepted
    refused = ask_undo(shop)
    assert refused.body["code"] == "handed_out"
    assert refused.body["what"].startswith("blue of accounts was claimed since it served: nobody knows that 1 is still")


def test_a_claim_makes_the_certificate_void_and_says_that_it_was_there() -> None:
    shop = finishing()
    shop.until("retiring")
    shop.stop(B, BLUE)
    shop.until("finished")
    answer = shop.ask(Claim(id=next(shop._ids), actor="ci", service=B))
    assert answer.body["proved"] is True
    assert old(shop, B).certificate is None


def test_an_old_pool_that_was_left_unproven_is_certified_at_rest() -> None:
    shop = finishing()
    shop.until("finished")
    assert shop.release is not None
    assert shop.release.outcome.startswith("unproven: blue of accounts is kept as draining; ")
    assert result_of(shop.release, shop.state.record) == "unproven"
    shop.stop(B, BLUE)
    shop.run(30)
    assert old(shop, A).state is PoolState.IDLE
    assert old(shop, A).certificate is not None
    assert result_of(shop.release, shop.state.record) == "certified"


def drain(shop: Shop, server: str, *, on: bool = True) -> Answer:
    wanted = DrainServer(id=next(shop._ids), actor="ann", service=A, colour=BLUE, server=ServerName(server), on=on)
    return shop.ask(wanted)


def test_the_last_capacity_is_not_drained() -> None:
    shop = Shop()
    assert drain(shop, "a-blue-0").accepted
    refused = drain(shop, "a-blue-1")
    assert (refused.body["code"], refused.body["exit_code"]) == ("last_capacity", 5)
    assert drain(shop, "a-blue-9").body["code"] == "no_such_server"
    assert drain(shop, "a-blue-0", on=False).accepted
    assert drain(shop, "a-blue-0", on=False).accepted


@pytest.mark.parametrize("known", [True, False])
def test_a_server_of_a_pool_without_traffic_is_drained_without_asking_for_more(*, known: bool) -> None:
    shop = Shop()
    wanted = DrainServer(
        id=1_000, actor="ann", service=A, colour=Colour.GREEN, server=ServerName("a-green-0"), on=known
    )
    assert shop.ask(wanted).accepted
    assert bool(shop.state.record.services[A].drained) is known


def test_a_pool_to_which_a_table_binds_users_is_not_certified_and_they_are_counted() -> None:
    shop = finishing()
    shop.until("draining")
    shop.balancers[LB2].pools[B, BLUE].bound = 3
    shop.run(20)
    assert old(shop, B).certificate is None
    assert why(shop, B) == "edge/lb2: entries of stick tables bind 3 users to blue of storefront"
    shop.balancers[LB2].pools[B, BLUE].bound = 0
    shop.until("retiring")
    assert old(shop, B).certificate is not None


def test_who_reads_a_page_for_longer_than_quiet_keeps_the_session_and_only_idle_ends_it() -> None:
    """`wait` moves nobody: a user who is away for a while is still there."""
    shop = Shop(users=3)
    shop.drain(300, 60_000, idle_ms=5_000)
    assert shop.switch(B, A, version=2, plan=replace(PLAN, retain=Span(0))).accepted
    shop.until("draining")
    shop.run(40)
    assert shop.state.record.services[B].blue.keep_bp == 10_000
    assert emptiness(shop.state, B, Colour.BLUE, shop.now).waits.endswith("they stay until nobody came for 5s")
    shop.run(20)
    assert shop.state.record.services[B].blue.keep_bp == 0
    (told,) = [one.text for one in shop.told if one.kind is Kind.SESSIONS_CLOSED and one.service == B]
    assert "no session was seen on blue of storefront for 5s" in told


def test_every_reason_is_told_of_an_old_pool_and_how_many_sessions_it_has() -> None:
    shop = finishing()
    shop.until("retiring")
    view = retired_of(with_one_in_flight(shop), shop, A)
    msgspec.convert(view, RetiredAnswer)
    first, second, third = view["reasons"]
    assert first == view["waits"]
    assert first.startswith("storefront-blue is not stopped (")
    assert second == f"1 requests or connections are in flight at blue of accounts on {LB1}"
    assert third.startswith("sessions on blue of accounts are honoured")
    assert view["sessions"] == {"left": None, "text": "sessions not counted"}
    screen = retired_screen(view)
    assert [line[:11] for line in screen.splitlines()[1:]] == ["  also     ", "  also     ", "  sessions "]
    assert waiting_lines(view) == [
        f"waits: {first}",
        f"and: {second}",
        f"and: {third}",
        "sessions: sessions not counted",
    ]


def test_a_certified_pool_and_one_that_serves_have_no_reasons_to_add() -> None:
    shop = finishing()
    serving = retired_of(shop.state, shop, B)
    assert len(serving["reasons"]) >= 1
    shop.until("retiring")
    certified = retired_of(shop.state, shop, B)
    assert (certified["certified"], certified["reasons"], certified["sessions"]) == (True, [], None)


def retired_of(state: State, shop: Shop, name: ServiceName) -> dict[str, Any]:
    assert shop.release is not None
    return retired_view(state, shop.release, name, shop.now)


def with_one_in_flight(shop: Shop) -> State:
    reading = shop.state.observed.instances[LB1]
    assert isinstance(reading, InstanceReading)
    seen = reading.services[A]
    pool = replace(seen.pools[BLUE], in_flight=1)
    services = {**reading.services, A: replace(seen, pools={**seen.pools, BLUE: pool})}
    instances = {**shop.state.observed.instances, LB1: replace(reading, services=services)}
    return shop.state.seeing(replace(shop.state.observed, instances=instances))
