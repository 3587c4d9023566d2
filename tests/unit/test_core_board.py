"""What on the board may go together, and why the rest waits."""

from collections.abc import Mapping
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


PAY = ServiceName("payments")
TWO = replace(
    TOPOLOGY,
    services={**TOPOLOGY.services, PAY: replace(TOPOLOGY.services[A], name=PAY)},
    units={SHOP: replace(UNIT, services=(A, PAY, B), rendezvous=Rendezvous.CONTRACT)},
)
"""storefront calls accounts and payments."""


def two(
    active: Mapping[ServiceName, Contract], idle: Mapping[ServiceName, Contract], board: Mapping[ServiceName, Contract]
) -> Record:
    services = {}
    for name, contract in active.items():
        blue = Pool(state=PoolState.ACTIVE, version="1", contract=contract)
        green = Pool(state=PoolState.IDLE, version="0", contract=idle.get(name, Contract()))
        services[name] = Adopted(active=Colour.BLUE, blue=blue, green=green)
    return Record(services=services, board={name: ready("2", contract) for name, contract in board.items()})


def offer(**versions: int) -> Contract:
    """What offers, or wants, exactly these; `declares` keeps a contract that offers nothing else a declared one."""
    return Contract(provides={name: (version,) for name, version in {"declares": 1, **versions}.items()})


def want(*names: str) -> Contract:
    return Contract(requires={"declares": "1", **dict.fromkeys(names, "1")})


def goes(known: Record) -> tuple[str, ...]:
    return largest_set(TWO, known, TWO.units[SHOP])


def test_two_providers_do_not_leave_a_name_to_each_other_that_only_old_pools_of_both_offered() -> None:
    nobody = {A: offer(), PAY: offer(), B: want()}
    once = {A: offer(refunds=1), PAY: offer(refunds=1)}
    assert goes(two(nobody, once, {B: want("refunds")})) == ()
    assert goes(two({**nobody, PAY: offer(refunds=1)}, once, {B: want("refunds")})) == (B,)


def test_a_provider_that_drops_a_name_waits_though_an_old_pool_of_another_one_offered_it() -> None:
    active = {A: offer(refunds=1), PAY: offer(), B: want("refunds")}
    assert goes(two(active, {PAY: offer(refunds=1)}, {A: offer()})) == ()
    assert goes(two({**active, PAY: offer(refunds=1)}, {}, {A: offer()})) == (A,)


def test_a_name_moves_to_another_provider_when_that_one_goes_first() -> None:
    active = {A: offer(refunds=1), PAY: offer(), B: want("refunds")}
    assert goes(two(active, {}, {A: offer(), PAY: offer(refunds=1)})) == (PAY,)


def test_a_consumer_waits_for_the_provider_whose_next_version_has_what_it_wants() -> None:
    active = {A: offer(), PAY: offer(), B: want()}
    waiting = two(active, {}, {B: want("refunds"), PAY: replace(offer(refunds=2))})
    found = obstacle(TWO, waiting, TWO.units[SHOP], (B,))
    assert found is not None
    assert (found.service, found.waits_for) == (B, PAY)


def test_what_a_service_offers_that_is_not_called_counts_for_nobody() -> None:
    uncalled = replace(TWO.services[PAY], consumers={})
    topology = replace(TWO, services={**TWO.services, PAY: uncalled})
    known = two({A: offer(), PAY: offer(refunds=1), B: want()}, {}, {B: want("refunds")})
    assert largest_set(topology, known, TWO.units[SHOP]) == ()


NAMES = st.sets(st.sampled_from(["refunds", "invoices"]))
OFFERED = st.builds(lambda names: offer(**dict.fromkeys(names, 1)), NAMES)
WANTED = st.builds(lambda names: want(*names), NAMES)
SOME = st.dictionaries(st.sampled_from([A, PAY]), OFFERED)


@given(st.tuples(OFFERED, OFFERED, WANTED), SOME, SOME, st.one_of(st.none(), WANTED))
def test_whatever_two_providers_offer_or_offered_nothing_that_was_met_is_lost(
    now: tuple[Contract, Contract, Contract],
    idle: dict[ServiceName, Contract],
    board: dict[ServiceName, Contract],
    wanted: Contract | None,
) -> None:
    active = dict(zip((A, PAY, B), now, strict=True))
    waiting = {**board, **({} if wanted is None else {B: wanted})}
    going = goes(two(active, idle, waiting))
    after = {name: waiting[name] if name in going else active[name] for name in active}
    before, offered = ({n for s in (A, PAY) for n in known[s].provides} for known in (active, after))
    lost = after[B].requires.keys() - offered
    assert not going or not lost or (B not in going and not lost & before)
