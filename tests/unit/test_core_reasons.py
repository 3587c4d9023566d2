"""A reason that is given after the way back was taken is kept: on the release, and in the journal."""

import pytest

from lbctl.model.entry import Kind
from lbctl.model.request import Answer, Rollback
from tests.shop import A, B, Shop


def rollback(shop: Shop, reason: str = "", number: int = 900) -> Answer:
    assert shop.release is not None
    return shop.ask(Rollback(id=number, actor="uid 7 (eva) pid 1", release=shop.release.id, reason=reason))


@pytest.mark.parametrize("phase", ["rolling_back", "rolled_back"])
def test_a_reason_that_comes_later_is_kept(phase: str) -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    rollback(shop)
    shop.until(phase)
    answer = rollback(shop, "wrong build", 901)
    assert answer.body["did"] == f"the reason is kept; it is {phase.replace('_', ' ')} already"
    assert shop.release is not None
    assert shop.release.outcome == "rollback by uid 7 (eva) pid 1; uid 7 (eva) pid 1: wrong build"
    given = [entry for entry in shop.told if entry.kind is Kind.REASON_GIVEN]
    assert [entry.text for entry in given] == ["why it went back: uid 7 (eva) pid 1: wrong build"]
    again = rollback(shop, "wrong build", 902)
    assert [entry for entry in shop.told if entry.kind is Kind.REASON_GIVEN] == given
    assert again.body.get("did", "nothing was changed: it is so already") == "nothing was changed: it is so already"
    shop.until("rolled_back")
    assert shop.mismatched == []


def test_without_a_journal_the_way_back_is_not_refused_for_a_reason() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.journal_works = False
    rollback(shop)
    shop.run(3)
    assert rollback(shop, "wrong build", 901).accepted
