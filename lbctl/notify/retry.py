"""When to try again: pure arithmetic."""

FIRST_S = 1.0
LONGEST_S = 300.0
AGE_MAX_MS = 30 * 60 * 1_000
"""Older alerts are collapsed to one summary."""


def pause_s(attempt: int, jitter: float, retry_after_s: float | None = None) -> float:
    """Return how long to wait after the failed `attempt` (1, 2, …): doubling from 1 s to 5 min, spread by `jitter`
    (0 to 1) to between half and all of it; never shorter than the receiver asked, which counts up to 30 min."""
    longest = min(LONGEST_S, FIRST_S * 2.0 ** min(attempt - 1, 20))
    asked = min(max(retry_after_s or 0.0, 0.0), AGE_MAX_MS / 1_000)
    return max(longest * (0.5 + 0.5 * jitter), asked)
