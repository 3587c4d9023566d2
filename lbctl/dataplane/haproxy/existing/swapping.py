"""The backend of the other pool, made like the one that is there: its lines, with other servers. Pure."""

import re
from collections.abc import Iterator, Sequence

from lbctl.dataplane.haproxy.existing.sections import Section
from lbctl.dataplane.haproxy.existing.servers import VALUED, servers
from lbctl.dataplane.haproxy.render import word
from lbctl.model.names import Colour
from lbctl.model.topology import Protocol, Server, Service

_SERVERS = frozenset({"server", "server-template", "use-server", "id", "guid"})
_OWN = frozenset({"cookie", "id", "guid", "track", "weight"})
"""What belongs to one server alone."""
_DROPPED = frozenset({"backup", "disabled"})
_PLAIN = re.compile(r"[^\s\"'\\#$]+")


def like(lines: Sequence[str], section: Section, service: Service, colour: Colour) -> str:
    """Return the missing backend of `colour` as text, like `section`, which is the other pool's."""
    assert service.haproxy is not None
    name = word(service.haproxy.backends[colour], f"services.{service.name}.haproxy.backends.{colour}")
    head = f"\nbackend {name}" + (f" from {section.comes_from}" if section.comes_from else "")
    body = [lines[line.place.line - 1] for line in section.lines if line.key not in _SERVERS]
    made = [_server(section, service, server) for server in service.pool(colour).servers]
    return "\n".join([head, *body, *made]) + "\n"


def _server(section: Section, service: Service, server: Server) -> str:
    where = f"services.{service.name}: server {server.name}"
    cookie = [f"cookie {word(server.cookie or server.name, where)}"] if section.inherited("cookie") else []
    cookie = [] if service.protocol is Protocol.TCP else cookie
    words = [word(server.name, where), word(str(server.address), where), *cookie, *_parameters(section)]
    return f"    server {' '.join(words)}"


def _parameters(section: Section) -> Iterator[str]:
    """What the other pool's first server has behind its address, but for what is its own."""
    first = next(iter(servers(section)), None)
    line = next((one for one in section.lines if first is not None and one.place == first.place), None)
    words = [] if line is None else list(line.words[4 if line.key == "server-template" else 3 :])
    while words:
        one = words.pop(0)
        value = words.pop(0) if one in VALUED and words else None
        if one in _OWN | _DROPPED:
            continue
        yield _quoted(one)
        if value is not None:
            yield _quoted(value)


def _quoted(text: str) -> str:
    """Return a word as HAProxy reads it back."""
    if _PLAIN.fullmatch(text):
        return text
    return "'" + text.replace("'", "'\\''") + "'"
