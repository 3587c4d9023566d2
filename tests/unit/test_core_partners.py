"""What a person says by hand, or leaves out, lets nobody call a version that they do not know."""

import asyncio
from collections.abc import Awaitable
from dataclasses import replace

import pytest

from lbctl.core.claims import claim_granted
from lbctl.core.invariants import InvariantViolatedError, check
from lbctl.daemon.builds import fate
from lbctl.dataplane.fake import FakeInstance
from lbctl.model.names import Colour
from lbctl.model.operation import Place, Result, SetRoute, Status
from lbctl.model.record import Contract, Record
from lbctl.model.request import Adopt, Switch
from lbctl.store.tables import StoredEntry
from tests.shop import LB1, PLAN, A, B, Shop


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


def test_a_storefront_beside_the_adopted_one_keeps_the_accounts_that_it_knows() -> None:
    shop = Shop()
    shop.speaks |= {1: frozenset({1, 2}), 9: frozenset({1})}
    shop.deployed[B, Colour.GREEN] = 9
    shop.deploy(A, 2, api(1, 2))
    shop.until("finished")
    shop.run(10)
    assert shop.calls[1, 2] > 100
    assert shop.mismatched == []


def test_a_storefront_that_a_person_makes_the_old_one_stays_with_the_accounts_that_serves() -> None:
    shop = Shop()
    shop.speaks |= {1: frozenset({1}), 2: frozenset({2, 3})}
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    shop.until("finished")
    shop.claim(B)
    shop.deploy(A, 3, api(2, 3))
    shop.run(3)
    shop.until("finished")
    shop.claim(A)
    shop.deployed[A, shop.active(A).other] = 4
    shop.deployed[B, Colour.BLUE] = 2
    assert shop.ask(by_hand(Colour.BLUE, "2", needs(">=2"))).accepted
    shop.run(30)
    assert claim_granted(shop.state, A)
    assert shop.state.record.services[B].green.paired == {A: shop.active(A)}
    assert shop.mismatched == []


def by_hand(active: Colour, version: str, contract: Contract | None = None, *, of: str = B) -> Adopt:
    return Adopt(
        id=9_001, actor="t", service=of, active=active, version=version, contract=contract or Contract(), settle=True
    )


def test_no_record_has_a_claimed_pool_that_somebody_is_paired_with() -> None:
    shop = Shop()
    shop.claim(A)
    before = shop.state.record
    broken = replace(before.services[B].green, paired={A: Colour.GREEN})
    after: Record = replace(before.with_service(B, replace(before.services[B], green=broken)), rev=before.rev + 1)
    with pytest.raises(InvariantViolatedError, match="paired with a pool of accounts that is claimed"):
        check(before, after)


def test_storefront_alone_waits_while_a_reload_would_forget_the_pins_of_its_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shop = Shop()
    written = FakeInstance.apply

    def full(self: FakeInstance, operation: SetRoute) -> Awaitable[Result]:
        if operation.service != A or operation.place is not Place.BOOT:
            return written(self, operation)

        async def refused() -> Result:
            return Result(Status.REFUSED, "No space left on device")

        return refused()

    shop.claim(B)
    monkeypatch.setattr(FakeInstance, "apply", full)
    shop.deployed[B, Colour.GREEN] = 2
    shop.speaks[2] = frozenset({1})
    shop.ready(B, 2, needs("1"))
    shop.run(60)
    assert shop.release is not None
    assert shop.release.share_bp == 0
    shop.reload(LB1)
    shop.run(1)
    assert shop.failed_users == 0
    monkeypatch.undo()
    shop.until("finished")
    assert shop.mismatched == []


def test_a_switch_of_a_unit_that_goes_by_contract_is_refused_unless_a_person_answers_for_it() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    shop.until("finished")
    shop.claim(B)
    shop.claim(A)
    asked = Switch(id=9_002, actor="t", service=B, to=None, version="3", plan=PLAN, nonce="n", followers={A: "3"})
    answer = shop.ask(asked)
    assert answer.body["code"] == "contract_unchecked"
    assert "lbctl release ready shop --service S" in str(answer.body["then"])
    assert shop.ask(replace(asked, id=9_003, unchecked=True)).accepted


def test_a_version_that_is_none_cannot_be_ready_where_servers_are_asked_for_theirs() -> None:
    shop = Shop()
    shop.ask_versions()
    shop.claim(A)
    answer = shop.ready(A, "unknown", api(1))
    assert answer.body["code"] == "no_version"


def test_a_build_that_an_adoption_took_off_the_board_was_withdrawn_and_not_superseded() -> None:
    shop = Shop()
    shop.deploy(A, 2, api(2))
    assert shop.ask(by_hand(Colour.GREEN, "2", of=A)).accepted
    shop.run(5)
    stored = [StoredEntry(id=number, wall="", entry=one) for number, one in enumerate(shop.told, 1)]

    async def read(after: int, limit: int) -> list[StoredEntry]:
        return [one for one in stored if one.id > after][:limit]

    found = asyncio.run(fate(shop.state, "build/2", [], len(stored), read))
    assert found["word"] == "withdrawn"
    assert "green was adopted as active" in found["text"]
