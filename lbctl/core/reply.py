"""What a request made of a release, for whoever asked. Pure."""

from typing import assert_never

from lbctl.model.record import Phase, Release
from lbctl.model.request import Approve, Cancel, OnRelease, Pause, Promote, Resume, Rollback, SayStopped
from lbctl.model.units import percent

Facts = dict[str, str | int | bool | list[int] | None]


def facts(request: OnRelease, before: Release, after: Release) -> Facts:
    """Return the answer: where the release is now, and what was changed."""
    return {
        "release": after.id,
        "service": after.service,
        "phase": after.phase.value,
        "share_bp": after.share_bp,
        "did": _did(request, before, after),
    }


def _did(request: OnRelease, before: Release, after: Release) -> str:
    match request:
        case _ if before == after:
            return "nothing was changed: it is so already"
        case Pause():
            return "paused: it stays at this share until `resume`; going back stays possible"
        case Resume():
            return "resumed: it goes on by itself"
        case Approve() if after.unapproved_count:
            return f"approved; {after.unapproved_count} more of {after.plan.approvals.count} approvals are needed"
        case Approve():
            return "approved: it goes on as soon as everything is proved"
        case Promote():
            if after.phase.swapped:
                return f"promoted: {after.to} is active"
            return f"promoted: {percent(before.share_bp)} → {percent(after.share_bp)} on {after.to}"
        case SayStopped():
            return f"{request.service} is stopped: what only it called can be certified now"
        case Rollback() | Cancel():
            if after.phase is Phase.CANCELLED:
                return "cancelled before first traffic"
            return f"going back to {after.origin} from {percent(before.share_bp)} on {after.to}"
        case _:
            assert_never(request)  # type: ignore[arg-type]
