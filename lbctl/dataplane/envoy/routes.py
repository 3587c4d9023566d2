"""RDS: where one service's requests go. Pinned callers first, then previews, the colour cookie, and the split.

One value, replaced as a whole: no request meets old pins with a new split.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lbctl.dataplane.envoy.callers import OVERWRITE, SOURCE, Callers
from lbctl.dataplane.envoy.layout import cell_name, check_names, cluster_name, colour_cookie, preview_name
from lbctl.dataplane.envoy.version import Written
from lbctl.model.names import Colour
from lbctl.model.preview import HEADER, network, pattern
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Protocol, Service
from lbctl.model.units import BP_FULL

Json = dict[str, Any]
LEVELS = 4096
"""A session's bucket is the first three hex digits of a random number: keep limits have this grain."""
_API = "type.googleapis.com/envoy"
_HEX = "0123456789abcdef"
STATEFUL_SESSION = "envoy.filters.http.stateful_session"


@dataclass(frozen=True, slots=True)
class _Who:
    """Whose requests some routes are for: those with these headers."""

    caller: Caller | None = None
    headers: tuple[Json, ...] = ()
    is_counted: bool = False


def route_configuration(service: Service, written: Written, callers: Callers) -> Json:
    """Return the route configuration of `service`: 503 for everyone until a route was ever written."""
    check_names(service)
    host = _not_adopted(service) if written.route is None else _adopted(service, written.route, callers)
    return {
        "@type": f"{_API}.config.route.v3.RouteConfiguration",
        "name": service.name,
        "virtual_hosts": [{**host, "request_headers_to_remove": list(callers.removed)}],
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


def _adopted(service: Service, route: Route, callers: Callers) -> Json:
    """Consumer pools first, each by its pin, then previews, then everybody else."""
    pins = dict(route.pins)
    known = [
        one
        for caller, mark in callers.marks.items()
        for headers in mark.matches
        for one in _pinned(service, route, _Who(caller, headers, is_counted=True), pins.get(caller, Pin.SPLIT))
    ]
    others = _by_split(service, route, _Who(is_counted=bool(callers.cells)))
    sticky = {"typed_per_filter_config": {STATEFUL_SESSION: _server_inside_the_colour(service)}}
    return {
        **_host(service),
        **({} if service.protocol is Protocol.TCP else sticky),
        "retry_policy": _RETRY,
        "routes": [*known, *_previews(service), *others, *_cells(service, callers)],
    }


def _pinned(service: Service, route: Route, who: _Who, pin: Pin) -> list[Json]:
    """What the calls of one consumer pool meet: never another pool than its pin says, also when that one is empty."""
    match pin:
        case Pin.SPLIT:
            return _by_split(service, route, who)
        case Pin.NONE:
            return [_refused(service, who)]
        case Pin.BLUE | Pin.GREEN:
            return [_route(service, f"pin-{who.caller}", who, Colour(pin.value))]


def _previews(service: Service) -> list[Json]:
    """Who may name his pool, and does. He is nobody's session, and the one who is asked says which pool he is."""
    return [_preview(service, pattern(network(one)), colour) for one in service.preview for colour in Colour]


def _preview(service: Service, source: str, colour: Colour) -> Json:
    wants = {"name": HEADER.lower(), "string_match": {"exact": colour.value}}
    comes = {"name": SOURCE, "string_match": {"safe_regex": {"regex": source}}}
    route = _route(service, f"preview-{colour.value}", _Who(headers=(wants, comes)), colour)
    told = {"header": {"key": HEADER.lower(), "value": colour.value}, "append_action": OVERWRITE}
    return {
        **route,
        "route": {**route["route"], "cluster": preview_name(service.name, colour)},
        "response_headers_to_add": [told],
        "typed_per_filter_config": {STATEFUL_SESSION: _UNBOUND},
    }


_UNBOUND: Json = {
    "@type": f"{_API}.extensions.filters.http.stateful_session.v3.StatefulSessionPerRoute",
    "disabled": True,
}


def _by_split(service: Service, route: Route, who: _Who) -> list[Json]:
    """Sessions first, then the split. TCP has no cookies: there is only the split."""
    if service.protocol is Protocol.TCP:
        return _new(service, route, who)
    kept = [_kept(service, colour, route.keep_bp(colour), who) for colour in Colour if route.keep_bp(colour)]
    moved = [_moved(service, colour, who) for colour in Colour if route.keep_bp(colour) < BP_FULL]
    return [*kept, *moved, *_new(service, route, who)]


def _cells(service: Service, callers: Callers) -> list[Json]:
    """Routes that no request ever gets to, because those before them take all. Envoy counts by route, and forgets what
    it counted when no route has that name any more: here every one has a place, whatever the pins are."""
    return [_route(service, "counted", _Who(one.caller, is_counted=True), one.colour) for one in callers.cells]


def _refused(service: Service, who: _Who) -> Json:
    text = f"lbctl: {who.caller} is idle and has no {service.name} to call until its release begins\n"
    return {
        "name": f"pin-{who.caller}",
        "match": _match(service, who),
        "direct_response": {"status": 503, "body": {"inline_string": text}},
        "response_headers_to_add": [{"header": {"key": "x-lbctl-refused", "value": "pin"}}],
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


def _kept(service: Service, colour: Colour, keep_bp: int, who: _Who) -> Json:
    cookie = _cookie(service, colour, buckets_below(kept_level(keep_bp)))
    return _route(service, f"kept-{colour.value}", replace(who, headers=(*who.headers, cookie)), colour)


def _moved(service: Service, colour: Colour, who: _Who) -> Json:
    """A session above its keep limit goes to the *other* colour and is told so; it is never drawn again."""
    above = replace(who, headers=(*who.headers, _cookie(service, colour, "[0-9a-f]{3}")))
    return {
        **_route(service, f"moved-{colour.value}", above, colour.other),
        "response_headers_to_add": [_set_cookie(service, colour.other)],
    }


def _new(service: Service, route: Route, who: _Who) -> list[Json]:
    """A single cluster at 0 and 10000, so that an empty pool answers 503 and nobody ever gets the idle one.

    Between them a draw of its own, not the weights of one route: Envoy counts by route.
    """
    whole = {colour: {**_route(service, "new", who, colour), **_told(service, colour)} for colour in Colour}
    for colour in Colour:
        if route.share_bp(colour) == BP_FULL:
            return [whole[colour]]
    part = {"default_value": {"numerator": route.green_bp, "denominator": "TEN_THOUSAND"}}
    drawn = {**whole[Colour.GREEN], "match": {**_match(service, who), "runtime_fraction": part}}
    return [drawn, whole[Colour.BLUE]]


def _route(service: Service, name: str, who: _Who, colour: Colour) -> Json:
    counted = {"stat_prefix": cell_name(Cell(who.caller, colour))} if who.is_counted else {}
    to = {"cluster": cluster_name(service.name, colour), **_HOW[service.protocol]}
    return {"name": name, "match": _match(service, who), "route": to, **counted}


def _match(service: Service, who: _Who) -> Json:
    everyone: Json = {"connect_matcher": {}} if service.protocol is Protocol.TCP else {"prefix": "/"}
    return {**everyone, **({"headers": list(who.headers)} if who.headers else {})}


def _told(service: Service, colour: Colour) -> Json:
    """A new session learns its colour; a TCP connection has nothing to remember it by."""
    return {} if service.protocol is Protocol.TCP else {"response_headers_to_add": [_set_cookie(service, colour)]}


_HTTP: Json = {"timeout": "0s", "upgrade_configs": [{"upgrade_type": "websocket"}]}
_HOW: Mapping[Protocol, Json] = {
    Protocol.HTTP: _HTTP,
    Protocol.GRPC: _HTTP,
    Protocol.TCP: {"timeout": "0s", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
}


def _cookie(service: Service, colour: Colour, bucket: str) -> Json:
    name = re.escape(colour_cookie(service.name))
    regex = rf"(.*;\s*)?{name}={colour.value}\.{bucket}[0-9a-f]{{5}}(\s*;.*)?"
    return {"name": "cookie", "string_match": {"safe_regex": {"regex": regex}}}


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
    route = {"name": "not-adopted", "match": _match(service, _Who()), "direct_response": answer}
    return {**_host(service), "routes": [route]}
