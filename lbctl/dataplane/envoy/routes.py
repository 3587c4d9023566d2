"""RDS: where one service's requests go. Colour cookie first, then the split; one value, replaced as a whole."""

import re
from collections.abc import Mapping
from typing import Any

from lbctl.dataplane.envoy.layout import check_names, cluster_name, colour_cookie
from lbctl.dataplane.envoy.version import Written
from lbctl.model.names import Colour
from lbctl.model.route import Route
from lbctl.model.topology import Protocol, Service
from lbctl.model.units import BP_FULL

Json = dict[str, Any]
LEVELS = 4096
"""A session's bucket is the first three hex digits of a random number: keep limits have this grain."""
_API = "type.googleapis.com/envoy"
_HEX = "0123456789abcdef"
STATEFUL_SESSION = "envoy.filters.http.stateful_session"


def route_configuration(service: Service, written: Written) -> Json:
    """Return the route configuration of `service`: 503 for everyone until a route was ever written."""
    check_names(service)
    return {
        "@type": f"{_API}.config.route.v3.RouteConfiguration",
        "name": service.name,
        "virtual_hosts": [_not_adopted(service) if written.route is None else _adopted(service, written.route)],
    }


def kept_level(keep_bp: int) -> int:
    """Return how many of the 4096 buckets are kept: exactly none at 0 and all at 10000, never those in between."""
    if keep_bp in {0, BP_FULL}:
        return keep_bp * LEVELS // BP_FULL
    return min(max(keep_bp * LEVELS // BP_FULL, 1), LEVELS - 1)


def buckets_below(level: int) -> str:
    """Return a regular expression for three hex digits whose number is below `level` (1..4096)."""
    if level == LEVELS:
        return "[0-9a-f]{3}"
    digits = [level >> 8 & 15, level >> 4 & 15, level & 15]
    parts = []
    for place, digit in enumerate(digits):
        if digit:
            same = "".join(_HEX[above] for above in digits[:place])
            rest = 2 - place
            parts.append(f"{same}[{_HEX[:digit]}]" + (f"[0-9a-f]{{{rest}}}" if rest else ""))
    return f"({'|'.join(parts)})"


def _adopted(service: Service, route: Route) -> Json:
    """Sessions first, then the split. TCP has no cookies: there is only the split."""
    if service.protocol is Protocol.TCP:
        return {**_host(service), "retry_policy": _RETRY, "routes": [_new(service, route)]}
    kept = [_kept(service, colour, route.keep_bp(colour)) for colour in Colour if route.keep_bp(colour)]
    moved = [_moved(service, colour) for colour in Colour if route.keep_bp(colour) < BP_FULL]
    return {
        **_host(service),
        "typed_per_filter_config": {STATEFUL_SESSION: _server_inside_the_colour(service)},
        "retry_policy": _RETRY,
        "routes": [*kept, *moved, _new(service, route)],
    }


def _host(service: Service) -> Json:
    return {"name": service.name, "domains": ["*"]}


# Only attempts that surely never reached an application are repeated: nobody's order is placed twice. A request that
# was sent on a pooled connection which its server was just cutting is not among them: it ends with 503, and counts.
_RETRY: Json = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": f"{_API}.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
        }
    ],
    # A server that refuses has the fewest requests, so the choice falls on it again and again.
    "host_selection_retry_max_attempts": 30,
}


def _kept(service: Service, colour: Colour, keep_bp: int) -> Json:
    match = _with_cookie(service, colour, buckets_below(kept_level(keep_bp)))
    return {"name": f"kept-{colour.value}", "match": match, "route": _to(cluster_name(service.name, colour))}


def _moved(service: Service, colour: Colour) -> Json:
    """A session above its keep limit goes to the *other* colour and is told so; it is never drawn again."""
    return {
        "name": f"moved-{colour.value}",
        "match": _with_cookie(service, colour, "[0-9a-f]{3}"),
        "route": _to(cluster_name(service.name, colour.other)),
        "response_headers_to_add": [_set_cookie(service, colour.other)],
    }


def _new(service: Service, route: Route) -> Json:
    """A single cluster at 0 and 10000, so that an empty pool answers 503 and nobody ever gets the idle one."""
    how = _HOW[service.protocol]
    for colour in Colour:
        if route.share_bp(colour) == BP_FULL:
            to = {"cluster": cluster_name(service.name, colour), **how}
            return {"name": "new", "match": _everyone(service), "route": to, **_told(service, colour)}
    split = [
        {"name": cluster_name(service.name, colour), "weight": route.share_bp(colour), **_told(service, colour)}
        for colour in Colour
    ]
    return {"name": "new", "match": _everyone(service), "route": {"weighted_clusters": {"clusters": split}, **how}}


def _everyone(service: Service) -> Json:
    return {"connect_matcher": {}} if service.protocol is Protocol.TCP else {"prefix": "/"}


def _told(service: Service, colour: Colour) -> Json:
    """A new session learns its colour; a TCP connection has nothing to remember it by."""
    return {} if service.protocol is Protocol.TCP else {"response_headers_to_add": [_set_cookie(service, colour)]}


_HTTP: Json = {"timeout": "0s", "upgrade_configs": [{"upgrade_type": "websocket"}]}
_HOW: Mapping[Protocol, Json] = {
    Protocol.HTTP: _HTTP,
    Protocol.GRPC: _HTTP,
    Protocol.TCP: {"timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
}


def _to(cluster: str) -> Json:
    return {"cluster": cluster, **_HTTP}


def _with_cookie(service: Service, colour: Colour, bucket: str) -> Json:
    name = re.escape(colour_cookie(service.name))
    regex = rf"(.*;\s*)?{name}={colour.value}\.{bucket}[0-9a-f]{{5}}(\s*;.*)?"
    return {"prefix": "/", "headers": [{"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}]}


def _set_cookie(service: Service, colour: Colour) -> Json:
    """The bucket comes from Envoy's own request id, which replaces one that a client sent."""
    secure = "; Secure" if service.listen_tls else ""
    value = (
        f"{colour_cookie(service.name)}={colour.value}.%REQ(X-REQUEST-ID):8%; Path=/; HttpOnly; SameSite=Lax{secure}"
    )
    return {"header": {"key": "set-cookie", "value": value}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}


def _server_inside_the_colour(service: Service) -> Json:
    """The session's server, by a cookie of Envoy's own. Not strict: a dead server's sessions go to its neighbours."""
    attributes = [{"name": "SameSite", "value": "Lax"}, *([{"name": "Secure"}] if service.listen_tls else [])]
    state = {
        "@type": f"{_API}.extensions.http.stateful_session.cookie.v3.CookieBasedSessionState",
        "cookie": {"name": service.cookie, "path": "/", "attributes": attributes},
    }
    session = {"session_state": {"name": "envoy.http.stateful_session.cookie", "typed_config": state}}
    return {
        "@type": f"{_API}.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
        "stateful_session": session,
    }


def _not_adopted(service: Service) -> Json:
    text = (
        f"lbctl: the service {service.name} is not adopted yet, so nothing is known about where its traffic belongs.\n"
        f"Next: lbctl adopt {service.name} --active blue (or green)\n"
    )
    answer = {"status": 503, "body": {"inline_string": text}}
    route = {"name": "not-adopted", "match": _everyone(service), "direct_response": answer}
    return {**_host(service), "routes": [route]}
