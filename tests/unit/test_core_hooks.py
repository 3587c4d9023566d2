"""Hooks hold a release until they say yes, take it back where they say so, and are never in the way of a rollback."""

from dataclasses import replace

import pytest

from lbctl.core.holds import Hold
from lbctl.core.hooks import AGAIN
from lbctl.core.preview import way
from lbctl.model.hook import BLOCKING, Hook, NoAnswer, Point, Word
from lbctl.model.names import Colour
from lbctl.model.record import Phase
from lbctl.model.request import Promote, Rollback
from lbctl.model.topology import Address
from lbctl.model.units import Instant, Span
from tests.shop import A, B, Shop


def shop_with(*hooks: Hook) -> Shop:
    shop = Shop()
    shop.reconfigure(hooks=hooks)
    return shop


def at(*points: Point, no_answer: NoAnswer = NoAnswer.HOLD) -> list[Hook]:
    return [Hook(at=point, argv=(f"/hooks/{point}",), no_answer=no_answer) for point in points]


def held(shop: Shop) -> list[Hold]:
    assert shop.release is not None
    return [hold for hold in shop.state.progress[shop.release.id].holds if hold.code == "hook"]


def phase(shop: Shop) -> Phase:
    assert shop.release is not None
    return shop.release.phase


def points(shop: Shop) -> list[tuple[str, object]]:
    return [(str(ask.key.point), ask.facts["share_bp"]) for ask in shop.asked]


def test_hooks_are_asked_once_at_every_point_in_the_order_of_a_release() -> None:
    shop = shop_with(*at(*Point))
    shop.switch(B, A, version=2)
    shop.until("finished")
    shop.run(5)
    assert points(shop) == [
        ("preflight", 0),
        ("smoke", 0),
        ("before_step", 1_000),
        ("after_step", 1_000),
        ("before_step", 5_000),
        ("after_step", 5_000),
        ("before_step", 10_000),
        ("after_step", 10_000),
        ("active", 10_000),
        ("released", 10_000),
    ]
    assert shop.mismatched == []


def test_a_hook_is_told_how_the_candidate_of_the_carrier_is_reached_where_it_has_a_preview() -> None:
    shop = shop_with(*at(Point.SMOKE))
    carrier = shop.state.topology.services[B]
    seen = {}
    for name, host in (("wild", "0.0.0.0"), ("own", "10.0.0.5"), ("six", "::")):
        service = replace(carrier, preview=("10.0.0.0/8",), listen=Address(host, 8000), listen_tls=name == "own")
        seen[name] = way(service, Colour.GREEN)
    assert [one and one["url"] for one in seen.values()] == [
        "http://127.0.0.1:8000",
        "https://10.0.0.5:8000",
        "http://[::1]:8000",
    ]
    assert seen["own"] == {
        "service": B,
        "pool": "green",
        "url": "https://10.0.0.5:8000",
        "headers": {"X-Lbctl-Preview": "green"},
    }
    shop.switch(B, A, version=2)
    shop.until("shifting")
    assert [ask.facts["preview"] for ask in shop.asked] == [None]


def test_a_smoke_test_waits_for_the_hooks_of_preflight() -> None:
    shop = shop_with(*at(Point.SMOKE, Point.PREFLIGHT))
    shop.hooks[Point.PREFLIGHT] = None
    shop.switch(B, A, version=2)
    shop.run(40)
    assert points(shop) == [("preflight", 0)]


def test_what_a_hook_is_told_names_release_point_and_versions() -> None:
    shop = shop_with(*at(Point.PREFLIGHT))
    shop.switch(B, A, version=2)
    shop.until("shifting")
    (ask,) = shop.asked
    assert ask.facts["unit"] == "shop"
    assert ask.facts["id"] == str(ask.key) == "1/preflight/1/0"
    assert ask.facts["versions"] == {
        "storefront": {"from": "blue", "to": "green", "version_from": "1", "version_to": "2"},
        "accounts": {"from": "blue", "to": "green", "version_from": "1", "version_to": "2"},
    }


@pytest.mark.parametrize("point", BLOCKING)
def test_a_no_holds_with_the_hooks_own_words_and_a_later_yes_goes_on(point: Point) -> None:
    shop = shop_with(*at(point))
    shop.hooks[point] = Word.NO
    shop.switch(B, A, version=2)
    shop.run(60)
    assert phase(shop) is (Phase.SHIFTING if point is Point.AFTER_STEP else Phase.PREFLIGHT)
    (hold,) = held(shop)
    assert hold.reason == f"hook /hooks/{point} at {point} says no: no of {point}"
    assert not hold.overridable
    assert len(shop.asked) == 1
    shop.hooks[point] = Word.YES
    shop.now = Instant(shop.now + AGAIN)
    shop.until("finished")


def test_a_hook_that_says_roll_back_before_first_traffic_cancels() -> None:
    shop = shop_with(*at(Point.PREFLIGHT))
    shop.hooks[Point.PREFLIGHT] = Word.BACK
    shop.switch(B, A, version=2)
    shop.until("cancelled")
    assert shop.release is not None
    assert shop.release.outcome == "hook /hooks/preflight at preflight: back of preflight"


def test_a_hook_that_says_roll_back_after_a_step_goes_back() -> None:
    shop = shop_with(*at(Point.AFTER_STEP, Point.ROLLED_BACK))
    shop.hooks[Point.AFTER_STEP] = Word.BACK
    shop.switch(B, A, version=2)
    shop.until("rolled_back")
    shop.run(3)
    assert [point for point, _ in points(shop)] == ["after_step", "rolled_back"]
    assert shop.failed_users == 0


@pytest.mark.parametrize(
    ("meaning", "ends"), [(NoAnswer.PASS, "finished"), (NoAnswer.ROLLBACK, "rolled_back"), (NoAnswer.HOLD, "shifting")]
)
def test_no_answer_means_what_the_config_says(meaning: NoAnswer, ends: str) -> None:
    shop = shop_with(*at(Point.AFTER_STEP, no_answer=meaning))
    shop.hooks[Point.AFTER_STEP] = Word.NONE
    shop.switch(B, A, version=2)
    shop.until(ends)
    if meaning is NoAnswer.HOLD:
        shop.run(60)
        assert phase(shop) is Phase.SHIFTING
        assert held(shop)[0].reason == "hook /hooks/after_step at after_step gives no answer: none of after_step"


def test_a_hook_that_is_silent_is_waited_for_and_delays_no_rollback() -> None:
    shop = shop_with(*at(*Point))
    shop.hooks[Point.AFTER_STEP] = None
    shop.hooks[Point.ROLLED_BACK] = None
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.run(40)
    assert "is asked since" in held(shop)[0].reason
    assert shop.on_release(Rollback).accepted
    shop.run(5)
    assert phase(shop) is Phase.ROLLED_BACK


def test_a_hook_whose_answer_never_comes_back_is_asked_again() -> None:
    shop = shop_with(*at(Point.PREFLIGHT))
    shop.hooks[Point.PREFLIGHT] = None
    shop.switch(B, A, version=2)
    shop.run(30)
    shop.now = Instant(shop.now + Span(41_000))
    shop.run(2)
    assert len(shop.asked) == 2
    assert shop.asked[0].key == shop.asked[1].key


def test_after_a_restart_a_hook_is_asked_anew_with_the_same_key() -> None:
    hooks = at(Point.PREFLIGHT)
    shop = shop_with(*hooks)
    shop.hooks[Point.PREFLIGHT] = None
    shop.switch(B, A, version=2)
    shop.run(30)
    shop.crash()
    shop.reconfigure(hooks=tuple(hooks))
    shop.hooks[Point.PREFLIGHT] = Word.YES
    shop.until("finished")
    assert [str(ask.key) for ask in shop.asked] == ["1/preflight/1/0"] * 2


def test_promote_goes_over_no_hook_and_is_told_which() -> None:
    shop = shop_with(*at(Point.BEFORE_STEP))
    shop.switch(B, A, version=2)
    shop.until("shifting")
    answer = shop.on_release(Promote)
    assert not answer.accepted
    assert answer.body["code"] == "hook_open"
    assert "/hooks/before_step" in str(answer.body["what"])


def test_a_yes_before_a_step_that_something_else_holds_is_asked_for_anew_later() -> None:
    shop = shop_with(*at(Point.BEFORE_STEP))
    shop.ask_versions()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.hooks[Point.BEFORE_STEP] = None
    shop.run(15)
    assert len(shop.asked) == 2
    assert held(shop)


def test_two_hooks_at_one_point_must_both_say_yes() -> None:
    shop = shop_with(*at(Point.PREFLIGHT), *at(Point.PREFLIGHT))
    shop.switch(B, A, version=2)
    shop.until("shifting")
    assert [ask.key.number for ask in shop.asked] == [0, 1]
