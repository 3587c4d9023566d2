"""How long a release waits before first traffic, and whether a freeze window leaves it that long. Pure."""

from typing import TYPE_CHECKING

from lbctl.model.record import Phase
from lbctl.model.units import Span, since

if TYPE_CHECKING:
    from lbctl.core.situation import Situation


def patience(now: "Situation") -> tuple[str, Span] | None:
    """Return the deadline that cancels a release before first traffic, by its key, and how much of it is left; None
    once users meet the candidate."""
    plan = now.release.plan
    limits = {Phase.PREFLIGHT: ("preflight", plan.preflight), Phase.AWAITING_APPROVAL: ("approval", plan.approval)}
    if now.release.phase not in limits:
        return None
    word, limit = limits[now.release.phase]
    return word, Span(limit - since(now.release.phase_since, now.at))


def outlasted(now: "Situation") -> str:
    """Return how a freeze window ends a release that has not moved a user: its deadline comes first. Empty: there is no
    window, or it is over before that."""
    found = patience(now)
    if not now.frozen or found is None:
        return ""
    if now.frozen_for is None:
        return f"`deadlines.{found[0]}` cancels it unless the window is removed before"
    return f"`deadlines.{found[0]}` comes before the window ends, and cancels it" if found[1] < now.frozen_for else ""
