"""Approval before first traffic: how many people of which group is fixed with the plan. Pure.

A person is known by user and by who logged in, so that `sudo` makes no second person of one. Root without a login is
one more person: whoever can become that can do everything else, too.
"""

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
    given = {who for one in release.approvals for who in one.people}
    if request.uid is None or given & _persons(request):
        return None
    _may(release, request, request.uid)
    if state.journal_error:
        raise Refused("journal", "the journal cannot be written", why=state.journal_error, then="free space")
    said = Approval(uid=request.uid, login=request.login, by=request.actor, at=now.at, reason=request.reason)
    approved = replace(release, approvals=(*release.approvals, said))
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


def _persons(request: Approve) -> frozenset[int]:
    """Return as whom somebody approves. Several people may be root: who logged in tells them apart."""
    if request.uid == ROOT and request.login is not None:
        return frozenset({request.login})
    return frozenset(request.people)


def _may(release: Release, request: Approve, uid: int) -> None:
    group = release.plan.approvals.group
    own = _persons(request) & set(release.initiators)
    if own:
        who = f"uid {uid}" if uid in own else f"uid {uid} is logged in as uid {min(own)}, who"
        what = f"{who} started release {release.id}, or said that a version of it is ready"
        then = f"somebody else of group {group}: lbctl release approve {release.id}"
        raise Refused("own_approval", what, why="nobody approves their own", then=then)
    if uid != ROOT and release.plan.approvals.gid not in request.groups:
        what = f"uid {uid} may not approve release {release.id}"
        why = f"approvals come from group {group}"
        raise Refused("not_authorised", what, why=why, then=f"join the group {group} and log in again", exit_code=6)
