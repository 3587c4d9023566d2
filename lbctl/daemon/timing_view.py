"""What the control socket shows of the times of requests: how many, from where, and what is missing."""

from typing import Any

from lbctl.core.state import State
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.sketch import count

Json = dict[str, Any]


def request_times(state: State, instance: InstanceName, service: ServiceName) -> Json | None:
    """Return how many requests were timed since the source began; None where nobody tells their times."""
    timing = state.observed.timing.get((instance, service))
    if timing is None:
        return None
    timed = {colour.value: count(timing.pools.get(colour, {})) for colour in Colour}
    return {"source": timing.source, "timed": timed, "lost": timing.lost, "sampled": timing.sampled}


def sampled(state: State, instance: InstanceName, service: ServiceName) -> list[str]:
    """Return a warning, as `CODE: text`, while too many times are missing."""
    timing = state.observed.timing.get((instance, service))
    if timing is None or not timing.sampled:
        return []
    then = "does HAProxy have the log lines of `lbctl config render haproxy`, and is the buffer large enough?"
    missing = f"over 1 % of the request lines of {service} are missing ({timing.lost} so far)"
    return [f"REQUEST_LOG_SAMPLED: {missing}: {then}"]
