"""Which sessions came back, counted by Envoy itself: one counter for each bucket, route and pool.

A filter takes the bucket out of the colour cookie, and a logger of statistics counts each request under it. Whatever
else stands in the cookie counts under no bucket, so that no client makes counters of its own. A listener that has both
is rendered for an embedded Envoy; an attached one may lack them, and then nobody is counted.
"""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from lbctl.core.rollcall import RollCall
from lbctl.dataplane.envoy.layout import cluster_name, colour_cookie
from lbctl.dataplane.envoy.routes import LEVELS, Json
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.sessions import Attendance
from lbctl.model.topology import Protocol, Service
from lbctl.model.units import SECOND, Instant, since

_API = "type.googleapis.com/envoy"
_PREFIX = "lbctl_sessions"
_NAMESPACE = "lbctl"
_TUNNEL = {"default_value": 101, "runtime_key": "lbctl.no_tunnels"}
ASK_EVERY = SECOND
TARGET = f"/stats?usedonly&filter={quote(f'^{_PREFIX}[.]', safe='')}"
_COUNTER = re.compile(
    rf"{_PREFIX}\.([^.]{{1,200}})\.why\.(kept|moved|new)(?:-(blue|green))?\.to\.(.{{1,200}})\.bucket\."
    r"([0-9a-f]{3})?: (\d{1,18})"
)


def counts_sessions(service: Service) -> bool:
    """Whether its users have sessions."""
    return service.protocol is Protocol.HTTP


def bucket_filter(service: Service) -> Json:
    """Return the HTTP filter that takes the bucket out of the cookie."""
    pattern = r"^(?:(?:blue|green)\.([0-9a-f]{3})[0-9a-f]{5}|.*)$"
    rule = {
        "cookie": colour_cookie(service.name),
        "on_header_present": {
            "metadata_namespace": _NAMESPACE,
            "key": "bucket",
            "regex_value_rewrite": {"pattern": {"regex": pattern}, "substitution": r"\1"},
        },
    }
    return {
        "name": "envoy.filters.http.header_to_metadata",
        "typed_config": {
            "@type": f"{_API}.extensions.filters.http.header_to_metadata.v3.Config",
            "request_rules": [rule],
        },
    }


def session_log(service: Service) -> Json:
    """Return the logger that counts."""
    tags = {"why": "%ROUTE_NAME%", "to": "%UPSTREAM_CLUSTER%", "bucket": f"%DYNAMIC_METADATA({_NAMESPACE}:bucket)%"}
    told = [{"name": name, "value_format": value} for name, value in tags.items()]
    stat = {"name": _dotless(service.name), "tags": told}
    return {
        "name": f"{_PREFIX}.{service.name}",
        # A tunnel ends long after its pool was chosen: that says nothing about now.
        "filter": {"status_code_filter": {"comparison": {"op": "NE", "value": _TUNNEL}}},
        "typed_config": {
            "@type": f"{_API}.extensions.access_loggers.stats.v3.Config",
            "stat_prefix": _PREFIX,
            "counters": [{"stat": stat, "value_fixed": 1}],
        },
    }


def _dotless(name: ServiceName) -> str:
    return name.replace(".", "_")


class Attendances:
    """The roll calls of one Envoy's services, from one answer of its counters to the next."""

    def __init__(self, services: Sequence[Service]) -> None:
        self._calls = {one.name: RollCall(grain=LEVELS) for one in services if counts_sessions(one)}
        self._names = {_dotless(name): name for name in self._calls}
        self._pools = {cluster_name(name, colour): colour for name in self._calls for colour in Colour}
        self._before: Mapping[tuple[str, ...], int] = {}
        self._generation: Generation | None = None
        self._asked_at: Instant | None = None

    def due(self, now: Instant) -> bool:
        """Whether it is time to ask again: there may be thousands of counters."""
        return self._asked_at is None or since(self._asked_at, now) >= ASK_EVERY

    def take(self, body: bytes, generation: Generation, now: Instant) -> None:
        """Take an answer to `TARGET`. A new life counts from nothing; one that was met in mid-life has a past, whose
        sessions may be gone long since."""
        met = self._generation is None
        if generation != self._generation:
            self._generation, self._before = generation, {}
        self._asked_at = now
        lines = map(_COUNTER.fullmatch, body.decode("utf-8", "replace").splitlines())
        found = {line.groups()[:5]: int(line[6]) for line in lines if line is not None}
        for key, count in found.items() if not met else ():
            if count > self._before.get(key, 0):
                self._grew(key, count - self._before.get(key, 0))
        self._before = found

    def look(self, requests: Mapping[ServiceName, int], now: Instant) -> dict[ServiceName, Attendance]:
        """Return what is known of every service whose listener counts, or that served no request at all."""
        for name, call in self._calls.items():
            call.served(self._generation, requests[name])
        return {name: call.look(now) for name, call in self._calls.items() if call.tells}

    def _grew(self, key: tuple[str | None, ...], count: int) -> None:
        service, why, origin, cluster, bucket = key
        name, colour = self._names.get(str(service)), self._pools.get(str(cluster))
        if name is None or colour is None:
            return
        call, number = self._calls[name], int(bucket, 16) if bucket else -1
        if why == "kept":
            call.kept(colour, number)
        elif why == "new":
            call.drew(colour, count)
        elif why == "moved" and origin is not None:
            for _ in range(min(count, 1_000)):
                # Its new cookie has a new number.
                call.moved(Colour(origin), number, keeps_bucket=False)
