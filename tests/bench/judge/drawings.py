"""The drawings of docs/explanation/judge: the product's judge over time, in releases with fixed seeds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from lbctl.core.judge import Account, Counts, Sample, Settings, Terms, Verdict, Word, judge, new_step
from tests.bench.judge.svg import Chart, Line, Mark, Panel, drawn

RATE = 1000.0
_BASELINE = Counts(5_000_000, 5_000)
_WINDOW_S = 10.0
_ODDS_TICKS = ((0.1, "0.1"), (1, "1"), (10, "10"), (100, "100"), (1000, "1000"), (10_000, "10 000"))
_LEVELS = (("limit", 1000.0, "1000:1 rollback"), ("caution", 20.0, "20:1 hold"))
_LOWEST_ODDS = 0.1

Ratios = Callable[[float], tuple[float, float]]
"""Bad ratio of candidate and active at a second."""


@dataclass(frozen=True)
class Story:
    """A release at one share: what both pools do, and how long."""

    seed: int
    share: float
    ratios: Ratios
    end_s: float
    tick_s: float = 0.2
    burst: int = 1
    dispersion: float = 1.0


@dataclass(frozen=True)
class Moment:
    """One tick: the counts of the last 10 s and what the judge said."""

    at_s: float
    share: float
    candidate: float
    active: float
    verdict: Verdict


def told(story: Story) -> list[Moment]:
    """Run the judge until a rollback or the end. A retreat goes to 50 % at once."""
    rng, settings = np.random.default_rng(story.seed), Settings()
    terms = Terms(dispersion=story.dispersion, baseline=_BASELINE)
    account = Account.fresh(settings, terms=terms, active=Counts(300_000, 300))
    account = new_step(account, settings, share_bp=round(story.share * 10_000))
    share, seen, moments = story.share, list[tuple[Counts, Counts]](), list[Moment]()
    for tick in range(round(story.end_s / story.tick_s)):
        at_s = (tick + 1) * story.tick_s
        p1, p0 = story.ratios(tick * story.tick_s)
        load = RATE * story.tick_s
        seen.append((_counts(load * share, p1, story, rng), _counts(load * (1 - share), p0, story, rng)))
        sample = Sample(story.tick_s, round(share * 10_000), *seen[-1])
        account, verdict = judge(account, sample, settings)
        lately = seen[-round(_WINDOW_S / story.tick_s) :]
        moments.append(Moment(at_s, share, _ratio(one for one, _ in lately), _ratio(one for _, one in lately), verdict))
        if verdict.word is Word.ROLLBACK:
            break
        if verdict.word is Word.RETREAT and share > 0.5:
            share = 0.5
            account = new_step(account, settings, share_bp=5_000)
    return moments


def _counts(mean: float, ratio: float, story: Story, rng: np.random.Generator) -> Counts:
    bad = story.burst * int(rng.poisson(mean * ratio / story.burst))
    return Counts(bad + int(rng.poisson(mean * (1 - ratio))), bad)


def _ratio(counts: Iterator[Counts]) -> float:
    kept = list(counts)
    return sum(one.bad for one in kept) / max(sum(one.total for one in kept), 1)


def drawings() -> dict[str, str]:
    """Return every drawing by its file name."""
    return {
        "healthy.svg": drawn(healthy()),
        "fault.svg": drawn(fault()),
        "shared.svg": drawn(shared()),
        "burst.svg": drawn(burst()),
        "retreat.svg": drawn(retreat()),
    }


def healthy() -> Chart:
    """A release in which nothing happens."""
    moments = told(Story(2, 0.10, lambda _s: (0.001, 0.001), 600.0, tick_s=1.0))
    return Chart(
        title="A healthy release: the odds go nowhere",
        text="Candidate and active both fail 0.1 % of their requests for ten minutes; the odds stay below 10 to 1.",
        start_s=0,
        end_s=600,
        ticks_s=range(0, 601, 100),
        panels=[_ratios(moments, 0.6, (400, 0.42), (400, 0.02)), _odds(moments)],
    )


def fault() -> Chart:
    """A candidate that falls ill in mid-step."""
    moments = told(Story(23, 0.10, lambda s: (0.02 if s >= 130 else 0.001, 0.001), 180.0))
    end = moments[-1]
    counts = end.verdict.candidate
    return Chart(
        title=f"The candidate begins to fail 2 %: back after {end.at_s - 130:.1f} s",
        text=(
            f"From second 130 on the candidate fails 2 % while active fails 0.1 %. The odds pass 1000 to 1 after "
            f"{end.at_s - 130:.1f} seconds, when {counts.bad} of {counts.total} requests had failed."
        ),
        start_s=110,
        end_s=145,
        ticks_s=range(110, 146, 5),
        panels=[_ratios(moments, 2.4, (131, 1.4), (140.5, 0.15)), _odds(moments)],
        marks=[Mark(130, "2 % of its requests fail", "end")],
        dots=[(1, end.at_s, end.verdict.odds)],
    )


def shared() -> Chart:
    """Both pools ill at once."""
    moments = told(Story(3, 0.10, lambda s: (0.2, 0.2) if 60 <= s < 120 else (0.001, 0.001), 200.0))
    return Chart(
        title="Both pools fail 20 % for a minute: held, never rolled back",
        text=(
            "A shared cause makes both pools fail 20 % of their requests from second 60 to 120. The odds against the "
            "candidate do not rise; the release is held (shaded) until 30 seconds after the last proof."
        ),
        start_s=0,
        end_s=200,
        ticks_s=range(0, 201, 20),
        panels=[_ratios(moments, 24, (127, 15), (127, 19)), _odds(moments)],
        marks=[Mark(60, "both begin to fail", "end"), Mark(150, "the hold lifts")],
        held=_held(moments),
    )


def burst() -> Chart:
    """Errors that come twenty at a time, judged with the learned dispersion and without."""

    def story(dispersion: float) -> Story:
        return Story(10, 0.25, lambda _s: (0.002, 0.002), 600.0, tick_s=1.0, burst=20, dispersion=dispersion)

    learned, naive = told(story(29.0)), told(story(1.0))
    dots = [(1, naive[-1].at_s, naive[-1].verdict.odds)] if naive[-1].verdict.word is Word.ROLLBACK else []
    odds = _odds(learned)
    independent = Line(
        "other", _odds_points(naive), "judged as if errors were independent", (naive[-1].at_s - 10, 150), "end"
    )
    ours = Line("odds", _odds_points(learned), "with the learned dispersion", (430, 1.1))
    panel = Panel(odds.label, odds.ticks, [ours, independent], odds.levels, log=True, height=odds.height)
    return Chart(
        title="Errors in bursts of 20, both pools alike: why dispersion is learned",
        text=(
            "Both pools fail 0.2 %, always twenty requests at a time. With the learned dispersion of 29 the odds stay "
            "near 1; judged as independent errors the healthy release would be rolled back."
        ),
        start_s=0,
        end_s=600,
        ticks_s=range(0, 601, 100),
        panels=[_ratios(learned, 2.4, (330, 2.1), (330, 1.7)), panel],
        dots=dots,
    )


def retreat() -> Chart:
    """A fault at 99 %, where active has nearly nothing to compare with."""
    moments = told(Story(4, 0.99, lambda s: (0.02 if s >= 60 else 0.001, 0.001), 120.0))
    end = moments[-1]
    down = next(one for one in moments if one.verdict.word is Word.RETREAT)
    share = Panel(
        label="share of the candidate (%)",
        ticks=[(0, "0"), (50, "50"), (100, "100")],
        lines=[Line("candidate", _shares(moments, 70.0))],
        height=90,
    )
    return Chart(
        title=f"A fault at 99 %: down to 50 % after {down.at_s - 60:.1f} s, back after {end.at_s - 60:.1f} s",
        text=(
            f"The candidate has 99 % of the traffic and begins to fail 2 % at second 60. Compared with what active "
            f"used to do it asks for a retreat after {down.at_s - 60:.1f} seconds; at 50 % the comparison with active "
            f"decides after {end.at_s - 60:.1f} seconds."
        ),
        start_s=55,
        end_s=70,
        ticks_s=range(55, 71),
        panels=[share, _odds(moments)],
        marks=[Mark(60, "2 % of its requests fail", "end")],
        dots=[(1, end.at_s, end.verdict.odds)],
    )


def _ratios(
    moments: list[Moment], most: float, candidate_at: tuple[float, float], active_at: tuple[float, float]
) -> Panel:
    ticks = [(0.0, "0"), (most / 2, f"{most / 2:g}"), (most, f"{most:g}")]
    lines = [
        Line("active", [(one.at_s, 100 * one.active) for one in moments], "active", active_at),
        Line("candidate", [(one.at_s, 100 * one.candidate) for one in moments], "candidate", candidate_at),
    ]
    return Panel("failed requests in the last 10 s (%)", ticks, lines)


def _odds(moments: list[Moment]) -> Panel:
    lines = [Line("odds", _odds_points(moments))]
    return Panel("odds against the candidate (log)", _ODDS_TICKS, lines, _LEVELS, log=True, height=170)


def _odds_points(moments: list[Moment]) -> list[tuple[float, float]]:
    return [(one.at_s, max(one.verdict.odds, _LOWEST_ODDS)) for one in moments]


def _shares(moments: list[Moment], end_s: float) -> list[tuple[float, float]]:
    """Return the share as steps, 0 from the last moment on."""
    points, since_s = list[tuple[float, float]](), 0.0
    for one in moments:
        points += [(since_s, 100 * one.share), (one.at_s, 100 * one.share)]
        since_s = one.at_s
    return [*points, (since_s, 0.0), (end_s, 0.0)]


def _held(moments: list[Moment]) -> list[tuple[float, float]]:
    """Return the spans in which a fault held the release."""
    spans: list[tuple[float, float]] = []
    for one in moments:
        if one.verdict.word is not Word.HOLD or one.verdict.code == "not_enough_evidence":
            continue
        if spans and one.at_s - spans[-1][1] < 0.5:
            spans[-1] = (spans[-1][0], one.at_s)
        else:
            spans.append((one.at_s, one.at_s))
    return spans
