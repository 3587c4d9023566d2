"""A boot value that somebody deletes is written again, and told: a restart in between would go by its default."""

from lbctl.model.entry import Entry, Kind
from lbctl.model.request import Pause
from tests.shop import LB1, A, B, Shop


def drift(shop: Shop) -> list[Entry]:
    return [entry for entry in shop.told if entry.kind in {Kind.DRIFT_FOUND, Kind.DRIFT_CORRECTED}]


def test_a_deleted_boot_value_is_told_and_written_again() -> None:
    shop = Shop()
    shop.run(5)
    assert drift(shop) == []
    shop.balancers[LB1].unkept |= {A}
    shop.run(20)
    assert shop.balancers[LB1].unkept == set()
    found, corrected = drift(shop)
    assert (found.kind, corrected.kind) == (Kind.DRIFT_FOUND, Kind.DRIFT_CORRECTED)
    assert found.text.startswith(f"{LB1} has nothing written for its next start about accounts any more, not by lbctl")


def test_a_boot_value_that_is_deleted_in_a_release_is_told_too() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    shop.on_release(Pause)
    shop.run(10)
    before = len(drift(shop))
    shop.balancers[LB1].unkept |= {B}
    shop.run(20)
    assert shop.balancers[LB1].unkept == set()
    assert [entry.kind for entry in drift(shop)[before:]] == [Kind.DRIFT_FOUND, Kind.DRIFT_CORRECTED]
    assert shop.mismatched == []
