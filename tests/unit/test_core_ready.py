"""Two pipelines, one board: in no order of claim, deploy, ready, withdraw does anybody meet a stranger."""

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.core.contracts import fits
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Contract
from lbctl.model.units import MINUTE, Instant
from tests.shop import A, B, Shop


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


def told(shop: Shop, kind: str) -> list[str]:
    return [entry.text for entry in shop.told if entry.kind.value == kind]


def test_a_breaking_accounts_waits_and_goes_with_its_storefront() -> None:
    shop = Shop()
    assert shop.deploy(A, 2, api(2)).accepted
    shop.run(40)
    assert shop.release is None
    assert shop.calls[1, 2] == 0
    assert shop.deploy(B, 2, needs(">=2")).accepted
    shop.until("finished")
    assert shop.release is not None
    assert list(shop.release.members) == [B, A]
    assert shop.mismatched == []
    assert shop.failed_users == 0


def test_a_hotfix_of_the_storefront_goes_while_a_breaking_accounts_is_parked() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.speaks[3] = frozenset({1})
    shop.deploy(B, 3, needs("<2"))
    shop.until("finished")
    assert shop.release is not None
    assert list(shop.release.members) == [B]
    assert A in shop.state.record.board
    assert shop.mismatched == []


def test_ready_without_a_claim_is_refused_and_names_it() -> None:
    shop = Shop()
    answer = shop.ready(B, 2)
    assert not answer.accepted
    assert answer.body["code"] == "not_claimed"
    assert "lbctl claim storefront --wait" in answer.body["then"]


def test_saying_ready_twice_is_one_record_and_one_release() -> None:
    shop = Shop()
    shop.speaks[2] = frozenset({1, 2})
    shop.deploy(B, 2, needs(">=1"))
    assert shop.ready(B, 2, needs(">=1")).accepted
    shop.run(10)
    assert shop.ready(B, 2, needs(">=1")).accepted
    shop.until("finished")
    assert shop.state.record.next_release == 2
    assert len(told(shop, "release.started")) == 1


def test_a_newer_claim_takes_the_older_build_off_the_board() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.claim(A)
    assert A not in shop.state.record.board
    shop.deploy(B, 2, needs(">=2"))
    shop.run(30)
    assert shop.release is None


def test_a_withdrawn_version_never_goes() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.withdraw(A)
    shop.deploy(B, 2, needs(">=2"))
    shop.run(40)
    assert shop.release is None
    assert shop.mismatched == []


def test_a_pool_that_an_old_consumer_still_calls_cannot_be_claimed_before_that_one() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    shop.until("finished")
    answer = shop.claim(A)
    assert answer.body["code"] == "still_called"
    assert "lbctl claim storefront --wait first" in answer.body["then"]
    assert shop.claim(B).accepted
    assert shop.claim(A).accepted


def test_a_claim_during_a_release_waits_for_its_end() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    shop.until("shifting")
    answer = shop.claim(B)
    assert not answer.accepted
    assert answer.body["code"] == "in_release"


steps = st.lists(
    st.sampled_from(["A", "B", "claim A", "claim B", "withdraw A", "withdraw B", "wait", "crash"]), max_size=9
)


@settings(max_examples=25)
@given(steps, st.integers(1, 3), st.integers(1, 3))
def test_in_no_order_of_events_does_a_pair_talk_that_cannot(order: list[str], low: int, offered: int) -> None:
    shop, version = Shop(), 1
    for word in order:
        version += 1
        service = A if word.endswith("A") else B
        match word.split()[0]:
            case "claim":
                shop.claim(service)
            case "withdraw":
                shop.withdraw(service)
            case "wait":
                shop.run(25)
            case "crash":
                shop.crash()
                shop.run(15)
            case _:
                _deployed(shop, service, version, low, offered)
    shop.run(50)
    assert shop.mismatched == []
    assert shop.failed_users == 0


def _deployed(shop: Shop, service: ServiceName, version: int, low: int, offered: int) -> None:
    """A new build of a service, with a contract that says truly whom it can speak with."""
    if service == A:
        shop.apis[version] = offered
        contract = api(offered)
    else:
        shop.wants[version] = f">={low}"
        contract = needs(f">={low}")
    for consumer, wanted in shop.wants.items():
        shop.speaks[consumer] = frozenset(one for one, offers in shop.apis.items() if fits(wanted, offers))
    shop.deploy(service, version, contract)


def test_a_set_that_is_not_proved_in_time_is_over_and_nothing_of_it_goes_again_by_itself() -> None:
    """Also the well one of the two: on the board they would be cut again at once, and for ever."""
    shop = Shop()
    shop.down.add((A, Colour.GREEN))
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    shop.until("preflight")
    shop.now = Instant(shop.now + 15 * MINUTE)
    shop.until("cancelled")
    (told,) = [entry for entry in shop.told if entry.kind.value == "release.cancelled"]
    assert told.severity.value == "warning"
    assert told.text.startswith("cancelled before first traffic: preflight took longer than 15m: ")
    assert told.text.endswith(
        "; storefront 2 and accounts 2 do not go again by themselves: lbctl claim each, then say ready"
    )
    shop.down.clear()
    shop.run(60)
    assert (shop.state.record.board, shop.state.record.claims) == ({}, {})
    assert [one.id for one in shop.state.record.releases.values()] == ["1"]
    for name, contract in ((A, api(2)), (B, needs(">=2"))):
        assert shop.ready(name, 2, contract).body["code"] == "not_claimed"
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    shop.until("finished")
    assert shop.mismatched == []
