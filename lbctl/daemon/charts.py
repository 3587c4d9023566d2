"""What charts are drawn from and `status` has no room for: ratios as they are judged, times of requests. Pure."""

from collections.abc import Iterable
from typing import Any

from lbctl.core.evidence import settings
from lbctl.core.judge.terms import Counts
from lbctl.core.judge.wording import interval
from lbctl.core.situation import Situation, situations
from lbctl.core.state import State
from lbctl.model.names import Colour, ServiceName
from lbctl.model.sketch import GAMMA, merged
from lbctl.model.units import Instant

Json = dict[str, Any]


def charts(state: State, services: Iterable[ServiceName], now: Instant) -> Json:
    """Return it for these services; the keys are part of the API."""
    running = situations(state, now)
    return {"gamma": GAMMA, "services": {name: _chart(state, name, running.get(name)) for name in services}}


def _chart(state: State, name: ServiceName, here: Situation | None) -> Json:
    judged = {"errors": {}, "tolerated": None} if here is None or not here.moving else _judged(here, name)
    return {**judged, "times": _times(state, name)}


def _judged(here: Situation, name: ServiceName) -> Json:
    """Return what the judge has counted at this step, by the service's own account."""
    progress = here.progress
    if progress is None:
        return {"errors": {}, "tolerated": None}
    step = progress.followers.get(name, progress.account).step
    member, told = here.release.members[name], settings(here.services[name].judge, here.release)
    counts = {member.origin: step.active, member.to: step.candidate}
    tolerated = min(1.0, told.margin_abs + told.margin_rel * step.active.ratio)
    return {
        "errors": {colour.value: _ratio(counts[colour]) for colour in Colour if counts[colour].total},
        "tolerated": tolerated if step.active.total else None,
    }


def _ratio(counts: Counts) -> Json:
    low, high = interval(counts)
    return {"requests": counts.total, "errors": counts.bad, "low": low, "high": high}


def _times(state: State, name: ServiceName) -> Json:
    found = [
        timing
        for instance in state.topology.instances_of(name)
        if (timing := state.observed.timing.get((instance, name))) is not None
    ]
    return {
        colour.value: dict(merged(*(timing.pools.get(colour, {}) for timing in found))) for colour in Colour if found
    }
