"""The retreat: down once, where too little of active is seen to tell whose fault it is, and back up if it is active's.

At a large share nobody has judged active for some time: it answers its health checks, and may fail its users all the
same. A retreat finds out with users, so it must end as soon as they have told. Pure.
"""

from dataclasses import replace

from lbctl.core import judge
from lbctl.core.change import Change, entry, lowered, with_share
from lbctl.core.judge.wording import figures
from lbctl.core.situation import Situation
from lbctl.model.entry import Kind, Severity
from lbctl.model.units import percent


def retreat(now: Situation) -> Change | None:
    """Worse than active used to be, and too little of active left to tell whose fault it is: get more of it. Once; a
    second time a person decides."""
    verdict, release = now.verdict, now.release
    if not now.moving or verdict is None or verdict.word is not judge.Word.RETREAT:
        return None
    share_bp = now.service.judge.retreat_to_bp
    if release.share_bp <= share_bp or not now.way_open:
        return None
    if release.retreats:
        return None if "retreat" in release.latched else _latched(now, verdict)
    text = f"{percent(release.share_bp)} → {percent(share_bp)} on {release.to}: {verdict.reason}"
    there = replace(release, share_bp=share_bp)
    stop, numbers = f"lbctl rollback {release.id}", figures(verdict)
    told = entry(Kind.STEP_RETREATED, there, now.at, text, severity=Severity.WARNING, stop=stop, **numbers)
    change = lowered(now.record, replace(release, retreats=1), share_bp, now.at, told)
    gone = change.record.releases[release.unit_name]
    gone = replace(gone, retreated_from_bp=release.share_bp)
    return replace(change, record=change.record.with_release(gone))


def _latched(now: Situation, verdict: judge.Verdict) -> Change:
    release = now.release
    why = f"a second retreat would be due: {verdict.reason}; it stays so until `lbctl resume {release.id}`"
    latched = replace(release, latched={**release.latched, "retreat": why})
    return Change(record=now.record.with_release(latched))


def mistaken(now: Situation) -> bool:
    """Whether the retreat only gave more users to the worse pool, and nothing else speaks against its end."""
    progress, verdict = now.progress, now.verdict
    if not now.release.retreated_from_bp or progress is None or verdict is None or progress.reached_since is None:
        return False
    return verdict.code == "active_worse" and all(hold.code == verdict.code for hold in progress.holds)


def taken_back(now: Situation) -> Change:
    """Return the end of a mistaken retreat: the share that it came from, held there until a person looked."""
    assert now.verdict is not None, "only a verdict says that a retreat was mistaken"
    release, reason, share_bp = now.release, now.verdict.reason, now.release.retreated_from_bp
    record = with_share(now.record, release, share_bp, now.at)
    why = f"a retreat was taken back: {reason}; it stays at {percent(share_bp)} until `lbctl resume {release.id}`"
    back = record.releases[release.unit_name]
    back = replace(back, latched={**back.latched, "retreat": why})
    text = f"{percent(release.share_bp)} → {percent(share_bp)} on {release.to}, the retreat is taken back: {reason}"
    stop, numbers = f"lbctl rollback {release.id}", figures(now.verdict)
    told = entry(Kind.STEP_RETURNED, back, now.at, text, severity=Severity.WARNING, stop=stop, **numbers)
    return Change(record=record.with_release(back), entries=(told,))
