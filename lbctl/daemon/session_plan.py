"""What `lbctl plan` says of sessions: how those of the old pool leave it, how long that takes, and what becomes of the
candidate's on a way back. Pure."""

from typing import Any

from lbctl.core.seating import seats_of
from lbctl.core.state import State
from lbctl.daemon.uncounted import uncounted
from lbctl.model.names import Colour
from lbctl.model.sessions import AtDeadline, SessionPolicy
from lbctl.model.topology import Plan, Protocol, Service, SessionsBack
from lbctl.model.units import SECOND, Instant, seconds

Json = dict[str, Any]


def session_plan(state: State, service: Service, origin: Colour, plan: Plan, now: Instant) -> Json | None:
    """Return what will happen to the sessions of the service that carries the split; None: it can have none."""
    if service.protocol is not Protocol.HTTP:
        return None
    policy, seen = service.sessions, seats_of(state, service.name, origin, now)
    count = seen.count() if seen is not None and seen.known else None
    view: Json = {
        "pool": origin.value,
        "policy": "wait" if policy.per_second is None else "move",
        "per_second": policy.per_second,
        "idle_ms": max(service.drain.quiet, service.drain.idle),
        "deadline_ms": policy.deadline,
        "at_deadline": policy.at_deadline.value,
        "count": count,
        "uncounted": uncounted(state, service.name),
        "lasts_ms": _lasts(policy, count, counted=seen is not None),
        "on_rollback": plan.sessions_back.value,
    }
    return {**view, "text": _goes(view), "back_text": _back(plan.sessions_back, policy)}


def _lasts(policy: SessionPolicy, count: int | None, *, counted: bool) -> int | None:
    """Return how long a move takes from the end of the bake on; None: nobody is moved, or it is not known yet."""
    if policy.per_second is None or (counted and count is None):
        return None
    return policy.deadline if count is None else min(policy.deadline, count * SECOND // policy.per_second)


def _goes(view: Json) -> str:
    now = _now(view["count"], view["uncounted"])
    if view["policy"] == "wait":
        stays = f"each stays until it has not come to {view['pool']} for {seconds(view['idle_ms'])}"
        return f"{now}; after the bake {stays}, {_end(view)}"
    return f"{now}; after the bake {_moves(view)}, {_end(view)}"


def _now(count: int | None, why: str) -> str:
    if why:
        return f"sessions not counted ({why})"
    return "sessions not counted yet" if count is None else f"about {count} session{'s' * (count != 1)} now"


def _moves(view: Json) -> str:
    if view["uncounted"]:
        return "they go in equal parts until the deadline"
    rate, lasts = f"{view['per_second']} of them move a second", view["lasts_ms"]
    if lasts is None:
        return rate
    late = view["count"] * SECOND // view["per_second"] > view["deadline_ms"]
    return f"{rate}: {'not all by the deadline' if late else f'about {seconds(lasts)}'}"


def _end(view: Json) -> str:
    kept = view["at_deadline"] == AtDeadline.KEEP
    rest = "what is left stays" if kept else "what is left is moved, then its connections are closed"
    return f"deadline {seconds(view['deadline_ms'])}: {rest}"


def _back(wanted: SessionsBack, policy: SessionPolicy) -> str:
    """Return what becomes of the candidate's sessions on a way back; see `lbctl.core.change`."""
    rate = "stay" if policy.per_second is None else f"move at {policy.per_second}/s"
    slow = "" if policy.per_second is None else f", {rate} if it is slow"
    return {
        SessionsBack.AUTO: f"the candidate's move at once if it cannot serve{slow}, else stay (a person's rollback)",
        SessionsBack.KEEP: "the candidate's stay until they end",
        SessionsBack.DRAIN: f"the candidate's {rate}",
        SessionsBack.MOVE: "the candidate's move at once",
    }[wanted]
