"""What `lbctl explain` says: why a release is where it is, and every decision with its numbers. Pure."""

from collections.abc import Sequence
from math import exp
from typing import Any

from lbctl.core.judge import Stream
from lbctl.core.judge.capital import log_odds
from lbctl.core.situation import Situation
from lbctl.daemon.timing_view import cold_words
from lbctl.model.record import By, Phase, Release
from lbctl.model.units import percent

DECISIONS = frozenset(
    {
        "release.started",
        "step.started",
        "step.retreated",
        "step.returned",
        "bake.started",
        "drain.started",
        "release.finished",
        "release.cancelled",
        "rollback.started",
        "rollback.blocked",
        "rollback.finished",
        "release.paused",
        "release.resumed",
        "drift.found",
        "hold.started",
        "hold.paged",
    }
)


def explained(
    release: Release, here: Situation | None, events: list[dict[str, Any]], doubts: Sequence[str]
) -> dict[str, Any]:
    """Return the explanation of one release from its record and its journal entries. `doubts`: why the times of
    requests are no evidence now."""
    decisions = [event for event in events if event["kind"] in DECISIONS]
    return {
        "release": release.id,
        "service": release.service,
        "summary": _summary(release),
        "why": [release.outcome] if release.outcome else [event["text"] for event in decisions[-1:]],
        "not": _not(here, doubts),
        "seen": [event["text"] for event in events if event["severity"] != "info"],
        "decisions": decisions,
    }


def _summary(release: Release) -> str:
    ways = [f"{name} {one.origin} → {one.to} ({one.version})" for name, one in release.members.items()]
    way = " and ".join(ways)
    match release.phase:
        case Phase.ROLLED_BACK | Phase.ROLLING_BACK:
            by = "by a person" if release.back_by == "person" else "by itself"
            verb = "rolled back" if release.phase is Phase.ROLLED_BACK else "is going back"
            return f"{way} {verb} {by}; it had reached {percent(release.peak_bp)}"
        case Phase.FINISHED:
            return f"{way} finished"
        case Phase.CANCELLED:
            newer = ", superseded by a newer build" if release.back_by is By.NEWER else ""
            return f"{way} was cancelled before first traffic{newer}"
        case _:
            return f"{way} is in {release.phase.value} at {percent(release.share_bp)}"


def _not(here: Situation | None, doubts: Sequence[str]) -> list[str]:
    """What does not speak against the candidate now."""
    if here is None:
        return []
    fine = []
    if here.candidate.well:
        fine.append(f"health ok: candidate {here.candidate.up_count}/{here.candidate.server_count}")
    if here.verdict is not None and here.verdict.code == "ok":
        fine.append(f"errors ok: {here.verdict.reason}")
    return [*fine, *_latency(here, doubts)]


def _latency(here: Situation, doubts: Sequence[str]) -> list[str]:
    if doubts:
        return [f"latency not judged now: {doubt}" for doubt in doubts]
    account = None if here.progress is None else here.progress.account
    if account is None or not account.terms.latency:
        return ["latency not judged: the times of requests were not known when the release began"]
    if not account.step.candidate.total:
        return ["latency not judged yet: the candidate got no request at this share"]
    seen = {stream.value: log_odds(one.capital) for stream, _, one in account.streams() if stream is not Stream.ERROR}
    odds = ", ".join(f"{name} {exp(min(value, 50.0)):.1f}:1" for name, value in seen.items())
    return [f"latency judged: odds {odds}", *filter(None, [cold_words(here)])]
