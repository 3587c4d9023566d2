"""From counters to counts: resets, hidden retries, requests that wait too long."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from lbctl.core.counting import Books, Counted, PoolCounts, count
from lbctl.core.judge import Counts
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, PoolReading, ServerReading, ServiceReading, Timing, Unreadable
from lbctl.model.units import Instant, Span

LB = InstanceName("edge/lb1")
SHOP = ServiceName("shop")
G1 = ServerName("g1")
LIMIT = Span(5_000)
EMPTY = PoolReading({}, 0, 0, 0)


def reading(at: int, green: PoolReading, generation: str = "1@1", blue: PoolReading = EMPTY) -> InstanceReading:
    service = ServiceReading({}, None, {Colour.BLUE: blue, Colour.GREEN: green})
    return InstanceReading(Instant(at), Generation(generation), {SHOP: service})


def pool(requests: int, errors: int = 0, retries: int = 0, waiting: int = 0, flowing: int = 0) -> PoolReading:
    """`waiting` were handed out and have no answer, `flowing` have one that has not ended."""
    servers = {G1: ServerReading(True, True, 1, requests + waiting + flowing, errors, 0, waiting)}
    handed_out, answered = requests + waiting + flowing, requests + flowing
    return PoolReading(servers, requests, errors, waiting + flowing, retries, handed_out, answered)


def told(books: Books, *readings: InstanceReading | Unreadable) -> tuple[Books, Counted | None]:
    found: Counted | None = None
    for one in readings:
        at = one.taken_at if isinstance(one, InstanceReading) else one.since
        books, found = count(books, {LB: one}, {}, SHOP, LIMIT, at)
    return books, found


def green(counted: Counted | None) -> PoolCounts:
    assert counted is not None
    seen = counted.pools[Colour.GREEN]
    assert seen is not None
    return seen


def test_the_first_reading_is_a_beginning_and_the_second_a_count() -> None:
    books, first = told(Books(), reading(0, pool(100, 5)))
    assert first is not None
    assert first.pools == {Colour.BLUE: None, Colour.GREEN: None}
    _, second = told(books, reading(100, pool(110, 6)))
    assert green(second).counts == Counts(10, 1)
    assert green(second).servers == {G1: Counts(10, 1)}
    assert second is not None
    assert second.span_s == 0.1


def test_a_tick_without_a_new_reading_says_nothing() -> None:
    books, _ = told(Books(), reading(0, pool(100)))
    assert count(books, {LB: reading(0, pool(100))}, {}, SHOP, LIMIT, Instant(50)) == (books, None)


def test_a_reload_begins_anew_and_is_never_negative() -> None:
    books, _ = told(Books(), reading(0, pool(100, 5)))
    books, after_reload = told(books, reading(100, pool(3, 1), "2@2"))
    assert after_reload is not None
    assert after_reload.pools[Colour.GREEN] is None
    assert green(told(books, reading(200, pool(5, 1), "2@2"))[1]).counts == Counts(2, 0)


def test_a_counter_that_was_cleared_begins_anew() -> None:
    books, _ = told(Books(), reading(0, pool(100, 5)))
    assert told(books, reading(100, pool(3)))[1].pools[Colour.GREEN] is None  # type: ignore[union-attr]


def test_attempts_that_the_load_balancer_hid_by_trying_again_count_as_bad() -> None:
    books, _ = told(Books(), reading(0, pool(100)))
    assert green(told(books, reading(100, pool(110, 0, retries=4)))[1]).counts == Counts(14, 4)


def test_no_reading_at_all_is_a_fact_of_its_own() -> None:
    books, _ = told(Books(), reading(0, pool(100)))
    _, blind = told(books, Unreadable(Instant(400), "gone"))
    assert blind is not None
    assert blind.pools == {Colour.BLUE: None, Colour.GREEN: None}
    assert blind.span_s == 0.4


def hang(rate: int, ticks: int, *, answered: bool) -> list[Counts]:
    """A pool that is handed `rate` requests a tick and answers none (or all, without an end)."""
    books, found = Books(), []
    for tick in range(ticks):
        waiting = 0 if answered else rate * tick
        books, counted = told(books, reading(100 * tick, pool(0, 0, 0, waiting, rate * tick - waiting)))
        if tick:
            found.append(green(counted).late)
    return found


def test_requests_without_an_answer_count_as_bad_once_they_are_late() -> None:
    late = hang(10, 80, answered=False)
    assert sum(counts.bad for counts in late[:50]) == 0
    assert sum(counts.bad for counts in late) == 10 * (79 - 50)
    assert all(counts.total == counts.bad for counts in late)


def test_long_answers_and_websockets_are_not_late() -> None:
    assert sum(counts.bad for counts in hang(10, 80, answered=True)) == 0


def test_a_late_request_that_fails_at_last_counts_once() -> None:
    books, total = Books(), Counts(0, 0)
    for tick in range(120):
        failed = 30 if tick > 90 else 0
        books, counted = told(books, reading(100 * tick, pool(failed, failed, 0, (30 if tick else 0) - failed)))
        if tick:
            total += green(counted).late
    assert total == Counts(30, 30)


def test_work_that_was_there_before_says_nothing() -> None:
    books, bad = Books(), 0
    for tick in range(100):
        books, counted = told(books, reading(100 * tick, pool(0, 0, 0, waiting=500)))
        bad += green(counted).late.bad if tick else 0
    assert bad == 0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(0, 3)), min_size=2, max_size=150))
def test_no_request_is_late_that_is_answered_in_time_and_none_counts_twice(
    ticks: list[tuple[int, int, int]],
) -> None:
    """Requests come, all are answered within a second; whatever the order, none is late and all are counted."""
    books, at, ended, bad, waiting = Books(), 0, 0, 0, [0] * 10
    seen, late = Counts(0, 0), Counts(0, 0)
    for came, _, failing in ticks:
        done = waiting.pop(0)
        waiting.append(came)
        ended, bad, at = ended + done, bad + min(failing, done), at + 100
        books, counted = told(books, reading(at, pool(ended, bad, 0, sum(waiting))))
        if at > 100:
            seen, late = seen + green(counted).counts, late + green(counted).late
    assert late == seen


def test_times_are_the_growth_of_the_sketches_of_the_same_source() -> None:
    def timing(source: str, number: int, *, sampled: bool = False) -> dict[InstanceName, Timing]:
        return {LB: Timing(source, Instant(0), {Colour.GREEN: {50: number}}, sampled=sampled)}

    books, first = count(Books(), {LB: reading(0, pool(1))}, timing("a", 5), SHOP, LIMIT, Instant(0))
    assert first is not None
    assert first.times is None
    books, second = count(books, {LB: reading(100, pool(2))}, timing("a", 8), SHOP, LIMIT, Instant(100))
    assert second is not None
    assert second.times == {Colour.BLUE: {}, Colour.GREEN: {50: 3}}
    _, sampled = count(books, {LB: reading(200, pool(3))}, timing("a", 9, sampled=True), SHOP, LIMIT, Instant(200))
    assert sampled is not None
    assert sampled.times is None
    _, other = count(books, {LB: reading(200, pool(3))}, timing("b", 1), SHOP, LIMIT, Instant(200))
    assert other is not None
    assert other.times is None


def test_two_load_balancers_are_one_pool() -> None:
    two = InstanceName("edge/lb2")
    books, _ = count(Books(), {LB: reading(0, pool(1)), two: reading(0, pool(5))}, {}, SHOP, LIMIT, Instant(0))
    now = {LB: reading(100, pool(4, 1)), two: reading(100, pool(6))}
    seen = green(count(books, now, {}, SHOP, LIMIT, Instant(100))[1])
    assert seen == replace(seen, counts=Counts(4, 1), late=Counts(4, 1), servers={G1: Counts(4, 1)})


def test_a_stall_that_ends_well_hides_no_later_error() -> None:
    books = Books()
    for tick in range(120):
        waiting = 50 * tick if tick < 80 else 0
        ended = 0 if tick < 80 else 50 * tick
        books, _ = told(books, reading(100 * tick, pool(ended, 0, 0, waiting)))
    books, _ = told(books, reading(12_100, pool(6_100, 0)))
    _, counted = told(books, reading(12_200, pool(6_200, 30)))
    assert green(counted).late.bad == green(counted).counts.bad == 30
