"""What both colours did, and what lbctl does about it, in words for people."""

from collections.abc import Callable, Mapping

from lbctl.model.entry import Entry, Kind, Scalar
from lbctl.model.record import Release
from lbctl.model.units import percent
from lbctl.notify.plain import plain

UNJUDGED = "no request of either colour was judged"


def evidence(data: Mapping[str, Scalar]) -> str:
    """Return both colours' numbers, the candidate first; empty where the entry is about no release.

    As in `green 52 of 100 bad (52.00 %, 95 % within 42.32-61.54 %), blue 0 of 300 bad (0.00 %), in 0.2 s`.
    """
    if "from" not in data or "to" not in data:
        return ""
    mine, other = _count(data, "candidate"), _count(data, "active")
    if mine is None or other is None:
        return UNJUDGED
    whose = f"{plain(data['blamed'], 100)}: " if data.get("blamed") else ""
    span = f", in {data['since_s']:g} s" if isinstance(data.get("since_s"), int | float) and data["since_s"] else ""
    candidate = f"{data['to']} {_counted(*mine, _within(data) if mine[0] else '')}"
    return f"{whose}{candidate}, {data['from']} {_counted(*other)}{span}"


def _count(data: Mapping[str, Scalar], role: str) -> tuple[int, int] | None:
    total, bad = data.get(f"{role}_total"), data.get(f"{role}_bad")
    return (total, bad) if isinstance(total, int) and isinstance(bad, int) else None


def _counted(total: int, bad: int, within: str = "") -> str:
    return f"{bad} of {total} bad ({100 * bad / total:.2f} %{within})" if total else "no requests"


def _within(data: Mapping[str, Scalar]) -> str:
    low, high = data.get("candidate_low"), data.get("candidate_high")
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    return f", 95 % within {100 * low:.2f}\u2013{100 * high:.2f} %"


def action(entry: Entry, release: Release | None) -> str:
    """Return what lbctl does now; empty where it only tells."""
    words = _ACTIONS.get(entry.kind)
    return "" if words is None or release is None else words(entry, release)


def _goes_back(entry: Entry, release: Release) -> str:
    sessions = {
        "move": "sessions go with it",
        "drain": "sessions follow at the session rate",
        "keep": "sessions stay where they are",
    }.get(str(entry.data.get("sessions")), "")
    return f"new traffic goes back to {release.origin} at once" + (f", {sessions}" if sessions else "")


def _stays(entry: Entry, release: Release) -> str:
    share_bp = entry.data.get("share_bp")
    share = percent(share_bp) if isinstance(share_bp, int) else percent(release.share_bp)
    return f"{release.to} stays at {share}"


def _finished(entry: Entry, release: Release) -> str:
    unproven = entry.data.get("outcome") == "unproven"
    return f"{release.to} has all new traffic" + ", and what it left may be in use still" * unproven


_ACTIONS: dict[Kind, Callable[[Entry, Release], str]] = {
    Kind.ROLLBACK_STARTED: _goes_back,
    Kind.ROLLBACK_BLOCKED: _stays,
    Kind.ROLLBACK_FINISHED: lambda _, release: f"{release.origin} has all new traffic, {release.to} is kept to look at",
    Kind.RELEASE_CANCELLED: lambda _, release: f"no traffic was moved, {release.origin} has all of it",
    Kind.RELEASE_FINISHED: _finished,
    Kind.RELEASE_PAUSED: _stays,
    Kind.HOLD_STARTED: _stays,
    Kind.HOLD_PAGED: _stays,
    Kind.STEP_RETURNED: lambda _, release: f"{release.to} goes back up to {percent(release.share_bp)} and stays there",
    Kind.STEP_RETREATED: lambda _, release: f"{release.to} goes down to {percent(release.share_bp)}",
}
