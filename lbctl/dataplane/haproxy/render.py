"""HAProxy configuration for form `map`: frontends and backends only, each section complete in itself.

The rules of the frontend, in their order: which colour had this session (its server cookie), is that session still
honoured (its bucket lies below the colour's keep limit), else it moves to the other colour; without a session the split
decides by chance. A session without bucket gets one below its colour's limit: it is born honoured.
"""

from collections.abc import Iterable, Sequence

from lbctl.dataplane.haproxy.statemap import DEFAULT, map_path, write_maps
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.topology import HealthCheck, Instance, Probe, Server, Service
from lbctl.model.units import SECOND

__all__ = ["render", "write_maps"]

HEAD = """# Rendered by lbctl for {name}. Frontends and backends only; the global section must contain:
#     stats socket {socket} mode 600 level admin
# and the master must be started with `haproxy -W -S {master},mode,600` (both readable by lbctl's user).
# HAProxy does not start without {map}: `lbctl config render haproxy --write-maps` makes it.
"""

FRONTEND = """
frontend {name}
    mode http
    bind {bind}{tls_note}
    option idle-close-on-response
    timeout client 1h
    timeout http-request 10s
    timeout http-keep-alive 1m
    http-request set-var(txn.lb_state) str({name}),map({map})
    http-request set-var(txn.lb_mix) bool(true) if !{{ var(txn.lb_state) -m found }}
    http-request set-var(txn.lb_state) str({default}) if !{{ var(txn.lb_state) -m found }}
    http-request set-var(txn.lb_green) var(txn.lb_state),field(1,:),add(0)
    http-request set-var(txn.lb_mix) bool(true) if {{ var(txn.lb_green) -m int 1:9999 }}
    http-request set-var(txn.lb_had) str(blue) if {{ req.cook({cookie}) -m str {blue_cookies} }}
    http-request set-var(txn.lb_had) str(green) if {{ req.cook({cookie}) -m str {green_cookies} }}
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


def render(instance: Instance, services: Sequence[Service]) -> str:
    """Return the sections for `services` on one HAProxy; `haproxy -c` accepts them behind a minimal global section.

    Raises:
        Garbled: a service has no `haproxy:` or `listen:`; the text names it.
    """
    head = HEAD.format(
        name=instance.name,
        socket=instance.socket or "/run/haproxy/admin.sock",
        master=instance.master_socket or "/run/haproxy-master.sock",
        map=map_path(instance),
    )
    return head + "".join(_service(instance, service) for service in services)


def _service(instance: Instance, service: Service) -> str:
    if service.haproxy is None or service.listen is None:
        missing = "haproxy" if service.haproxy is None else "listen"
        raise Garbled(f"services.{service.name}.{missing} is needed to render HAProxy's configuration: add it")
    secure = "; Secure" if service.listen_tls else ""
    names = {"blue": service.haproxy.backends[Colour.BLUE], "green": service.haproxy.backends[Colour.GREEN]}
    frontend = FRONTEND.format(
        name=service.name,
        bind=service.listen if ":" not in service.listen.host else f"[{service.listen.host}]:{service.listen.port}",
        tls_note="    # the client side is TLS: add `ssl crt FILE` here" if service.listen_tls else "",
        map=map_path(instance),
        default=DEFAULT,
        cookie=service.haproxy.cookie,
        bucket=service.haproxy.bucket_cookie,
        blue_cookies=_cookies(service.blue.servers),
        green_cookies=_cookies(service.green.servers),
        secure=secure,
        **names,
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
    host = f" hdr Host {check.host}" if check.host else " hdr Host lbctl"
    low, high = check.status
    return (
        "    option httpchk\n"
        f"    http-check send meth GET uri {check.path} ver HTTP/1.1{host}\n"
        f"    http-check expect status {low}-{high}\n"
    )


def _server(service: Service, server: Server, check: HealthCheck | None) -> str:
    words = [f"    server {server.name} {server.address} cookie {_cookie(server)}", *_check_words(service, check)]
    return " ".join(words)


def _check_words(service: Service, check: HealthCheck | None) -> Iterable[str]:
    if check is None:
        return
    yield f"check inter {check.interval}ms fall {check.fall} rise {check.rise}"
    if check.port is not None:
        yield f"port {check.port}"
    if check.kind is Probe.HTTPS:
        yield f"check-ssl verify required ca-file {service.tls.ca}" if service.tls else "check-ssl verify none"
        if service.tls:
            yield f"check-sni {service.tls.name} verifyhost {service.tls.name}"


def _cookies(servers: Sequence[Server]) -> str:
    return " ".join(_cookie(server) for server in servers)


def _cookie(server: Server) -> str:
    """The value as it is configured: nobody is logged out by adopting lbctl."""
    return server.cookie or server.name
