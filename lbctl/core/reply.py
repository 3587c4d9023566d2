"""What a request made of a release, for whoever asked. Pure."""

from typing import assert_never

from lbctl.model.record import Phase, Release
from lbctl.model.request import Approve, Cancel, OnRelease, Pause, Promote, Resume, Rollback, SayStopped
from lbctl.model.units import percent

Facts = dict[str, str | int | bool | list[int] | None]


def facts(request: OnRelease, before: Release, after: Release, *, frozen: str = "") -> Facts:
    """Return the answer: where the release is now, and what was changed. `frozen`: why it does not go on now."""
    return {
        "release": after.id,
        "service": after.service,
        "phase": after.phase.value,
        "share_bp": after.share_bp,
        "did": _did(request, before, after, frozen),
    }


def _did(request: OnRelease, before: Release, after: Release, frozen: str) -> str:
    match request:
        case _ if before == after:
            return "nothing was changed: it is so already"
        case Pause():
            return "paused: it stays at this share until `resume`; going back stays possible"
        case Resume():
            return "resumed: it goes on by itself"
        case Approve():
            return _approved(after, frozen)
        case Promote():
            if after.phase.swapped:
                return f"promoted: {after.to} is active"
            return f"promoted: {percent(before.share_bp)} → {percent(after.share_bp)} on {after.to}"
        case SayStopped():
            return f"{request.service} is stopped: what only it called can be certified now"
        case Rollback() | Cancel():
            return _back(before, after)
        case _:
            assert_never(request)  # type: ignore[arg-type]


def _approved(release: Release, frozen: str) -> str:
    if release.unapproved_count:
        return f"approved; {release.unapproved_count} more of {release.plan.approvals.count} approvals are needed"
    return (
        f"approved, but it does not go on now: {frozen}"
        if frozen
        else "approved: it goes on as soon as everything is proved"
    )


def _back(before: Release, after: Release) -> str:
    if before.phase is after.phase:
        return f"the reason is kept; it is {after.phase.value.replace('_', ' ')} already"
    if after.phase is Phase.CANCELLED:
        return "cancelled before first traffic"
    return f"going back to {after.origin} from {percent(before.share_bp)} on {after.to}"
