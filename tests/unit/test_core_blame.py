"""Whose fault it is, where several services of one release are judged."""

import pytest

from lbctl.core.evidence import gravest
from lbctl.core.judge import Counts, Verdict, Word
from tests.shop import A, B


def says(word: Word, code: str) -> Verdict:
    """A verdict with nothing but its word."""
    nobody = Counts(0, 0)
    return Verdict(word, code, f"{code}!", 1.0, 2_000.0, nobody, nobody, 0, 0.0, alert=False)


OK = says(Word.ADVANCE, "ok")
ERRORS = says(Word.ROLLBACK, "errors")
SUSPICIOUS = says(Word.HOLD, "suspicious")
SHARED = says(Word.HOLD, "shared_fault")


@pytest.mark.parametrize(
    ("accounts", "storefront", "blamed", "reason"),
    [
        (ERRORS, ERRORS, A, "accounts: errors!"),
        (ERRORS, OK, A, "accounts: errors!"),
        (OK, ERRORS, B, "storefront: errors!"),
        (SUSPICIOUS, ERRORS, A, "accounts: suspicious!; storefront: errors!"),
        (SHARED, ERRORS, B, "storefront: errors!"),
    ],
)
def test_a_provider_is_blamed_before_the_consumer_that_suffers_from_it(
    accounts: Verdict, storefront: Verdict, blamed: str, reason: str
) -> None:
    verdict = gravest(B, {A: accounts, B: storefront})
    assert verdict is not None
    assert verdict.word is Word.ROLLBACK
    assert (verdict.blamed, verdict.reason) == (blamed, reason)


def test_nobody_is_blamed_while_all_is_well() -> None:
    assert gravest(B, {A: OK, B: OK}) == OK
