"""The lines of HAProxy's config for preview: who may name a pool, and the backends that answer him.

Those backends have the servers of the pools and follow their health, but nothing of what makes a user: no cookies, no
bucket, no counts. What HAProxy counts for a pool is only what its users did.
"""

from collections.abc import Callable, Iterator

from lbctl.dataplane.haproxy import templates
from lbctl.model.names import Colour
from lbctl.model.preview import HEADER
from lbctl.model.topology import HaproxyBinding, Probe, Protocol, Server, Service

Word = Callable[[str, str], str]
"""Takes a text and what it is, and returns it if it is one plain word to HAProxy. Raises Garbled."""
NETWORKS_A_LINE = 10


def backend_of(binding: HaproxyBinding, colour: Colour) -> str:
    """Return what the backend is called that answers previews of a pool."""
    return f"{binding.backends[colour]}_preview"


def rules(service: Service, word: Word) -> tuple[str, str]:
    """Return the lines before those that choose a colour, and those after. No server ever gets the header."""
    if service.protocol is Protocol.TCP:
        return "", ""
    stripped = templates.PREVIEW_STRIPPED.format(header=HEADER)
    if not service.preview:
        return stripped, ""
    assert service.haproxy is not None
    networks = [word(one, f"services.{service.name}.preview.networks") for one in service.preview]
    lines = [networks[first : first + NETWORKS_A_LINE] for first in range(0, len(networks), NETWORKS_A_LINE)]
    taken = "".join(templates.PREVIEW_TAKEN.format(header=HEADER, networks=" ".join(some)) for some in lines)
    names = {colour.value: backend_of(service.haproxy, colour) for colour in Colour}
    return templates.PREVIEW_SAID + taken + stripped + templates.PREVIEW, templates.PREVIEW_CHOICE.format(**names)


def backends(service: Service, word: Word) -> str:
    """Return the backends that answer previews."""
    if not service.preview:
        return ""
    return "".join(_backend(service, colour, word) for colour in Colour)


def _backend(service: Service, colour: Colour, word: Word) -> str:
    assert service.haproxy is not None
    lines = [_server(service, service.haproxy, colour, server, word) for server in service.pool(colour).servers]
    name = backend_of(service.haproxy, colour)
    return templates.PREVIEW_BACKEND.format(backend=name, header=HEADER, colour=colour, servers="\n".join(lines))


def _server(service: Service, binding: HaproxyBinding, colour: Colour, server: Server, word: Word) -> str:
    name = word(server.name, f"services.{service.name}: server {server.name}")
    followed = [f"track {binding.backends[colour]}/{name}"] if service.health is not None else []
    proto = ["proto h2"] if service.protocol is Protocol.GRPC else []
    return " ".join([f"    server {name} {server.address}", *proto, *followed, *_tls(service, word)])


def _tls(service: Service, word: Word) -> Iterator[str]:
    """As the pool's own servers: a check of their own port by TLS says that they speak it."""
    check = service.health
    if check is None or check.kind is not Probe.HTTPS or check.port is not None:
        return
    yield "ssl"
    if service.tls is None:
        yield "verify none"
        return
    name = word(service.tls.name, "tls.name")
    yield f"verify required ca-file {word(service.tls.ca, 'tls.ca')} verifyhost {name} sni str({name})"
