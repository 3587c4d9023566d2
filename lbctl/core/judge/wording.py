"""How the judge's numbers read in a sentence for an operator."""

from math import sqrt

from lbctl.core.judge.terms import Counts, Settings, Verdict, Window

_ODDS_SHOWN_MAX = 1_000_000.0


def share_text(share_bp: int) -> str:
    """Return a share as people write it: `5 %`, `0.25 %`."""
    return f"{share_bp / 100:g} %"


def ratio_text(ratio: float) -> str:
    """Return a bad ratio as per cent with two places."""
    return f"{100 * ratio:.2f} %"


def counts_text(counts: Counts) -> str:
    """Return `24/3900 (0.62 %)`, or words when there was no request."""
    return f"{counts.bad}/{counts.total} ({ratio_text(counts.ratio)})" if counts.total else "no requests"


def both_text(window: Window) -> str:
    """Return both colours' counts, the candidate first."""
    return f"candidate {counts_text(window.candidate)} against active {counts_text(window.active)}"


def tolerated_text(window: Window, settings: Settings) -> str:
    """Return what the candidate may have at active's ratio in this window."""
    ratio = settings.margin_abs + settings.margin_rel * window.active.ratio
    return f"tolerated {ratio_text(min(ratio, 1.0))}"


def odds_text(odds: float, limit: float) -> str:
    """Return the odds against the candidate and where they decide."""
    shown = f"{odds:.0f}" if odds >= 10 else f"{odds:.1f}"
    if odds > _ODDS_SHOWN_MAX:
        shown = f"over {_ODDS_SHOWN_MAX:.0f}"
    return f"odds {shown}:1 (limit {limit:.0f}:1)"


def interval(counts: Counts) -> tuple[float, float]:
    """Return where the true ratio lies with 95 % confidence, for people to look at.

    Wilson, "Probable Inference, the Law of Succession, and Statistical Inference", 1927. No decision uses it: looked at
    again and again, such an interval promises nothing.
    """
    if not counts.total:
        return 0.0, 1.0
    n, ratio, z = counts.total, min(counts.ratio, 1.0), 1.96
    centre = (ratio + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * sqrt(ratio * (1 - ratio) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def figures(verdict: Verdict | None) -> dict[str, float | int | str]:
    """Return the numbers of a verdict for machines: what every decision is told with, and the service at fault."""
    if verdict is None:
        return {}
    low, high = interval(verdict.candidate)
    return {
        "candidate_total": verdict.candidate.total,
        "candidate_bad": verdict.candidate.bad,
        "candidate_low": round(low, 6),
        "candidate_high": round(high, 6),
        "active_total": verdict.active.total,
        "active_bad": verdict.active.bad,
        "odds": round(verdict.odds, 3),
        "odds_limit": round(verdict.limit, 3),
        "since_s": round(verdict.since_s, 3),
        **({"blamed": verdict.blamed} if verdict.blamed else {}),
    }


def ms_text(ms: float) -> str:
    """Return a short time: `35 ms`, `1.2 s`."""
    return f"{ms:.0f} ms" if ms < 1_000 else f"{ms / 1_000:.1f} s"


def span_text(span_s: float) -> str:
    """Return a span of time: `0.8 s`, `45 s`, `12 min`."""
    if span_s < 10:
        return f"{span_s:.1f} s"
    return f"{span_s:.0f} s" if span_s < 120 else f"{span_s / 60:.0f} min"
