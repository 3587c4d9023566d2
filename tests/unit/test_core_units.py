"""Two services, one release: an old storefront never meets a new accounts, in any order of events."""

import pytest

from lbctl.model.names import Colour
from lbctl.model.record import PoolState
from lbctl.model.request import Cancel, Pause, Promote, Resume, Rollback
from lbctl.model.route import Caller, Pin
from tests.shop import LB1, LB2, A, B, Shop


def pins(shop: Shop) -> dict[str, str]:
    route = shop.balancers[LB1].runtime[shop.balancers[LB1].generation][A]
    return {str(caller): pin.value for caller, pin in route.pins}


def test_a_breaking_change_goes_over_with_its_consumer_and_never_meets_an_old_one() -> None:
    shop = Shop()
    assert shop.switch(B, A, version=2).accepted
    shop.until("finished")
    assert shop.mismatched == []
    assert shop.failed_users == 0
    assert shop.active(A) is shop.active(B) is Colour.GREEN
    assert shop.calls[2, 2] > 100


def test_before_the_first_step_every_pool_is_pinned_to_its_partner_on_every_instance() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    for balancer in shop.balancers.values():
        for route in (balancer.runtime[balancer.generation][A], balancer.boot[A]):
            assert dict(route.pins) == {Caller(B, Colour.BLUE): Pin.BLUE, Caller(B, Colour.GREEN): Pin.GREEN}
            assert route.green_bp == 0


def test_at_the_end_the_default_goes_first_then_the_pins() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("draining")
    seen = []
    for _ in range(40):
        route = shop.balancers[LB1].runtime[shop.balancers[LB1].generation][A]
        now = (route.green_bp, tuple(pins(shop).values()))
        if not seen or seen[-1] != now:
            seen.append(now)
        shop.tick()
    assert seen == [(0, ("blue", "green")), (10_000, ("blue", "green")), (10_000, ("blue", "split"))]


def test_four_releases_in_a_row_reach_all_combinations_of_active_colours() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("finished")
    shop.speaks[3] = frozenset({2, 3})
    assert shop.switch(B, version=3).accepted
    shop.until("finished")
    assert (shop.active(A), shop.active(B)) == (Colour.GREEN, Colour.BLUE)
    assert shop.switch(B, A, version=4).accepted
    shop.until("finished")
    assert (shop.active(A), shop.active(B)) == (Colour.BLUE, Colour.GREEN)
    shop.speaks[4] = frozenset({4, 5})
    shop.speaks[3] = frozenset({2, 3, 5})
    assert not shop.claim(A).accepted
    shop.claim(B)
    assert shop.switch(A, version=5).accepted
    shop.until("finished")
    assert (shop.active(A), shop.active(B)) == (Colour.GREEN, Colour.GREEN)
    assert shop.mismatched == []
    assert shop.failed_users == 0


def test_accounts_alone_is_shifted_under_an_unpinned_storefront() -> None:
    shop = Shop()
    shop.speaks[1] = frozenset({1, 2})
    shop.switch(A, version=2)
    shop.until("baking")
    # What nobody proved unused may call, and stays with the accounts that it knows.
    assert pins(shop) == {"storefront-blue": "split", "storefront-green": "blue"}
    shop.until("finished")
    assert shop.calls[1, 2] > 100
    assert shop.mismatched == []


@pytest.mark.parametrize("phase", ["shifting", "baking", "draining"])
@pytest.mark.parametrize("ticks", [0, 3, 6])
def test_going_back_in_any_phase_mixes_nothing(phase: str, ticks: int) -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until(phase)
    shop.run(ticks if phase != "draining" else 0)
    shop.on_release(Rollback)
    shop.until("rolled_back")
    shop.run(30)
    assert shop.active(A) is shop.active(B) is Colour.BLUE
    assert shop.mismatched == []
    assert shop.failed_users == 0
    # Sessions that stayed on the candidate still need the candidate of accounts.
    assert pins(shop) == {"storefront-blue": "split", "storefront-green": "green"}
    assert shop.state.record.services[A].green.state is PoolState.DRAINING


def test_pause_promote_and_cancel_mix_nothing() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.on_release(Pause)
    shop.run(30)
    assert shop.release is not None
    assert shop.release.phase.value == "shifting"
    shop.on_release(Resume)
    shop.run(12)
    shop.on_release(Promote, full=True)
    shop.run(2)
    shop.on_release(Cancel)
    shop.until("rolled_back")
    assert shop.mismatched == []


def test_a_cancelled_release_never_had_traffic_and_its_pins_go_back() -> None:
    shop = Shop()
    shop.down.add((A, Colour.GREEN))
    shop.switch(B, A, version=2)
    shop.run(20)
    assert shop.release is not None
    assert shop.release.phase.value == "preflight"
    shop.on_release(Cancel)
    shop.run(20)
    assert shop.calls[2, 2] == shop.calls[2, 1] == 0 or shop.mismatched == []
    assert shop.release.phase.value == "cancelled"


def test_a_fault_in_the_candidate_of_accounts_comes_back_and_names_accounts() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.run(6)
    for balancer in shop.balancers.values():
        for server in balancer.pools[A, Colour.GREEN].servers.values():
            server.fails = True
    shop.until("rolled_back")
    (told,) = [entry for entry in shop.told if entry.kind.value == "rollback.started"]
    assert "accounts: errors" in told.text
    assert shop.mismatched == []


def test_all_servers_of_a_followers_candidate_dead_goes_back_at_once() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("baking")
    shop.down.add((A, Colour.GREEN))
    shop.until("rolled_back")
    (told,) = [entry for entry in shop.told if entry.kind.value == "rollback.started"]
    assert "accounts" in told.text


@pytest.mark.parametrize("seed", range(12))
def test_crashes_and_reloads_at_any_tick_mix_nothing(seed: int) -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    for tick in range(seed, 60, 7):
        shop.run(3 + (tick + seed) % 5)
        if tick % 3 == 0:
            shop.crash()
        elif tick % 3 == 1:
            shop.reload(LB2 if tick % 2 else LB1)
        else:
            for balancer in shop.balancers.values():
                balancer.end_old()
    shop.run(60)
    assert shop.mismatched == []
    assert shop.failed_users == 0
