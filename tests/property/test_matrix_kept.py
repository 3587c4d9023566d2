"""What is kept of a matrix comes back as it was, and anything else is refused in words, whoever wrote it."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.core.matrix import Look, Miscall, Tally
from lbctl.core.matrix_kept import plain, recalled
from lbctl.model.names import Colour, Generation, InstanceName, ReleaseId, ServiceName
from lbctl.model.route import Caller, Cell, Pin
from lbctl.model.units import Instant

NOW = Instant(10_000)
COLOURS = st.sampled_from(Colour)
INSTANCES = st.sampled_from([InstanceName("edge/lb1"), InstanceName("edge/lb2")])
CALLERS = st.builds(Caller, st.sampled_from([ServiceName("storefront"), ServiceName("a-b.c")]), COLOURS)
CELLS = st.builds(Cell, st.one_of(st.none(), CALLERS), COLOURS)
NUMBERS = st.integers(0, 2**40)
COUNTS = st.dictionaries(CELLS, NUMBERS)
AT = st.integers(0, NOW).map(Instant)
LOOKS = st.builds(
    Look,
    st.lists(AT, min_size=1, max_size=3).map(sorted).map(tuple),
    st.dictionaries(st.sampled_from([Generation("1@0"), Generation("7@99")]), COUNTS),
)


@st.composite
def tallies(draw: st.DrawFn) -> Tally:
    totals = draw(COUNTS)
    return Tally(
        totals=totals,
        last={cell: draw(AT) for cell in totals},
        release=draw(st.one_of(st.none(), st.just(ReleaseId("7")))),
        in_release=draw(COUNTS),
        wrong=draw(st.dictionaries(st.builds(Miscall, INSTANCES, CALLERS, COLOURS, st.sampled_from(Pin)), NUMBERS)),
        unknown=tuple(draw(st.lists(st.tuples(AT, NUMBERS), max_size=3))),
        looks=draw(st.dictionaries(INSTANCES, LOOKS)),
    )


@given(tallies())
def test_it_comes_back_as_it_was(tally: Tally) -> None:
    assert recalled(json.loads(json.dumps(plain(tally))), NOW) == tally


@given(tallies())
def test_what_was_seen_later_than_now_is_seen_anew(tally: Tally) -> None:
    found = recalled(plain(tally), Instant(0))
    assert all(max(look.taken_at) == 0 for look in found.looks.values())
    assert all(at == 0 for at in (*found.last.values(), *(at for at, _ in found.unknown)))
    assert found.totals == tally.totals


ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@given(tallies(), st.data())
def test_anything_else_is_a_value_error_and_never_another_one(tally: Tally, data: st.DataObject) -> None:
    document: Any = json.loads(json.dumps(plain(tally)))
    document[data.draw(st.sampled_from(sorted(document)))] = data.draw(ANYTHING)
    with suppress(ValueError):
        recalled(document, NOW)


@pytest.mark.parametrize("document", [None, [], 7, {}, {"version": 1}, {"version": 2}])
def test_what_is_no_tally_at_all_is_refused(document: object) -> None:
    with pytest.raises(ValueError, match="matrix"):
        recalled(document, NOW)
