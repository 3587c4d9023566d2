"""Contracts as people write them: what is understood is what was meant, everything else is refused by its place."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.control.contracts import contract
from lbctl.core.contracts import fits
from lbctl.model.errors import Refused
from lbctl.model.record import Contract


def test_promises_of_one_name_are_a_set_and_requirements_must_all_hold() -> None:
    found = contract(["api=2", "api = 1", "api=2", "other=7"], ["ledger>=3", "ledger < 5", "queue 4", "queue=4"])
    assert found == Contract(provides={"api": (1, 2), "other": (7,)}, requires={"ledger": ">=3,<5", "queue": "4,=4"})
    assert contract([], []) == Contract()


@pytest.mark.parametrize("text", ["", "=", "api", "api=", "=1", "api=1.2", "api=v2", "api=\u0661", "Api=1", "api=1,2"])
def test_what_is_no_promise_is_refused_and_named(text: str) -> None:
    with pytest.raises(Refused, match="provides ") as caught:
        contract(["fine=1", text], [])
    assert (caught.value.code, caught.value.exit_code) == ("bad_contract", 2)
    assert caught.value.then == "write NAME=NUMBER, as in accounts-api=2"


@pytest.mark.parametrize("text", ["", "api", "api>", "api>=1.2", "api~2", "api>=1;<2", ">=1", "api>=3,<3", "api=1,!=1"])
def test_what_is_no_requirement_is_refused_and_named(text: str) -> None:
    with pytest.raises(Refused, match="requires ") as caught:
        contract([], ["fine>=1", text])
    assert (caught.value.code, caught.value.exit_code) == ("bad_contract", 2)


def test_requirements_that_exclude_each_other_are_refused_although_each_is_possible() -> None:
    with pytest.raises(Refused) as caught:
        contract([], ["api<2", "api>=2"])
    assert caught.value.why == "no version meets <2,>=2"


conditions = st.lists(
    st.tuples(st.sampled_from([">=", "<=", ">", "<", "!=", "="]), st.integers(0, 6)), min_size=1, max_size=5
)


@given(conditions)
def test_a_range_is_refused_exactly_if_no_version_meets_it(found: list[tuple[str, int]]) -> None:
    text = ",".join(f"{word}{number}" for word, number in found)
    possible = any(fits(text, version) for version in range(20))
    try:
        assert contract([], [f"api{text}"]).requires == {"api": text}
        accepted = True
    except Refused:
        accepted = False
    assert accepted == possible


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_is_understood_or_refused(provided: str, required: str) -> None:
    for provides, requires in (([provided], []), ([], [required])):
        with suppress(Refused):
            contract(provides, requires)
