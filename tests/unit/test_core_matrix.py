"""Who called whom is counted reading by reading; a call is wrong only against a pin that was proved long enough."""

from dataclasses import replace

import pytest

from lbctl.core.matrix import (
    UNKNOWN_FOR,
    WATCHED_MIN,
    Look,
    Miscall,
    Proved,
    Tally,
    fold,
    unknown_calls,
    unproved,
    unwatched,
)
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServiceName
from lbctl.model.reading import InstanceReading, ServiceReading, Unreadable
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.units import Instant, after

A, B = ServiceName("accounts"), ServiceName("storefront")
LB1, LB2 = InstanceName("edge/lb1"), InstanceName("edge/lb2")
OLD, NEW = Caller(B, Colour.BLUE), Caller(B, Colour.GREEN)
LIFE, NEXT_LIFE = Generation("1@0"), Generation("2@0")
RIGHT, WRONG, STRANGE = Cell(OLD, Colour.BLUE), Cell(OLD, Colour.GREEN), Cell(None, Colour.BLUE)
PINNED = Route(0, pins=((OLD, Pin.BLUE), (NEW, Pin.GREEN)))
SPLIT = Route(0, pins=((OLD, Pin.SPLIT), (NEW, Pin.SPLIT)))
REFUSED = Route(0, pins=((OLD, Pin.NONE), (NEW, Pin.SPLIT)))
RELEASE = ReleaseId("1")


class Book:
    """A tally that takes one reading after the other of `edge/lb1`, a tick each; what it reads back is what is wanted
    unless told otherwise."""

    def __init__(self, want: Route = PINNED) -> None:
        self.tally, self.want, self.at = Tally(), want, 0

    def take(
        self,
        counts: dict[Cell, int],
        *,
        routes: Route | None = None,
        life: Generation = LIFE,
        release: ReleaseId | None = RELEASE,
        older: dict[Cell, int] | None = None,
        other: InstanceReading | Unreadable | None = None,
    ) -> None:
        self.at += 100
        lives = {life: counts} if older is None else {LIFE: older, life: counts}
        one = reading(self.at, dict.fromkeys(lives, routes or self.want), lives)
        readings: dict[InstanceName, InstanceReading | Unreadable | None] = {LB1: one}
        if other is not None:
            readings[LB2] = other
        self.tally = fold(self.tally, readings, A, self.want, release, self.now)

    @property
    def now(self) -> Instant:
        return Instant(self.at + 1)


def reading(
    at: int, routes: dict[Generation, Route], counts: dict[Generation, dict[Cell, int]] | None = None
) -> InstanceReading:
    seen = ServiceReading(runtime=routes, boot=None, pools={}, matrix=counts or {})
    return InstanceReading(taken_at=Instant(at), generation=next(reversed(routes)), services={A: seen})


def test_what_was_there_before_the_first_reading_is_no_call() -> None:
    book = Book()
    book.take({RIGHT: 500})
    assert book.tally.totals == {}
    book.take({RIGHT: 507})
    assert book.tally.totals == {RIGHT: 7}
    assert book.tally.last == {RIGHT: book.now}


def test_a_new_life_and_counts_that_fall_begin_anew() -> None:
    book = Book()
    book.take({RIGHT: 10})
    book.take({RIGHT: 3}, life=NEXT_LIFE, older={RIGHT: 12})
    assert book.tally.totals == {RIGHT: 2}, "the old worker's calls count, the new one's begin"
    book.take({RIGHT: 5}, life=NEXT_LIFE, older={RIGHT: 13})
    assert book.tally.totals == {RIGHT: 5}
    book.take({RIGHT: 1}, life=NEXT_LIFE)
    book.take({RIGHT: 4}, life=NEXT_LIFE)
    assert book.tally.totals == {RIGHT: 8}


def test_a_life_that_was_emptied_says_nothing_of_any_cell() -> None:
    book = Book()
    book.take({RIGHT: 10})
    book.take({RIGHT: 2, STRANGE: 7})
    assert book.tally.totals == {}
    book.take({RIGHT: 3, STRANGE: 8})
    assert book.tally.totals == {RIGHT: 1, STRANGE: 1}


def test_the_same_reading_counts_once() -> None:
    book = Book()
    book.take({RIGHT: 1})
    book.take({RIGHT: 5})
    again = {LB1: reading(book.at, {LIFE: PINNED}, {LIFE: {RIGHT: 5}})}
    assert fold(book.tally, again, A, PINNED, RELEASE, book.now) == book.tally


def test_a_call_against_a_proved_pin_is_wrong_and_says_through_whom() -> None:
    book = Book()
    for count in (0, 0, 3):
        book.take({WRONG: count, RIGHT: count})
    assert book.tally.wrong == {Miscall(LB1, OLD, Colour.GREEN, Pin.BLUE): 3}


def test_a_call_of_a_refused_pool_is_wrong_wherever_it_arrives() -> None:
    book = Book(REFUSED)
    for count in (0, 0, 2):
        book.take({WRONG: count, RIGHT: count})
    assert sorted(one.colour for one in book.tally.wrong) == [Colour.BLUE, Colour.GREEN]


def test_no_call_of_who_follows_the_split_is_wrong() -> None:
    book = Book(SPLIT)
    for count in (0, 0, 2, 9):
        book.take({WRONG: count, RIGHT: count})
    assert book.tally.wrong == {}


@pytest.mark.parametrize("readings_since", [0, 1])
def test_a_call_on_its_way_while_a_pin_changes_is_not_wrong(readings_since: int) -> None:
    book = Book(Route(0, pins=((OLD, Pin.GREEN), (NEW, Pin.GREEN))))
    for count in range(4):
        book.take({WRONG: count})
    book.want = PINNED
    for _ in range(readings_since):
        book.take({WRONG: 3})
    book.take({WRONG: 30})
    assert book.tally.wrong == {}
    book.take({WRONG: 31})
    assert sum(book.tally.wrong.values()) == readings_since


def test_a_pin_that_is_not_read_back_everywhere_says_nothing_about_calls() -> None:
    book = Book()
    lost = Unreadable(Instant(0), "gone")
    for count in range(5):
        book.take({WRONG: count}, other=lost)
    for count in range(5, 9):
        book.take({WRONG: count}, other=reading(book.at + 100, {LIFE: SPLIT}))
    assert book.tally.wrong == {}
    assert unproved(book.tally) == OLD


def test_an_old_worker_with_other_pins_proves_none() -> None:
    book = Book()
    for count in range(5):
        book.take({WRONG: count}, routes=PINNED)
    stale = {LIFE: SPLIT, NEXT_LIFE: PINNED}
    tally = fold(book.tally, {LB1: reading(book.at + 100, stale)}, A, PINNED, RELEASE, book.now)
    assert tally.pins == {OLD: None, NEW: None}


def test_a_pin_is_watched_when_a_whole_interval_after_its_proof_was_counted_on_every_instance() -> None:
    book = Book()
    for _ in range(2):
        book.take({}, other=reading(50, {LIFE: PINNED}))
        assert unwatched(book.tally) == OLD
    book.take({}, other=reading(50, {LIFE: PINNED}))
    assert unwatched(book.tally) == OLD, "the other one was read once only"
    for _ in range(18):
        book.take({}, other=reading(book.at + 60, {LIFE: PINNED}))
        assert unwatched(book.tally) == OLD, "two seconds are the least"
    for _ in range(2):
        book.take({}, other=reading(book.at + 60, {LIFE: PINNED}))
    assert unwatched(book.tally) is None
    book.take({})
    assert unwatched(book.tally) is None, "an instance that left the config is not waited for"


def test_two_readings_are_no_whole_interval_after_a_proof() -> None:
    proved = Proved(Pin.BLUE, Instant(5))
    long = WATCHED_MIN + 5
    for taken, watched in (
        ((5, 6, long), True),
        ((5, 6, long - 1), False),
        ((4, 6, long), False),
        ((6, long), False),
        ((long,), False),
    ):
        look = Look(tuple(Instant(one) for one in taken), {})
        assert unwatched(Tally(looks={LB1: look}, pins={OLD: proved})) == (None if watched else OLD)


def test_a_release_counts_from_its_own_beginning_and_keeps_its_figures_afterwards() -> None:
    book = Book()
    for count in (0, 0, 3):
        book.take({WRONG: count, RIGHT: count})
    book.take({WRONG: 3, RIGHT: 10}, release=None)
    assert book.tally.in_release == {WRONG: 3, RIGHT: 3}
    assert book.tally.totals == {WRONG: 3, RIGHT: 10}
    book.take({WRONG: 3, RIGHT: 11}, release=ReleaseId("2"))
    assert (book.tally.in_release, book.tally.wrong) == ({RIGHT: 1}, {})


def test_nobodys_pool_is_remembered_for_a_while_after_its_last_call() -> None:
    book = Book()
    for count in (4, 4, 6, 7):
        book.take({STRANGE: count})
    assert unknown_calls(book.tally, book.now) == 3
    assert unknown_calls(book.tally, after(book.now, UNKNOWN_FOR)) == 0
    assert book.tally.wrong == {}


def test_marks_of_nobodys_calls_stay_few() -> None:
    book = Book()
    book.take({STRANGE: 0})
    for count in range(1, 2_000):
        book.at += 900
        book.take({STRANGE: count})
    assert len(book.tally.unknown) <= 61
    assert 595 <= unknown_calls(book.tally, book.now) <= 610


def test_a_service_that_is_only_observed_has_no_wrong_calls() -> None:
    book = Book()
    for count in range(4):
        one = {LB1: reading(100 * count, {LIFE: PINNED}, {LIFE: {WRONG: count}})}
        book.tally = fold(book.tally, one, A, None, None, Instant(100 * count))
    assert (book.tally.wrong, book.tally.totals) == ({}, {WRONG: 3})
    assert replace(book.tally, release=None) == book.tally


def test_a_reload_begins_the_watch_anew_because_what_its_new_life_was_first_called_is_in_no_count() -> None:
    book = Book()
    for _ in range(23):
        book.take({})
    assert unwatched(book.tally) is None
    for _ in range(20):
        book.take({}, life=NEXT_LIFE, older={})
        assert unwatched(book.tally) == OLD
    for _ in range(2):
        book.take({}, life=NEXT_LIFE, older={})
    assert unwatched(book.tally) is None
