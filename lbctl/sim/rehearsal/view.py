"""A rehearsal's outcome as plain data: what `lbctl simulate -o json` prints and its screen is drawn from."""

from typing import Any

from lbctl.model.names import Colour
from lbctl.model.record import Phase
from lbctl.model.units import since
from lbctl.sim.rehearsal.rehearse import Outcome
from lbctl.sim.rehearsal.setting import Setting

Json = dict[str, Any]


def view(setting: Setting, outcome: Outcome) -> Json:
    """Return everything that may be told. Equal outcomes give equal data, in the same order."""
    release = outcome.release
    return {
        "services": {name: _way(setting) for name in setting.members},
        "seed": setting.seed,
        "rate": setting.rate,
        "steps_bp": list(setting.plan.steps_bp if release is None else release.plan.steps_bp),
        "assumed": [*setting.assumed, *_not_simulated(setting)],
        "outcome": _word(outcome),
        "decided": "" if release is None else release.outcome,
        "share_bp": 0 if release is None else release.peak_bp,
        "lasted_ms": since(outcome.began, outcome.ended),
        "violation": outcome.violation,
        "holds": [{"code": one.code, "reason": one.reason, "needs": one.needs} for one in outcome.holds],
        "users": _users(outcome),
        "way_back": _way_back(outcome),
        "unmet": [f"{one.text}, from {one.begins} on" for one in outcome.unmet],
        "timeline": [
            {
                "at_ms": one.at,
                "by": "world" if one.trouble else "lbctl",
                **_event(one.kind, one.severity),
                "text": one.text,
            }
            for one in outcome.timeline
        ],
    }


def _way(setting: Setting) -> Json:
    return {"from": setting.active.value, "to": setting.active.other.value}


def _event(kind: str, severity: str) -> Json:
    return {"kind": kind or None, "severity": severity}


def _not_simulated(setting: Setting) -> list[str]:
    found = ["nobody has a session or a long request", "CI stops a pool that is certified"]
    if not setting.latency_judged:
        found.append("latency is not judged: no request_log tells the time of a request")
    return found


def _word(outcome: Outcome) -> str:
    if outcome.violation:
        return "broke"
    phase = None if outcome.release is None else outcome.release.phase
    return phase.value if phase is not None and phase.ended else "goes_on"


def _users(outcome: Outcome) -> Json:
    harm = outcome.harm
    return {
        "harmed": sum(harm.by_fault.values()),
        "slowed": sum(harm.slowed.values()),
        "pools": {
            colour.value: {
                "requests": harm.requests[colour],
                "failed": harm.failed[colour],
                "failed_by_fault": harm.by_fault[colour],
                "slowed": harm.slowed[colour],
            }
            for colour in Colour
        },
    }


def _way_back(outcome: Outcome) -> Json | None:
    """How fast users were back, where they had to be."""
    release, first = outcome.release, outcome.harm.first_at
    if release is None or release.phase not in {Phase.ROLLING_BACK, Phase.ROLLED_BACK} or outcome.home_at is None:
        return None
    decided = next((one.at for one in outcome.timeline if one.kind == "rollback.started"), None)
    at = since(outcome.began, outcome.home_at)
    return {
        "decided_at_ms": decided,
        "home_at_ms": at,
        "after_decision_ms": None if decided is None else at - decided,
        "after_first_harm_ms": None if first is None else since(first, outcome.home_at),
    }
