"""A load balancer that sends a caller elsewhere than it reads back, and callers of nobody's pool, stop a release."""

import pytest

from lbctl.core.matrix import UNKNOWN_FOR
from lbctl.daemon.board_why import caller_lines
from lbctl.daemon.retired_view import retired_view
from lbctl.daemon.unit_view import matrix
from lbctl.model.entry import Kind
from lbctl.model.names import Colour
from lbctl.model.record import PoolState
from lbctl.model.request import Promote, Rollback
from lbctl.model.route import Caller, Pin
from tests.shop import SHOP, TOPOLOGY, A, B, Shop

OLD, NEW = Caller(B, Colour.BLUE), Caller(B, Colour.GREEN)


def held(shop: Shop) -> dict[str, str]:
    assert shop.release is not None
    return {hold.code: hold.reason for hold in shop.state.progress[shop.release.id].holds}


@pytest.mark.parametrize("misled", [OLD, NEW])
def test_a_call_against_a_proved_pin_holds_the_first_step(misled: Caller) -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.misled = {misled: misled.colour.other}
    shop.run(60)
    assert shop.release is not None
    assert shop.release.phase.value == "preflight"
    said = held(shop)["wrong_cell"]
    assert said.startswith(f"{misled} called {misled.colour.other} of accounts ")
    assert f"through edge/lb1, and its pin is {misled.colour}" in said


def test_a_call_against_its_pin_in_mid_step_goes_back_at_once_and_leaves_the_pins() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.run(2)
    shop.misled = {NEW: Colour.BLUE}
    shop.run(4)
    (told,) = [entry for entry in shop.told if entry.kind.value == "rollback.started"]
    assert told.data["code"] == "wrong_cell"
    assert "storefront-green called blue of accounts" in told.text
    assert told.data["moves_sessions"]
    shop.until("rolled_back")
    for balancer in shop.balancers.values():
        assert dict(balancer.runtime[balancer.generation][A].pins)[NEW] is Pin.GREEN
    assert shop.state.record.services[A].green.state is PoolState.DRAINING


def test_a_call_against_its_pin_ends_a_release_of_the_consumer_alone_too() -> None:
    shop = Shop()
    shop.speaks[2] = frozenset({1})
    shop.switch(B, version=2)
    shop.misled = {NEW: Colour.GREEN}
    shop.run(40)
    assert "wrong_cell" in held(shop)


def test_a_refused_pool_that_gets_through_holds_a_release_of_the_provider_alone() -> None:
    shop = Shop()
    shop.speaks[1] = frozenset({1, 2})
    shop.switch(B, version=1)
    shop.until("finished")
    shop.claim(B)
    shop.misled = {OLD: Colour.GREEN}
    shop.switch(A, version=2)
    shop.run(40)
    assert "its pin lets it call nobody" in held(shop)["wrong_cell"]


def test_changes_of_pins_under_load_make_no_wrong_call() -> None:
    shop = Shop()
    for version in range(2, 6):
        shop.switch(B, A, version=version)
        shop.until("shifting")
        if version % 2:
            shop.on_release(Rollback)
            shop.until("rolled_back")
        else:
            shop.until("finished")
        shop.run(5)
        assert shop.wronged == set()
    assert shop.mismatched == []


def test_reloads_and_crashes_under_load_make_no_wrong_call() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    for tick in range(20):
        shop.run(3)
        if tick % 4 == 0:
            shop.reload(list(shop.balancers)[tick % 8 // 4])
        if tick % 5 == 0:
            shop.crash()
            shop.tick()
        assert shop.wronged == set()
    shop.until("finished")


def test_the_first_step_waits_until_calls_were_watched_under_the_new_pins() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    seen: list[str] = []
    while shop.release is not None and shop.release.phase.value == "preflight":
        shop.tick()
        seen += [code for code in held(shop) if code in {"pins", "watching"}]
    assert seen[0] == "pins"
    assert seen == sorted(seen)
    assert 20 <= seen.count("watching") <= 22
    assert not [one for one in shop.told if one.kind is Kind.HOLD_STARTED], "it is no news"


def test_a_switch_of_both_is_refused_while_nobodys_pool_calls_and_says_how_to_find_it() -> None:
    shop = Shop()
    for name in (A, B):
        shop.claim(name)
    shop.strangers = True
    shop.run(5)
    answer = shop.switch(B, A, version=2)
    assert not answer.accepted
    assert answer.body["code"] == "unknown_caller"
    assert str(answer.body["what"]).startswith("accounts was called ")
    assert "by somebody who is no pool of storefront" in str(answer.body["what"])
    assert "ordinary listener" in str(answer.body["then"])


def test_nobodys_pool_is_forgotten_ten_minutes_after_its_last_call() -> None:
    shop = Shop()
    shop.strangers = True
    shop.run(5)
    shop.strangers = False
    shop.now = type(shop.now)(shop.now + UNKNOWN_FOR)
    shop.run(2)
    assert shop.switch(B, A, version=2).accepted


def test_a_set_from_the_board_is_held_in_preflight_while_nobodys_pool_calls() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.strangers = True
    shop.run(30)
    assert shop.release is not None
    assert shop.release.phase.value == "preflight"
    assert "accounts was called" in held(shop)["unknown_caller"]


@pytest.mark.parametrize("phase", ["shifting", "baking"])
def test_a_stranger_in_mid_step_stops_the_way_forward_is_paged_and_sends_nobody_back(phase: str) -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until(phase)
    assert shop.release is not None
    share_bp, shop.strangers = shop.release.share_bp, True
    shop.run(60)
    assert (shop.release.phase.value, shop.release.share_bp) == (phase, share_bp)
    assert "by somebody who is no pool of storefront" in held(shop)["unknown_caller"]
    assert shop.met_by_strangers == {1}
    paged = [entry.text for entry in shop.told if entry.kind.value == "hold.paged"]
    assert [text for text in paged if "accounts was called" in text] == paged != []
    answer = shop.on_release(Promote, full=True)
    assert (answer.body["code"], "accounts was called" in str(answer.body["why"])) == ("held", True)
    shop.strangers = False
    shop.now = type(shop.now)(shop.now + UNKNOWN_FOR)
    shop.until("finished")
    assert shop.met_by_strangers == {1}
    assert (shop.failed_users, shop.mismatched) == (0, [])


@pytest.mark.parametrize("code", ["wrong_cell", "unknown_caller"])
def test_what_holds_the_first_step_is_not_forgotten_by_a_restart(code: str) -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.misled = {NEW: Colour.BLUE} if code == "wrong_cell" else {}
    shop.strangers = code == "unknown_caller"
    shop.run(40)
    before = held(shop)[code]
    shop.misled, shop.strangers = {}, False
    shop.crash()
    shop.run(60)
    assert shop.release is not None
    assert (shop.release.phase.value, held(shop)[code]) == ("preflight", before)


def test_calls_that_came_while_lbctl_was_away_are_counted_and_against_no_pin() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.run(3)
    before = sum(shop.state.matrix[A].totals.values())
    state = shop.state
    calls = sum(shop.calls.values())
    for _ in range(20):
        shop.traffic()
    shop.state = state
    shop.crash()
    shop.run(2)
    assert sum(shop.state.matrix[A].totals.values()) - before >= sum(shop.calls.values()) - calls - 60
    assert shop.wronged == set()


def test_a_rollback_works_while_a_stranger_calls() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.strangers = True
    shop.run(10)
    assert shop.on_release(Rollback).accepted
    shop.until("rolled_back")
    assert shop.met_by_strangers == {1}


def test_while_a_stranger_calls_the_old_accounts_nothing_is_certified_and_the_end_names_it() -> None:
    """The first certificate ends the way back, and leads such a caller to the new accounts; so does only the limit."""
    shop = Shop()
    shop.drain(quiet_ms=300, limit_ms=5_000)
    shop.switch(B, A, version=2)
    shop.until("draining")
    shop.strangers = True
    shop.run(40)
    assert shop.release is not None
    assert shop.release.phase.value == "draining"
    assert shop.met_by_strangers == {1}
    assert "accounts was called" in str(retired_view(shop.state, shop.release, B, shop.now)["waits"])
    shop.until("finished")
    assert shop.release.outcome.startswith("unproven: blue of storefront, blue of accounts are kept as draining; ")
    assert "accounts was called" in shop.release.outcome
    assert (shop.failed_users, shop.mismatched) == (0, [])


def test_each_service_alone_goes_while_nobodys_pool_calls() -> None:
    shop = Shop()
    shop.strangers = True
    shop.speaks[1] = frozenset({1, 2})
    assert shop.switch(A, version=2).accepted
    shop.until("finished")


def test_the_matrix_of_a_release_is_what_the_servers_counted() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("finished")
    shop.run(1)
    cells = matrix(shop.state, TOPOLOGY.units[SHOP], shop.now)["accounts"]
    found = {(one["caller"], one["colour"]): one for one in cells}
    assert all(one["right"] for one in cells)
    assert found["storefront-green", "green"]["requests"] > 100
    assert 0 < found["storefront-blue", "blue"]["in_release"] < found["storefront-blue", "blue"]["requests"]


def test_why_names_a_stranger_without_a_release() -> None:
    shop = Shop()
    shop.strangers = True
    shop.run(5)
    (line,) = caller_lines(shop.state, TOPOLOGY.units.values(), shop.now)
    assert "accounts was called" in line["what"]
    assert "the load balancer's log has its address" in line["needs"]
