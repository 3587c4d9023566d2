"""The screen of `lbctl simulate`: the timeline, then what came of it."""

from typing import Any

from lbctl.cli.screens.lines import share
from lbctl.model.units import seconds

Json = dict[str, Any]
MARKS = {"page": "!", "warning": "◐", "info": " "}
HEADS = {
    "finished": "● finished",
    "rolled_back": "✖ rolled back",
    "cancelled": "✖ cancelled before first traffic",
    "goes_on": "◐ not ended",
    "broke": "✖ an invariant broke: this is a bug in lbctl",
}


def simulated_screen(data: Json) -> str:
    """Return what would happen, and what that would mean for users."""
    return "\n".join([*_head(data), "", *map(_line, data["timeline"]), "", *_end(data)])


def _head(data: Json) -> list[str]:
    ways = ", ".join(f"{name} {one['from']} → {one['to']}" for name, one in data["services"].items())
    steps = ", ".join(map(share, data["steps_bp"]))
    return [
        f"{ways} by {steps}; {data['rate']:g} requests/s, seed {data['seed']}",
        f"taken for granted: {'; '.join(data['assumed'])}",
    ]


def _line(one: Json) -> str:
    mark = "~" if one["by"] == "world" else MARKS[one["severity"]]
    return f"{clock(one['at_ms']):>10} {mark} {one['text']}"


def clock(at_ms: int) -> str:
    """Return a time since the start: `+2m11.7s`, as two moments within a second must be told apart."""
    minutes, rest = divmod(at_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes:02d}m" if hours else f"{minutes}m" if minutes else ""
    return f"+{head}{rest / 1_000:0{4 if head else 1}.1f}s"


def _end(data: Json) -> list[str]:
    return [_outcome(data), *_users(data), *_back(data), *_held(data), *_unmet(data)]


def _outcome(data: Json) -> str:
    why = data["violation"] or data["decided"]
    head = f"{HEADS[data['outcome']]} after {seconds(data['lasted_ms'])}"
    highest = f", {share(data['share_bp'])} at most" if data["outcome"] in {"rolled_back", "goes_on"} else ""
    return f"{head}{highest}" + (f": {why}" if why else "")


def _users(data: Json) -> list[str]:
    pools, users = data["users"]["pools"], data["users"]
    total = sum(one["requests"] for one in pools.values())
    usual = sum(one["failed"] for one in pools.values()) - users["harmed"]
    parts = ", ".join(f"{one['requests']} to {colour}" for colour, one in pools.items())
    lines = [
        f"  users  {users['harmed']} of {total} requests failed by these faults ({parts}); {usual} failed as usual"
    ]
    return lines + ([f"  slow   {users['slowed']} requests were slower than usual"] if users["slowed"] else [])


def _back(data: Json) -> list[str]:
    back = data["way_back"]
    if back is None or back["after_decision_ms"] is None:
        return []
    first = back["after_first_harm_ms"]
    since = "" if first is None else f", {seconds(first)} after the first user was harmed"
    took = f"{seconds(back['after_decision_ms'])} after the decision" if back["after_decision_ms"] else "at once"
    return [f"  back   everybody was home {took}{since}"]


def _held(data: Json) -> list[str]:
    if data["outcome"] != "goes_on":
        return []
    return [f"  waits  {one['reason']}; needs {one['needs']}" for one in data["holds"]]


def _unmet(data: Json) -> list[str]:
    return [f"  ! never came: {text}" for text in data["unmet"]]
