"""What on the board may go together, and why the rest waits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.core.board import largest_set, obstacle
from lbctl.core.contracts import conditions, fits, misfit
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Adopted, Contract, Pool, PoolState, Ready, Record
from lbctl.model.topology import Rendezvous
from lbctl.model.units import Instant
from tests.shop import SHOP, TOPOLOGY, A, B

UNIT = TOPOLOGY.units[SHOP]


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


def adopted(version: str, contract: Contract) -> Adopted:
    active = Pool(state=PoolState.ACTIVE, version=version, contract=contract)
    return Adopted(active=Colour.BLUE, blue=active, green=Pool(state=PoolState.IDLE))


def ready(version: str, contract: Contract) -> Ready:
    return Ready(version=version, build="", contract=contract, by="ci", at=Instant(0), nonce="n", wall="")


def record(**board: Ready) -> Record:
    services = {A: adopted("1.9", api(1)), B: adopted("5.0.1", needs("<2"))}
    return Record(services=services, board={ServiceName(name): one for name, one in board.items()})


def chosen(known: Record, rule: Rendezvous | None = None) -> tuple[str, ...]:
    return largest_set(TOPOLOGY, known, replace(UNIT, rendezvous=rule))


def test_a_breaking_provider_waits_for_its_consumer_and_says_for_what() -> None:
    waiting = record(accounts=ready("2.0", api(2)))
    assert chosen(waiting) == ()
    assert str(obstacle(TOPOLOGY, waiting, UNIT, (A,))) == (
        "waiting for storefront: storefront 5.0.1 requires accounts-api <2, and 2 is provided by accounts 2.0"
    )


def test_with_its_consumer_it_goes_as_one_and_the_consumer_carries() -> None:
    both = record(accounts=ready("2.0", api(2)), storefront=ready("5.1", needs(">=2")))
    assert chosen(both) == (B, A)


def test_a_compatible_provider_goes_alone() -> None:
    assert chosen(record(accounts=ready("2.0", api(1, 2)))) == (A,)


def test_a_consumer_goes_alone_if_the_active_provider_suffices() -> None:
    assert chosen(record(storefront=ready("5.1", needs(">=1,<3")))) == (B,)
    assert chosen(record(storefront=ready("5.1", needs(">=2")))) == ()


def test_a_parked_record_blocks_no_compatible_one() -> None:
    parked = record(accounts=ready("2.0", api(2)), storefront=ready("5.0.2", needs("<2")))
    assert chosen(parked) == (B,)


def test_without_contracts_all_go_or_nobody() -> None:
    assert chosen(record(accounts=ready("2.0", Contract()))) == ()
    assert chosen(record(accounts=ready("2.0", Contract()), storefront=ready("5.1", Contract()))) == (B, A)


def test_unchecked_each_goes_alone() -> None:
    assert chosen(record(accounts=ready("2.0", api(2))), Rendezvous.NONE) == (A,)


@pytest.mark.parametrize(
    ("text", "version", "meets"), [(">=1,<3", 2, True), ("2", 2, True), ("!=2", 2, False), (">3", 3, False)]
)
def test_ranges(text: str, version: int, *, meets: bool) -> None:
    assert fits(text, version) is meets


@pytest.mark.parametrize("text", ["", ",", ">=", "1.2", "v2", ">=1;<2", "9" * 10, "\u0661"])
def test_what_is_no_range_is_refused_in_words(text: str) -> None:
    with pytest.raises(ValueError, match="write it as >=1,<3 or 2"):
        conditions(text)


def test_a_name_that_another_provider_offers_is_its_business() -> None:
    assert misfit({"payments": ">=9"}, {"accounts-api": (1,)}, frozenset({"payments"})) is None
    assert misfit({"payments": ">=9"}, {"accounts-api": (1,)}, frozenset()) is not None


@given(st.sets(st.integers(0, 5)), st.integers(0, 5), st.integers(0, 5), st.booleans(), st.booleans())
def test_nothing_goes_that_leaves_a_pair_that_cannot_speak(
    offers: set[int], low: int, high: int, a_waits: bool, b_waits: bool
) -> None:
    """Whatever is on the board: old meets old, and with the set gone every pair that talks fits."""
    wants = f">={low},<={high}"
    board = {}
    if a_waits:
        board["accounts"] = ready("2", api(*sorted(offers)))
    if b_waits:
        board["storefront"] = ready("6", needs(wants))
    going = chosen(record(**board))
    provided = sorted(offers) if A in going else [1]
    wanted = wants if B in going else "<2"
    assert not going or any(fits(wanted, version) for version in provided)
