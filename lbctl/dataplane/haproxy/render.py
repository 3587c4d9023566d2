"""HAProxy configuration for form `map`: frontends and backends only, each section complete in itself.

The rules of the frontend, in their order: which colour had this session (its server cookie), is that session still
honoured (its bucket lies below the colour's keep limit), else it moves to the other colour; without a session the split
decides by chance. A session without bucket gets one below its colour's limit: it is born honoured.
"""

import re
from collections.abc import Iterable, Sequence

from lbctl.dataplane.haproxy.logline import log_lines
from lbctl.dataplane.haproxy.statemap import DEFAULT, VALUE, map_path, write_maps
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.topology import HealthCheck, Instance, Probe, RequestLog, Server, Service
from lbctl.model.units import SECOND

__all__ = ["render", "write_maps"]

HEAD = """# Rendered by lbctl for {name}. Frontends and backends only; the global section must contain:
#     stats socket {socket} mode 600 level admin
# and the master must be started with `haproxy -W -S {master},mode,600`.
# Where lbctld runs as another user than HAProxy: mode 660 and lbctl's group on both, never more.
# HAProxy does not start without {map}: `lbctl config render haproxy --write-maps` makes it.
"""

FRONTEND = """
frontend {name}
    mode http
    bind {bind}{tls_note}
{log}    option idle-close-on-response
    timeout client 1h
    timeout http-request 10s
    timeout http-keep-alive 1m
    http-request set-var(txn.lb_state) str({name}),map({map})
    http-request set-var(txn.lb_mix) bool(true) if !{{ var(txn.lb_state) -m reg {value} }}
    http-request set-var(txn.lb_state) str({default}) if {{ var(txn.lb_mix) -m bool }}
    http-request set-var(txn.lb_green) var(txn.lb_state),field(1,:),add(0)
    http-request set-var(txn.lb_mix) bool(true) if {{ var(txn.lb_green) -m int 1:9999 }}
{had}
    http-request set-var(txn.lb_keep) var(txn.lb_state),field(2,:),add(0) if {{ var(txn.lb_had) -m str blue }}
    http-request set-var(txn.lb_keep) var(txn.lb_state),field(3,:),add(0) if {{ var(txn.lb_had) -m str green }}
    http-request set-var(txn.lb_bucket) req.cook({bucket}),add(0) if {{ req.cook({bucket}) -m reg ^[0-9]{{1,4}}$ }}
    # 1 kept session (no bucket yet = kept)   2 session to move: the other colour, never drawn   3 new: by the split
    http-request set-var(txn.lb_why) str(kept) if {{ var(txn.lb_had) -m found }} !{{ var(txn.lb_bucket) -m found }} !{{ var(txn.lb_keep) -m int 0 }}
    http-request set-var(txn.lb_why) str(kept) if !{{ var(txn.lb_why) -m found }} {{ var(txn.lb_had) -m found }} {{ var(txn.lb_bucket) -m found }} {{ var(txn.lb_bucket),sub(txn.lb_keep) -m int lt 0 }}
    http-request set-var(txn.lb_why) str(moved) if !{{ var(txn.lb_why) -m found }} {{ var(txn.lb_had) -m found }}
    http-request set-var(txn.lb_why) str(new) if !{{ var(txn.lb_why) -m found }}
    http-request set-var(txn.lb_colour) var(txn.lb_had) if {{ var(txn.lb_why) -m str kept }}
    http-request set-var(txn.lb_colour) str(green) if {{ var(txn.lb_why) -m str moved }} {{ var(txn.lb_had) -m str blue }}
    http-request set-var(txn.lb_colour) str(blue) if {{ var(txn.lb_why) -m str moved }} {{ var(txn.lb_had) -m str green }}
    http-request set-var(txn.lb_colour) str(green) if {{ var(txn.lb_why) -m str new }} {{ rand(10000),sub(txn.lb_green) -m int lt 0 }}
    http-request set-var(txn.lb_colour) str(blue) if !{{ var(txn.lb_colour) -m found }}
    http-request set-var(txn.lb_limit) var(txn.lb_state),field(2,:),add(0) if {{ var(txn.lb_colour) -m str blue }}
    http-request set-var(txn.lb_limit) var(txn.lb_state),field(3,:),add(0) if {{ var(txn.lb_colour) -m str green }}
    http-request set-var(txn.lb_give) rand(10000),mod(txn.lb_limit) if !{{ var(txn.lb_bucket) -m found }} {{ var(txn.lb_limit) -m int gt 0 }}
    http-after-response add-header Set-Cookie "{bucket}=%[var(txn.lb_give)]; path=/; HttpOnly; SameSite=Lax{secure}" if {{ var(txn.lb_give) -m found }}
    # Only while both pools take new traffic (or nobody said which does) may one stand in for the other.
    use_backend {green} if {{ var(txn.lb_mix) -m bool }} {{ var(txn.lb_colour) -m str blue }} {{ nbsrv({blue}) eq 0 }} {{ nbsrv({green}) gt 0 }}
    use_backend {blue} if {{ var(txn.lb_mix) -m bool }} {{ var(txn.lb_colour) -m str green }} {{ nbsrv({green}) eq 0 }} {{ nbsrv({blue}) gt 0 }}
    use_backend {green} if {{ var(txn.lb_colour) -m str green }}
    default_backend {blue}
"""

COOKIES_A_LINE = 10
_WORD = re.compile(r"[A-Za-z0-9._~:/@+\[\]-]{1,400}")
_PATH = re.compile(r"/[A-Za-z0-9._~:/@+?&=%;,!*-]{0,400}")

BACKEND = """
backend {backend}
    mode http
    balance random
    option redispatch
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout queue 5s
    timeout server 1h
    timeout tunnel 1h
    timeout check {check_timeout_ms}ms
    cookie {cookie} insert indirect nocache httponly{secure}
{check}{servers}
"""


def render(instance: Instance, services: Sequence[Service], request_log: RequestLog | None = None) -> str:
    """Return the sections for `services` on one HAProxy; `haproxy -c` accepts them behind a minimal global section.

    With `request_log` every frontend also sends a line for each request there.

    Raises:
        Garbled: a service has no `haproxy:` or `listen:`, or a word that HAProxy would read as something else; the
            text names it.
    """
    head = HEAD.format(
        name=word(f"{instance.name}", "the instance's name"),
        socket=word(instance.socket or "/run/haproxy/admin.sock", "socket"),
        master=word(instance.master_socket or "/run/haproxy-master.sock", "master_socket"),
        map=word(str(map_path(instance)), "map_dir"),
    )
    log = "" if request_log is None else log_lines(word(instance.name, "the instance's name"), _log_word(request_log))
    return head + "".join(_service(instance, service, log) for service in services)


def _service(instance: Instance, service: Service, log: str) -> str:
    if service.haproxy is None or service.listen is None:
        missing = "haproxy" if service.haproxy is None else "listen"
        raise Garbled(f"services.{service.name}.{missing} is needed to render HAProxy's configuration: add it")
    where = f"services.{service.name}"
    frontend = FRONTEND.format(
        name=word(service.name, where),
        bind=word(str(service.listen), f"{where}.listen"),
        log=log,
        tls_note="    # the client side is TLS: add `ssl crt FILE` here" if service.listen_tls else "",
        map=map_path(instance),
        default=DEFAULT,
        value=VALUE,
        cookie=word(service.haproxy.cookie, f"{where}.haproxy.cookie"),
        bucket=word(service.haproxy.bucket_cookie, f"{where}.haproxy.bucket_cookie"),
        had="\n".join(line for colour in Colour for line in _had(service, service.haproxy.cookie, colour)),
        secure="; Secure" if service.listen_tls else "",
        blue=word(service.haproxy.backends[Colour.BLUE], f"{where}.haproxy.backends.blue"),
        green=word(service.haproxy.backends[Colour.GREEN], f"{where}.haproxy.backends.green"),
    )
    return frontend + "".join(_backend(service, colour) for colour in Colour)


def _backend(service: Service, colour: Colour) -> str:
    assert service.haproxy is not None
    check = service.health
    return BACKEND.format(
        backend=service.haproxy.backends[colour],
        cookie=service.haproxy.cookie,
        secure=" secure" if service.listen_tls else "",
        check_timeout_ms=check.timeout if check else 2 * SECOND,
        check=_check(check),
        servers="\n".join(_server(service, server, check) for server in service.pool(colour).servers),
    )


def _check(check: HealthCheck | None) -> str:
    if check is None or check.kind not in {Probe.HTTP, Probe.HTTPS}:
        return ""
    low, high = check.status
    path, host = word(check.path, "health: the path", _PATH), word(check.host or "lbctl", "health.host")
    return (
        "    option httpchk\n"
        f"    http-check send meth GET uri {path} ver HTTP/1.1 hdr Host {host}\n"
        f"    http-check expect status {low}-{high}\n"
    )


def _server(service: Service, server: Server, check: HealthCheck | None) -> str:
    where = f"services.{service.name}: server {server.name}"
    name, address = word(server.name, where), word(str(server.address), where)
    return " ".join([f"    server {name} {address} cookie {_cookie(service, server)}", *_check_words(service, check)])


def _check_words(service: Service, check: HealthCheck | None) -> Iterable[str]:
    if check is None:
        return
    yield f"check inter {check.interval}ms fall {check.fall} rise {check.rise}"
    if check.port is not None:
        yield f"port {check.port}"
    if check.kind is Probe.HTTPS:
        yield (
            f"check-ssl verify required ca-file {word(service.tls.ca, 'tls.ca')}"
            if service.tls
            else "check-ssl verify none"
        )
        if service.tls:
            name = word(service.tls.name, "tls.name")
            yield f"check-sni {name} verifyhost {name}"


def _had(service: Service, cookie: str, colour: Colour) -> Iterable[str]:
    """Which cookies are of that colour: several rules, because HAProxy takes 64 words and 2 kB a line."""
    other = {_cookie(service, server) for server in service.pool(colour.other).servers}
    mine = [_cookie(service, server) for server in service.pool(colour).servers]
    if shared := other.intersection(mine):
        then = "give the servers cookie values of their own"
        raise Garbled(f"services.{service.name}: the cookie {min(shared)} is in both pools: {then}")
    for first in range(0, len(mine), COOKIES_A_LINE):
        some = " ".join(mine[first : first + COOKIES_A_LINE])
        yield f"    http-request set-var(txn.lb_had) str({colour}) if {{ req.cook({cookie}) -m str -- {some} }}"


def _log_word(log: RequestLog) -> str:
    return word(str(log.at), "request_log")


def _cookie(service: Service, server: Server) -> str:
    """The value as it is configured: nobody is logged out by adopting lbctl."""
    return word(server.cookie or server.name, f"services.{service.name}: the cookie of {server.name}")


def word(text: str, what: str, allowed: re.Pattern[str] = _WORD) -> str:
    """Return `text` if HAProxy reads it as one plain word. Raises Garbled."""
    if not allowed.fullmatch(text):
        raise Garbled(
            f"{what}: {text!r} cannot stand in HAProxy's configuration: use letters, digits and . _ ~ : / @ + -"
        )
    return text
