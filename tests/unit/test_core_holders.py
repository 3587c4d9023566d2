"""Who holds a claimed pool: one build, until it is ready, its hour is over, or a person takes the claim from it."""

from dataclasses import replace

import pytest

from lbctl.core.claims import claim_granted
from lbctl.model.names import Colour
from lbctl.model.record import Claimed, Contract, Record
from lbctl.model.request import Claim
from lbctl.model.units import HOUR, Instant
from lbctl.store.codec import checksum, decode_record, encode
from tests.shop import A, B, Shop

FIRST, SECOND = "https://ci/1", "https://ci/2"


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


def held() -> Shop:
    """The first build has a granted claim, and deploys."""
    shop = Shop()
    assert shop.claim(A, FIRST).accepted
    return shop


def test_another_build_is_refused_while_one_may_be_deploying_and_told_who_since_when_and_until_when() -> None:
    shop = held()
    shop.now = Instant(shop.now + 600_000)
    answer = shop.claim(A, SECOND)
    assert (answer.body["code"], answer.body["exit_code"]) == ("claimed", 5)
    assert answer.body["what"] == f"green of accounts has been claimed by build {FIRST} for 10m"
    assert "ends in 49m59s" in answer.body["why"]
    assert answer.body["then"] == (
        "lbctl claim accounts --wait; or stop that deployment, then lbctl claim accounts --take-over"
    )
    assert claim_granted(shop.state, A)


def test_the_same_build_claims_again_and_nothing_changes() -> None:
    shop = held()
    before = shop.state.record
    assert shop.claim(A, FIRST).body["granted"]
    assert shop.state.record == before


@pytest.mark.parametrize(("holds", "asks"), [("", FIRST), (FIRST, "")])
def test_a_claim_with_a_build_and_one_without_are_two_holders(holds: str, asks: str) -> None:
    shop = Shop()
    shop.claim(A, holds)
    assert shop.claim(A, asks).body["code"] == "claimed"


def test_without_a_build_the_user_holds_it_whatever_the_process() -> None:
    shop = Shop()
    claim = Claim(id=900, actor="uid 7 pid 1", uid=7, service=A)
    assert shop.ask(claim).accepted
    assert shop.ask(replace(claim, id=901, actor="uid 7 pid 2")).accepted
    assert shop.state.record.claims[A].by == "uid 7 pid 1"
    answer = shop.ask(replace(claim, id=902, actor="uid 8 pid 3", uid=8))
    assert (answer.body["code"], "uid 7 pid 1" in answer.body["what"]) == ("claimed", True)


def test_a_claim_that_is_taken_over_is_proved_anew_and_told_and_the_first_build_is_superseded() -> None:
    shop = held()
    shop.ask(Claim(id=900, actor="eva", service=A, build=SECOND, take_over=True))
    assert not claim_granted(shop.state, A)
    shop.run(20)
    assert claim_granted(shop.state, A)
    (told,) = [one for one in shop.told if one.kind.value == "pool.claimed" and "taken over" in one.text]
    assert told.text.startswith(f"green of accounts is claimed by eva to be deployed to, for build {SECOND}")
    assert (told.data["build"], told.data["superseded"]) == (SECOND, FIRST)
    answer = shop.ready(A, 2, api(2), build=FIRST)
    assert (answer.body["code"], answer.body["exit_code"]) == ("claimed_by_another", 25)
    assert f"is claimed by build {SECOND}, not by {FIRST}" in answer.body["what"]
    assert shop.ready(A, 3, api(3), build=SECOND).accepted


def test_a_person_without_a_build_takes_over_and_the_first_build_does_not_claim_it_back() -> None:
    shop = held()
    assert shop.claim(A, take_over=True).accepted
    assert shop.claim(A, FIRST).body["code"] == "claimed"


def test_a_version_on_the_board_gives_way_to_a_newer_build_as_it_always_did() -> None:
    shop = held()
    shop.ready(A, 2, api(2), build=FIRST)
    assert shop.claim(A, SECOND).accepted
    assert A not in shop.state.record.board
    assert shop.ready(A, 2, api(2), build=FIRST).body["code"] == "claimed_by_another"


def test_a_claim_that_is_over_is_held_by_nobody() -> None:
    shop = held()
    shop.now = Instant(shop.now + HOUR)
    shop.run(5)
    assert A not in shop.state.record.claims
    assert shop.claim(A, SECOND).accepted


def test_a_release_with_a_newer_build_gives_the_other_service_its_holder_back() -> None:
    shop = Shop()
    shop.down.add((A, Colour.GREEN))
    for name, contract in ((A, api(2)), (B, needs(">=2"))):
        shop.claim(name, FIRST)
        shop.ready(name, 2, contract, build=FIRST)
    shop.until("preflight")
    shop.claim(B, SECOND)
    assert {name: one.build for name, one in shop.state.record.claims.items()} == {A: FIRST, B: SECOND}


def test_a_claim_that_an_older_lbctl_wrote_is_read_and_is_that_users() -> None:
    old = Record(claims={A: Claimed(colour=Colour.GREEN, by="uid 7 pid 1", since=Instant(5), granted=True)})
    payload = encode(old).replace(b',"build":"","uid":null', b"")
    assert b'"uid"' not in payload
    assert decode_record(payload, checksum(payload)) == old


# ---- what goes already


def test_ready_of_a_build_that_goes_names_its_release_and_a_contract_is_not_changed_any_more() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(1, 2))
    shop.until("shifting")
    assert shop.ready(A, 2, api(1, 2)).body["release"] == "1"
    answer = shop.ready(A, 2, api(2))
    assert (answer.body["code"], answer.body["exit_code"]) == ("contract_fixed", 5)
    assert "accounts 2 is in release 1 with another contract" in answer.body["what"]
    answer = shop.ready(A, 3, api(2))
    assert answer.body["code"] == "not_claimed"
    assert "its pool is in release 1 (shifting) with 2" in answer.body["what"]


def test_withdrawing_what_goes_already_names_its_release() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(1, 2))
    shop.until("shifting")
    answer = shop.withdraw(A)
    assert (answer.body["release"], answer.body["version"]) == ("1", "2")
