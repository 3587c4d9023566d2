"""The rate of a forced closing is that of all load balancers together, and each is told what it has not done yet."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from lbctl.core.closing import TRY_AGAIN, closing_news, closings, shares
from lbctl.core.state import Lane, State
from lbctl.core.targets import target
from lbctl.model.entry import Kind
from lbctl.model.names import Colour, Generation, InstanceName, ServiceName
from lbctl.model.operation import SetClosing
from lbctl.model.reading import Closing, InstanceReading, Unreadable
from lbctl.model.record import Pool, PoolState
from lbctl.model.sessions import Leaving
from lbctl.model.units import SECOND, Instant
from tests.shop import LB1, LB2, B
from tests.situations import state_of

BLUE = Colour.BLUE
NOW = Instant(1_000_000)
CLOSES = Leaving(per_second=20, began_at=Instant(0), paced_at=Instant(0), deadline=Instant(0), closing=True)


def closing(seen: dict[InstanceName, Closing | None], *, keep_bp: int = 0, leaving: Leaving | None = CLOSES) -> State:
    """The old pool of storefront, blue, is closed by force, and this is read of it. None: that one cannot be read."""
    state = state_of("finished")
    adopted = state.record.services[B]
    pool = replace(adopted.blue, state=PoolState.DRAINING, certificate=None, keep_bp=keep_bp, leaving=leaving)
    state = recorded(state, pool)
    instances = {name: read(state, name, one) for name, one in seen.items()}
    return replace(state, observed=replace(state.observed, instances=instances))


def recorded(state: State, pool: Pool) -> State:
    record = state.record.with_service(B, state.record.services[B].with_pool(BLUE, pool))
    state = replace(state, record=record, durable=record, durable_at=Instant(0), journal_error="")
    return replace(state, lanes=dict.fromkeys((LB1, LB2), Lane()))


def read(state: State, name: InstanceName, found: Closing | None) -> Any:
    reading, want = state.observed.instances[name], target(state.topology, state.record, B)
    assert isinstance(reading, InstanceReading)
    assert want is not None
    if found is None:
        return Unreadable(NOW, "away")
    seen = reading.services[B]
    pools = {**seen.pools, BLUE: replace(seen.pools[BLUE], closing=found)}
    seen = replace(seen, runtime={reading.generation: want}, boot=want, pools=pools)
    return replace(reading, taken_at=NOW, services={**reading.services, B: seen})


def orders(state: State, name: InstanceName = LB1, now: Instant = NOW) -> list[int]:
    found = list(closings(state, B, name, now))
    assert all(
        one == SetClosing(service=B, colour=BLUE, per_second=one.per_second, fence=state.ordered.rev) for one in found
    )
    return [one.per_second for one in found]


@pytest.mark.parametrize(("count", "per_second"), [(8, 2), (8, 8), (3, 20), (5, 3), (1, 1)])
def test_all_load_balancers_together_keep_the_rate_and_each_has_its_turn(count: int, per_second: int) -> None:
    had: Counter[int] = Counter()
    for tens in range(40):
        now = [shares(per_second, count, Instant(tens * 10 * SECOND))[one] for one in range(count)]
        assert sum(now) == per_second
        had.update({one: part for one, part in enumerate(now) if part})
    assert set(had) == set(range(count))
    assert max(had.values()) - min(had.values()) <= 40


def test_the_rest_of_a_rate_goes_to_the_same_ones_where_each_has_a_part() -> None:
    assert shares(20, 3, Instant(0)) == shares(20, 3, Instant(10 * SECOND)) == [7, 7, 6]
    assert [shares(2, 4, Instant(at * SECOND)) for at in (0, 9, 10, 20)] == [
        [1, 1, 0, 0],
        [1, 1, 0, 0],
        [0, 0, 1, 1],
        [1, 1, 0, 0],
    ]


def test_each_load_balancer_is_ordered_its_part_until_it_reads_back() -> None:
    state = closing({LB1: Closing(), LB2: Closing(per_second=10)})
    assert (orders(state), orders(state, LB2)) == ([10], [])
    assert orders(closing({LB1: Closing(), LB2: None}), LB2) == [], "nobody orders who cannot be read"
    assert orders(closing({LB1: Closing(), LB2: Closing()}, keep_bp=1)) == [], "first its sessions go elsewhere"
    assert orders(closing({LB1: Closing(), LB2: Closing()}, leaving=replace(CLOSES, closing=False))) == []
    without = {**state.observed.instances, LB1: InstanceReading(NOW, Generation("1@0"), {})}
    assert orders(replace(state, observed=replace(state.observed, instances=without))) == []


def test_whatever_stops_it_ends_what_is_ordered_without_a_reading_of_the_others() -> None:
    state = closing({LB1: Closing(per_second=10), LB2: None})
    assert orders(state) == []
    paused = replace(state, record=replace(state.record, maintenance=True))
    assert orders(paused) == [0]
    active = replace(state.ordered.services[B].blue, state=PoolState.ACTIVE)
    assert orders(recorded(state, active)) == [0], "new traffic goes there again"
    assert orders(replace(paused, lanes={**state.lanes, LB1: refusal(NOW)})) == [0], "an end waits for nothing"
    nobody = {name: one for name, one in state.durable.services.items() if name != B}
    assert orders(replace(state, durable=replace(state.durable, services=nobody))) == [0]


def refusal(at: int) -> Lane:
    return Lane(refusal=(B, "it cannot close"), refused_at=Instant(at))


def test_it_begins_where_all_is_read_back_and_who_refused_is_asked_again_after_half_a_minute() -> None:
    state = closing({LB1: Closing(), LB2: Closing()})
    assert orders(replace(state, durable=replace(state.durable, rev=state.durable.rev - 1))) == [], "not yet on disk"
    assert orders(closing({LB1: Closing(), LB2: None})) == [], "nobody knows whether that one still sends users there"

    def after(lane: Lane) -> list[int]:
        return orders(replace(state, lanes={**state.lanes, LB1: lane}))

    assert after(refusal(NOW - TRY_AGAIN + 1)) == []
    assert after(refusal(NOW - TRY_AGAIN)) == [10]
    other = replace(refusal(NOW), refusal=(ServiceName("accounts"), "it cannot close"))
    assert after(other) == [10], "that was another service"


def test_the_end_of_a_closing_is_told_when_every_load_balancer_has_none_left() -> None:
    def told(one: Closing, other: Closing | None) -> list[tuple[Kind, str]]:
        return [(kind, text) for _, (kind, text, _) in closing_news(closing({LB1: one, LB2: other}))]

    none, end = (
        Closing(10, left=0),
        (Kind.CONNECTIONS_CLOSED, "7 connections were closed on blue of storefront; none is left"),
    )
    assert told(Closing(10, closed=4, left=0), Closing(10, closed=3, left=0)) == [end]
    assert told(Closing(10, closed=1, left=0), none)[0][1].startswith("1 connection was closed on blue")
    assert told(Closing(10, closed=4, left=0), Closing(10, closed=3, left=1)) == []
    assert told(Closing(10, closed=4, left=0), Closing(10, closed=3)) == []
    assert told(Closing(10, closed=4, left=0), None) == []
    assert told(none, none) == []
    stays = (Kind.CONNECTIONS_STAY, "edge/lb2 closes nothing of blue of storefront: NO_RIGHT: it may not")
    assert told(Closing(10, closed=4, left=0), Closing(10, left=0, trouble="NO_RIGHT: it may not")) == [stays]
    some = {LB1: Closing(10, closed=4, left=0), LB2: none}
    assert list(closing_news(closing(some, keep_bp=5))) == [], "not ordered any more"
    state = closing(some)
    nobody = {name: one for name, one in state.durable.services.items() if name != B}
    assert list(closing_news(replace(state, durable=replace(state.durable, services=nobody)))) == []
    without = {**state.observed.instances, LB2: InstanceReading(NOW, Generation("1@0"), {})}
    assert list(closing_news(replace(state, observed=replace(state.observed, instances=without)))) == []


def test_every_trouble_and_every_end_is_news_of_its_own() -> None:
    trouble = Closing(10, left=0, trouble="NO_RIGHT: it may not")
    keys = [key for key, _ in closing_news(closing({LB1: trouble, LB2: trouble}))]
    assert keys == ["unclosed edge/lb1 storefront blue", "unclosed edge/lb2 storefront blue"]
    (key, _), *more = closing_news(closing({LB1: Closing(10, closed=1, left=0), LB2: Closing(10, left=0)}))
    assert (key, more) == ("closed storefront blue", [])
