"""HAProxy's configuration for lbctl: frontends and backends, each section complete in itself, and tables that count."""

import re
from collections.abc import Iterable, Sequence
from functools import partial

from lbctl.dataplane.haproxy import pinrules, previewrules, templates
from lbctl.dataplane.haproxy.logline import log_lines
from lbctl.dataplane.haproxy.serverstate import state_path
from lbctl.dataplane.haproxy.statemap import DEFAULT, VALUE, map_path
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.topology import (
    Address,
    HaproxyBinding,
    HaproxyForm,
    HealthCheck,
    Instance,
    Probe,
    Protocol,
    RequestLog,
    Server,
    Service,
)
from lbctl.model.units import SECOND

COOKIES_A_LINE = 10
CONFIGURED = {Colour.BLUE: 100, Colour.GREEN: 0}
"""Weights as rendered, for a start without a server-state file: as the map's default, all to blue."""
_WORD = re.compile(r"[A-Za-z0-9._~:/@+\[\]-]{1,400}")
_PATH = re.compile(r"/[A-Za-z0-9._~:/@+?&=%;,!*-]{0,400}")


def render(instance: Instance, services: Sequence[Service], request_log: RequestLog | None = None) -> str:
    """Return the sections for `services` on one HAProxy; `haproxy -c` accepts them behind a minimal global section.

    With `request_log` every HTTP frontend also sends a line for each request there.

    Raises:
        Garbled: a service has no `haproxy:` or `listen:`, callers that cannot be told apart, or a word that HAProxy
            would read as something else; the text names it.
    """
    head = templates.HEAD.format(
        name=word(f"{instance.name}", "the instance's name"),
        socket=word(instance.socket or "/run/haproxy/admin.sock", "socket"),
        master=word(instance.master_socket or "/run/haproxy-master.sock", "master_socket"),
        map=word(str(map_path(instance)), "map_dir"),
    )
    log = "" if request_log is None else log_lines(word(instance.name, "the instance's name"), _log_word(request_log))
    return head + "".join(_service(instance, service, services, log) for service in services)


def _service(instance: Instance, service: Service, services: Sequence[Service], log: str) -> str:
    if service.haproxy is None or service.listen is None:
        missing = "haproxy" if service.haproxy is None else "listen"
        raise Garbled(f"services.{service.name}.{missing} is needed to render HAProxy's configuration: add it")
    words = _words(instance, service, service.haproxy, service.listen) | {"log": log}
    pins, stay = pinrules.rules(instance, service, services, words["map"], word)
    said, choice = previewrules.rules(service, word)
    tcp = service.protocol is Protocol.TCP
    if service.haproxy.form is HaproxyForm.WEIGHTS:
        if tcp:
            raise Garbled(f"services.{service.name}: form weights is for http and grpc: write `form: map`")
        head, pools = _filled(words, "FRONTEND", "STATE"), _backend(instance, service, tuple(Colour))
        return head + pins + said + _filled(words, "BY_WEIGHTS") + pools
    head = _filled(words, "TCP_FRONTEND") if tcp else _filled(words, "FRONTEND", "STATE")
    drawn = _filled(words, "TCP_BY_MAP" if tcp else "BY_MAP") + stay + choice + _filled(words, "CHOICE")
    pools = "".join(_backend(instance, service, (colour,)) for colour in Colour)
    return head + pins + said + drawn + pools + previewrules.backends(service, word) + pinrules.table(service)


def _filled(words: dict[str, str], *names: str) -> str:
    return "".join(getattr(templates, name).format(**words) for name in names)


def _words(instance: Instance, service: Service, binding: HaproxyBinding, listen: Address) -> dict[str, str]:
    """What stands in the templates of a frontend."""
    where = f"services.{service.name}"
    cookie = word(binding.cookie, f"{where}.haproxy.cookie")
    had = "\n".join(line for colour in Colour for line in _had(service, cookie, colour))
    return {
        "name": word(service.name, where),
        "bind": _bind(service, listen) + pinrules.binds(service, partial(_bind, service), word),
        "map": str(map_path(instance)),
        "default": str(DEFAULT),
        "value": VALUE,
        "pattern": cookie.replace(".", "[.]"),
        "bucket": word(binding.bucket_cookie, f"{where}.haproxy.bucket_cookie"),
        "keep": templates.KEEP.format(had=had),
        "secure": "; Secure" if service.listen_tls else "",
        "blue": word(binding.backends[Colour.BLUE], f"{where}.haproxy.backends.blue"),
        "green": word(binding.backends[Colour.GREEN], f"{where}.haproxy.backends.green"),
    }


def _bind(service: Service, at: Address) -> str:
    address = word(str(at), f"services.{service.name}.listen")
    grpc = service.protocol is Protocol.GRPC
    if service.listen_tls:
        then = "add `ssl crt FILE alpn h2` here" if grpc else "add `ssl crt FILE` here"
        return f"{address}    # the client side is TLS: {then}"
    return f"{address} proto h2" if grpc else address


def _backend(instance: Instance, service: Service, colours: Sequence[Colour]) -> str:
    """Return the backend of one colour, or of both."""
    assert service.haproxy is not None
    check, tcp = service.health, service.protocol is Protocol.TCP
    shared = len(colours) > 1
    cookie = templates.COOKIE.format(cookie=service.haproxy.cookie, secure=" secure" if service.listen_tls else "")
    state = templates.STATE_FILE.format(state=word(str(state_path(instance, service.name)), "map_dir"))
    return templates.BACKEND.format(
        backend=service.haproxy.backends[colours[0]],
        mode="tcp" if tcp else "http",
        balance="roundrobin" if shared else "random",
        http="" if tcp else templates.HTTP_BACKEND,
        check_timeout_ms=check.timeout if check else 2 * SECOND,
        more=(state if shared else pinrules.counted(service, colours[0])) + ("" if tcp else cookie),
        check=_check(check),
        servers="\n".join(
            _server(service, server, f" weight {CONFIGURED[colour]}" if shared else "")
            for colour in colours
            for server in service.pool(colour).servers
        ),
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


def _server(service: Service, server: Server, weight: str) -> str:
    where = f"services.{service.name}: server {server.name}"
    name, address = word(server.name, where), word(str(server.address), where)
    cookie = "" if service.protocol is Protocol.TCP else f" cookie {_cookie(service, server)}"
    return " ".join([f"    server {name} {address}{cookie}{weight}", *_server_words(service)])


def _server_words(service: Service) -> Iterable[str]:
    check = service.health
    if service.protocol is Protocol.GRPC:
        yield "proto h2"
    if check is None:
        return
    yield f"check inter {check.interval}ms fall {check.fall} rise {check.rise}"
    if service.protocol is Protocol.GRPC and check.kind in {Probe.HTTP, Probe.HTTPS}:
        # As lbctl's own checks, which are HTTP/1; without it HAProxy would check by the protocol of the server.
        yield "check-proto h1"
    if check.port is not None:
        yield f"port {check.port}"
    if check.kind is Probe.HTTPS:
        # A check of the server's own port by TLS says that its users come there by TLS, too.
        yield "ssl" if check.port is None else "check-ssl"
        yield f"verify required ca-file {word(service.tls.ca, 'tls.ca')}" if service.tls else "verify none"
        if service.tls:
            name = word(service.tls.name, "tls.name")
            yield f"check-sni {name} verifyhost {name}"
            if check.port is None:
                yield f"sni str({name})"


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
