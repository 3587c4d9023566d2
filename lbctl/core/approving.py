"""Approval before first traffic: how many people of which group is fixed with the plan. Pure."""

from dataclasses import replace

from lbctl.core.change import Change, entry
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.model.entry import Kind
from lbctl.model.errors import Refused
from lbctl.model.record import Approval, Release
from lbctl.model.request import Approve, Asked

ROOT = 0


def approve(state: State, now: Situation, request: Asked) -> Change | None:
    """Return the change that records one person's yes. The same person's second one changes nothing.

    Raises:
        Refused: none is needed, it comes too late, or not from this person.
    """
    assert isinstance(request, Approve)
    release = now.release
    _needed(release)
    if request.uid is None or request.uid in {one.uid for one in release.approvals}:
        return None
    _may(release, request.uid, request.groups)
    if state.journal_error:
        raise Refused("journal", "the journal cannot be written", why=state.journal_error, then="free space")
    given = Approval(uid=request.uid, by=request.actor, at=now.at, reason=request.reason)
    approved = replace(release, approvals=(*release.approvals, given))
    because = f": {request.reason}" if request.reason else ""
    text = f"approved by {request.actor} ({len(approved.approvals)} of {release.plan.approvals.count}){because}"
    told = entry(Kind.APPROVAL_GIVEN, approved, now.at, text, actor=request.actor, reason=request.reason)
    return Change(record=now.record.with_release(approved), entries=(told,))


def _needed(release: Release) -> None:
    if not release.plan.approvals.count:
        what = f"release {release.id} needs no approval"
        raise Refused("no_approval", what, why="`approvals` is not configured", then=f"lbctl why {release.id}")
    if not release.phase.unmoved:
        what = f"release {release.id} is in {release.phase.value}: approval comes before first traffic"
        raise Refused("no_approval", what, then=f"lbctl why {release.id}")


def _may(release: Release, uid: int, groups: frozenset[int]) -> None:
    group = release.plan.approvals.group
    if uid in release.initiators:
        what = f"uid {uid} started release {release.id}, or said that a version of it is ready"
        then = f"somebody else of group {group}: lbctl release approve {release.id}"
        raise Refused("own_approval", what, why="nobody approves their own", then=then)
    if uid != ROOT and release.plan.approvals.gid not in groups:
        what = f"uid {uid} may not approve release {release.id}"
        why = f"approvals come from group {group}"
        raise Refused("not_authorised", what, why=why, then=f"join the group {group} and log in again", exit_code=6)
