"""What the control socket shows of the times of requests: how many, from where, and what is missing."""

from collections.abc import Iterator
from typing import Any

from lbctl.core.evidence import cold_left
from lbctl.core.judge.latency import WARMUP_FACTOR
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import Timing
from lbctl.model.sketch import count
from lbctl.model.units import seconds

Json = dict[str, Any]


def request_times(state: State, instance: InstanceName, service: ServiceName) -> Json | None:
    """Return how many requests were timed since the source began; None where nobody tells their times."""
    timing = state.observed.timing.get((instance, service))
    if timing is None:
        return None
    return {
        "source": timing.source,
        "timed": {colour.value: count(timing.pools.get(colour, {})) for colour in Colour},
        "lost": timing.lost,
        "sampled": timing.sampled,
        "surplus": timing.surplus,
        "forged": timing.forged,
    }


def all_doubts(state: State, here: Situation) -> list[str]:
    """Return the doubts about every service of a running release, with the names of the load balancers."""
    lanes = [(instance, service) for service, names in here.instances.items() for instance in names]
    return [f"{instance}: {doubt}" for instance, service in lanes for doubt in doubts(state, instance, service)]


def cold_words(here: Situation) -> str:
    """Return for how long yet a candidate of a running release may be slower; empty where its times count in full."""
    progress = here.progress
    if progress is None or not here.moving or not progress.account.terms.latency:
        return ""
    left = cold_left(here, progress)
    return f"latency: cold limits for another {seconds(left)}, {WARMUP_FACTOR:g} times the usual ones" if left else ""


def told_doubts(state: State, service: ServiceName) -> Iterator[Json]:
    """Yield the same doubts as warnings of a plan."""
    for instance in state.topology.instances_of(service):
        for code, _, text in (doubt.partition(": ") for doubt in doubts(state, instance, service)):
            yield {"code": code, "text": f"{instance}: {text}"}


def doubts(state: State, instance: InstanceName, service: ServiceName) -> list[str]:
    """Return a warning, as `CODE: text`, for each reason why latency is not judged by these times now."""
    timing = state.observed.timing.get((instance, service))
    if timing is None:
        return []
    return [*_forged(timing, service), *_sampled(timing, service)]


def _forged(timing: Timing, service: ServiceName) -> Iterator[str]:
    if timing.forged:
        seen = f"request lines of {service} came in that the load balancer did not count ({timing.surplus} so far)"
        then = "somebody else sends there; let it be a unix socket in a directory that only HAProxy may enter"
        yield f"REQUEST_LOG_FORGED: {seen}, so latency is not judged: {then}"


def _sampled(timing: Timing, service: ServiceName) -> Iterator[str]:
    if timing.sampled:
        missing = f"over 1 % of the request lines of {service} are missing ({timing.lost} so far)"
        then = "does HAProxy have the log lines of `lbctl config render haproxy`, and is the buffer large enough?"
        yield f"REQUEST_LOG_SAMPLED: {missing}, so latency is not judged: {then}"
