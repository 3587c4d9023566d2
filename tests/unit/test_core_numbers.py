"""Numbers of judge and planner as people read them: where one form ends and the next begins."""

import pytest

from lbctl.core.judge import Counts, Settings, Verdict, Word
from lbctl.core.judge.terms import Window
from lbctl.core.judge.wording import (
    counts_text,
    figures,
    ms_text,
    odds_text,
    ratio_text,
    share_text,
    span_text,
    tolerated_text,
)
from lbctl.core.planner.wording import rate_words, ratio_words, span_words

DAY_S = 86_400


@pytest.mark.parametrize(
    ("ratio", "words"),
    [(1.0, "100 %"), (0.41, "41 %"), (0.0995, "10 %"), (0.0994, "9.9 %"), (0.047, "4.7 %"), (0.0034, "0.34 %")],
)
def test_a_planned_ratio_has_two_places_that_count(ratio: float, words: str) -> None:
    assert ratio_words(ratio) == words


@pytest.mark.parametrize(
    ("rps", "words"), [(1_200, "1200 rps"), (9.95, "10 rps"), (9.94, "9.9 rps"), (5, "5 rps"), (0.25, "0.25 rps")]
)
def test_a_rate_has_two_places_that_count(rps: float, words: str) -> None:
    assert rate_words(rps) == words


@pytest.mark.parametrize(
    ("span_s", "words"),
    [
        (1.23, "1.2s"),
        (9.94, "9.9s"),
        (10.4, "10s"),
        (100, "1m40s"),
        (2 * DAY_S, "48h"),
        (2.6 * DAY_S, "3 days"),
        (365 * DAY_S, "365 days"),
        (366 * DAY_S, "more than a year"),
    ],
)
def test_a_length_that_says_nothing_any_more_is_not_named(span_s: float, words: str) -> None:
    assert span_words(span_s) == words


@pytest.mark.parametrize(
    ("odds", "words"),
    [(1.0, "1.0"), (9.96, "10.0"), (10.0, "10"), (123.4, "123"), (1e6, "1000000"), (1.1e6, "over 1000000")],
)
def test_odds_are_as_exact_as_they_matter(odds: float, words: str) -> None:
    assert odds_text(odds, 1_000.0) == f"odds {words}:1 (limit 1000:1)"


@pytest.mark.parametrize(("ms", "words"), [(35, "35 ms"), (999, "999 ms"), (1_000, "1.0 s"), (1_234, "1.2 s")])
def test_a_short_time_in_words(ms: float, words: str) -> None:
    assert ms_text(ms) == words


@pytest.mark.parametrize(
    ("span_s", "words"),
    [(0.8, "0.8 s"), (9.9, "9.9 s"), (10, "10 s"), (119, "119 s"), (120, "2 min"), (720, "12 min")],
)
def test_a_span_of_a_verdict_in_words(span_s: float, words: str) -> None:
    assert span_text(span_s) == words


def test_shares_ratios_and_counts_in_words() -> None:
    assert [share_text(bp) for bp in (1, 25, 500, 10_000)] == ["0.01 %", "0.25 %", "5 %", "100 %"]
    assert [ratio_text(ratio) for ratio in (0.00616, 1.0)] == ["0.62 %", "100.00 %"]
    assert counts_text(Counts(3_900, 24)) == "24/3900 (0.62 %)"
    assert counts_text(Counts(0, 0)) == "no requests"


@pytest.mark.parametrize(
    ("bad", "words"), [(0, "tolerated 0.10 %"), (10, "tolerated 12.60 %"), (90, "tolerated 100.00 %")]
)
def test_what_is_tolerated_is_never_more_than_all(bad: int, words: str) -> None:
    settings = Settings(margin_abs=0.001, margin_rel=1.25)
    assert tolerated_text(Window(Counts(0, 0), Counts(100, bad), 1.0), settings) == words


def test_the_figures_of_a_verdict_for_machines() -> None:
    verdict = Verdict(
        word=Word.HOLD,
        code="suspicious",
        reason="more than expected",
        odds=12.34567,
        limit=1_000.0,
        candidate=Counts(100, 10),
        active=Counts(900, 1),
        evidence_count=7,
        since_s=2.00049,
        alert=False,
    )
    assert figures(None) == {}
    assert figures(verdict) == {
        "candidate_total": 100,
        "candidate_bad": 10,
        "candidate_low": 0.055229,
        "candidate_high": 0.174367,
        "active_total": 900,
        "active_bad": 1,
        "odds": 12.346,
        "odds_limit": 1_000.0,
        "since_s": 2.0,
    }
