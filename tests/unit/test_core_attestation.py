"""A release goes on only while every candidate server says the version that it names; one of seven makes it wait."""

from lbctl.core.attestation import FRESH
from lbctl.core.holds import Hold
from lbctl.model.names import ServerName
from lbctl.model.record import Phase
from lbctl.model.request import Promote, Rollback
from lbctl.model.units import Instant, Span
from tests.shop import A, B, Shop

SEVENTH = ServerName("s-green-6")


def shop_that_asks() -> Shop:
    shop = Shop()
    shop.ask_versions()
    return shop


def held(shop: Shop) -> list[Hold]:
    release = shop.release
    assert release is not None
    return [hold for hold in shop.state.progress[release.id].holds if hold.code == "attestation"]


def test_a_release_whose_servers_all_say_its_version_goes_through() -> None:
    shop = shop_that_asks()
    assert shop.switch(B, A, version=2).accepted
    shop.until("finished")
    assert shop.mismatched == []


def test_six_of_seven_is_held_before_the_first_step_and_the_seventh_is_named() -> None:
    shop = shop_that_asks()
    shop.says[SEVENTH] = "1"
    shop.switch(B, A, version=2)
    shop.run(100)
    assert shop.release is not None
    assert shop.release.phase is Phase.PREFLIGHT
    (hold,) = held(shop)
    assert hold.reason == "6 of 7 candidate servers of storefront say 2: s-green-6 says 1"
    assert not hold.overridable
    assert not hold.pages


def test_it_goes_on_by_itself_as_soon_as_the_seventh_is_deployed_to() -> None:
    shop = shop_that_asks()
    shop.says[SEVENTH] = "1"
    shop.switch(B, A, version=2)
    shop.run(100)
    del shop.says[SEVENTH]
    shop.until("shifting")


def test_preflight_ends_by_its_deadline_and_says_what_was_wrong() -> None:
    shop = shop_that_asks()
    shop.says[SEVENTH] = "1"
    shop.switch(B, A, version=2)
    shop.run(3)
    shop.now = Instant(shop.now + 15 * 60_000)
    shop.run(3)
    assert shop.release is not None
    assert shop.release.phase is Phase.CANCELLED
    assert "s-green-6 says 1" in shop.release.outcome


def test_servers_of_every_service_of_the_unit_are_asked_and_only_some_are_named() -> None:
    shop = shop_that_asks()
    shop.says |= dict.fromkeys((ServerName(f"s-green-{n}") for n in range(5)), None)
    shop.says[ServerName("a-green-0")] = "3"
    shop.switch(B, A, version=2)
    shop.run(20)
    (hold,) = held(shop)
    assert hold.reason == (
        "2 of 7 candidate servers of storefront say 2: s-green-0 names none (connection refused), s-green-1 names none "
        "(connection refused), s-green-2 names none (connection refused), and 2 more; "
        "2 of 3 candidate servers of accounts say 2: a-green-0 says 3"
    )


def test_the_active_pool_may_say_what_it_likes() -> None:
    shop = shop_that_asks()
    shop.says |= {ServerName("s-blue-0"): "0", ServerName("a-blue-0"): None}
    shop.switch(B, A, version=2)
    shop.until("finished")


def test_a_server_that_changes_in_mid_step_holds_the_next_step_and_no_promote_goes_over_it() -> None:
    shop = shop_that_asks()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.says[SEVENTH] = "1"
    shop.run(60)
    assert shop.release is not None
    assert shop.release.phase is Phase.SHIFTING
    assert shop.release.share_bp == 1_000
    assert held(shop)[0].reason.endswith("s-green-6 says 1")
    assert not shop.on_release(Promote).accepted
    del shop.says[SEVENTH]
    shop.until("finished")


def test_a_server_that_changes_while_it_bakes_keeps_the_old_pool_the_active_one() -> None:
    shop = shop_that_asks()
    shop.switch(B, A, version=2)
    shop.until("baking")
    shop.says[SEVENTH] = "1"
    shop.run(60)
    assert shop.release is not None
    assert shop.release.phase is Phase.BAKING


def test_an_answer_from_before_the_pins_were_proved_does_not_count() -> None:
    shop = shop_that_asks()
    shop.asked_at = shop.now
    shop.switch(B, A, version=2)
    shop.run(60)
    assert held(shop)[0].reason.startswith("0 of 7 candidate servers of storefront say 2: s-green-0 was not asked yet")
    shop.asked_at = shop.now
    shop.until("shifting")


def test_in_mid_step_an_old_answer_does_not_count() -> None:
    shop = shop_that_asks()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.asked_at = Instant(shop.now - FRESH - Span(1_000))
    shop.run(1)
    assert "was last asked 11s ago" in held(shop)[0].reason
    shop.asked_at = None
    shop.run(1)
    assert not held(shop)


def test_a_rollback_asks_nobody() -> None:
    shop = shop_that_asks()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.says |= dict.fromkeys((ServerName(f"s-green-{n}") for n in range(7)), None)
    shop.run(2)
    shop.on_release(Rollback)
    shop.until("rolled_back")
