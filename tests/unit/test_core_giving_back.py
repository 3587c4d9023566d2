"""A claim that is given back: by its holder alone, and the next build has the pool at once."""

from dataclasses import replace

import pytest

from lbctl.model.entry import Kind
from lbctl.model.record import Contract
from lbctl.model.request import Answer, GiveBack
from lbctl.model.topology import Rendezvous
from tests.shop import A, Shop

ONE, TWO = "https://ci/1", "https://ci/2"


def give_back(shop: Shop, build: str = "", actor: str = "ci") -> Answer:
    return shop.ask(GiveBack(id=900 + len(shop.answers), actor=actor, service=A, build=build, reason="no space left"))


def test_the_next_build_may_claim_what_a_failed_one_gave_back() -> None:
    shop = Shop()
    shop.claim(A, ONE)
    assert shop.claim(A, TWO).body["code"] == "claimed"
    answer = give_back(shop, ONE)
    assert answer.body == {"service": "accounts", "colour": "green", "given_back": True}
    assert shop.told[-1].kind is Kind.CLAIM_ENDED
    assert shop.told[-1].text == f"green of accounts is given back by build {ONE}: no space left"
    assert shop.claim(A, TWO).accepted
    assert shop.ready(A, 1, build=ONE).body["code"] == "claimed_by_another"


def test_what_nobody_holds_is_given_back_already() -> None:
    assert give_back(Shop(), ONE).body == {"service": "accounts", "colour": None, "given_back": False}


@pytest.mark.parametrize(
    ("holder", "build", "actor"), [(ONE, TWO, "ci"), (ONE, "", "ci"), ("", TWO, "ci"), ("", "", "eva")]
)
def test_nobody_gives_back_what_another_one_holds(holder: str, build: str, actor: str) -> None:
    shop = Shop()
    shop.claim(A, holder)
    body = give_back(shop, build, actor).body
    assert body["code"] == "claimed_by_another"
    assert body["why"].startswith("a claim is given back by its holder alone")
    assert A in shop.state.record.claims


def test_what_is_on_the_board_is_taken_back_first() -> None:
    shop = Shop()
    shop.reconfigure(rendezvous=Rendezvous.ALL)
    shop.claim(A, ONE)
    shop.ready(A, 2, Contract(), ONE)
    body = give_back(shop, ONE).body
    assert (body["code"], body["then"]) == ("on_the_board", "lbctl release withdraw shop --service accounts")
    shop.withdraw(A)
    assert give_back(shop, ONE).accepted


def test_it_needs_the_journal() -> None:
    shop = Shop()
    shop.claim(A, ONE)
    shop.state = replace(shop.state, journal_error="no space left on device")
    assert give_back(shop, ONE).body["code"] == "journal"
