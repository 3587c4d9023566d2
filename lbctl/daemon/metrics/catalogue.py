"""Every metric: its name, kind, labels and meaning. The answer and the reference page are made from this table.

Base units, ratios from 0 to 1, `_total` for what only grows. Names are an interface. The number of a release is on
`lbctl_release_info` and nowhere else: a label that never repeats makes a series that nobody reads again.
"""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What may be done with a metric's values."""

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `buckets` are the upper bounds of a histogram, without the last, which has none."""

    name: str
    kind: Kind
    doc: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


def _gauge(name: str, doc: str, *labels: str) -> Metric:
    return Metric(f"lbctl_{name}", Kind.GAUGE, doc, labels)


def _counter(name: str, doc: str, *labels: str) -> Metric:
    return Metric(f"lbctl_{name}_total", Kind.COUNTER, doc, labels)


def _histogram(name: str, doc: str, buckets: tuple[float, ...], *labels: str) -> Metric:
    return Metric(f"lbctl_{name}", Kind.HISTOGRAM, doc, labels, buckets)


LAG_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0)
WRITE_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
PROBE_S = (0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
REQUEST_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
BACK_S = (0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 5.0, 30.0)
RELEASE_S = (60.0, 300.0, 900.0, 3_600.0, 7_200.0, 21_600.0, 86_400.0)

METRICS: tuple[Metric, ...] = (
    _gauge("build_info", "Always 1; who is running.", "version"),
    _gauge(
        "release_info",
        "Always 1; the running or last release of each unit, by service. The only metric with a release's number.",
        "unit",
        "release",
        "service",
        "version",
        "color",
    ),
    _gauge("release_state", "1 for the phase of the unit's running or last release, else 0.", "unit", "state"),
    _gauge("release_step_ratio", "The candidate's target share; 1 from the end of the steps on.", "unit"),
    _gauge("release_step_seconds", "How long a moving release has been at its step.", "unit"),
    _gauge("release_step_planned_seconds", "How long that step is to be held at least.", "unit"),
    _gauge("release_held_seconds", "How long a release has waited for more than time; 0: it does not.", "unit"),
    _histogram("release_duration_seconds", "From the start of a release to its end.", RELEASE_S, "unit", "result"),
    _counter("releases", "Releases that ended: certified, unproven, rolled_back or cancelled.", "unit", "result"),
    _counter("rollbacks", "Ways back that were taken, by the judge's code, or `person`.", "unit", "cause"),
    _histogram(
        "rollback_latency_seconds",
        "From the decision to go back until share 0 is read back from every instance, runtime and boot value.",
        BACK_S,
    ),
    _gauge("pool_weight_ratio", "Part of new traffic; `observed` is the furthest off.", "service", "color", "kind"),
    _counter(
        "pool_requests",
        "Requests since lbctld looks on, all instances: `5xx` with those that were never answered, `other` the rest.",
        "service",
        "color",
        "code_class",
    ),
    _gauge(
        "pool_error_ratio",
        "Bad of all judged requests at this step, with the bounds of 95 % confidence; only in a moving release.",
        "service",
        "color",
        "bound",
    ),
    _histogram(
        "pool_request_duration_seconds",
        "Times of requests, within 2 %, where the data plane or its request log tells them.",
        REQUEST_S,
        "service",
        "color",
    ),
    _gauge(
        "pool_inflight",
        "Requests and connections that are in flight, all instances; none while one cannot be read.",
        "service",
        "color",
    ),
    _gauge("pool_sticky_sessions", "About how many sessions came back in the last minute.", "service", "color"),
    _gauge("server_up", "1 up, 0 down; no series while nobody can say.", "service", "color", "server"),
    _histogram("probe_duration_seconds", "Times of the health checks that had an answer.", PROBE_S),
    _counter("probes", "Health checks: good, bad, or unknown (the checker itself was late).", "result"),
    _gauge("probe_age_seconds", "Since when the server that was heard of least lately was not checked.", "service"),
    _gauge("probe_interval_seconds", "How often its servers are to be checked.", "service"),
    _gauge(
        "gate_state",
        "1 for what each gate says now, `open` or `waiting`: approval, freeze, health, hook, partner, version.",
        "unit",
        "gate",
        "state",
    ),
    _gauge("drain_remaining_seconds", "Until the limit of a pool that drains; 0: it is over.", "service", "color"),
    _counter("backend_writes", "Changes of load balancers: done, refused, stale or unknown.", "backend", "result"),
    _histogram("backend_write_duration_seconds", "Times of these changes, read back.", WRITE_S, "backend"),
    _gauge("backend_up", "1 if the load balancer can be read, else 0.", "backend"),
    _gauge("drift_detected", "1 while a load balancer routes otherwise than ordered.", "service"),
    _histogram("loop_lag_seconds", "How long after it was due a decision was made.", LAG_S),
    _gauge("journal_up", "1 if decisions can be written, else 0: nothing goes forward then."),
    _counter("notifications", "Alerts: sent, failed (each attempt), dropped.", "channel", "result"),
    _gauge("outbox_oldest_seconds", "Age of the oldest alert that is not delivered; 0: none waits."),
    _gauge("frozen", "1 while a freeze window is open.", "service"),
    _gauge("leader", "1 if this lbctld may move traffic. A single one always may."),
)

BY_NAME = {metric.name: metric for metric in METRICS}
