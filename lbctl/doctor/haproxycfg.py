"""HAProxy's own config held against lbctl's: the findings of `config import`, for configured services. Pure."""

from collections.abc import Iterator, Sequence

from lbctl.dataplane.haproxy.existing import asrunning, findings
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.dataplane.haproxy.existing.routing import choices
from lbctl.dataplane.haproxy.existing.sections import Document, Section
from lbctl.dataplane.haproxy.existing.servers import servers
from lbctl.dataplane.haproxy.existing.unreached import unreached
from lbctl.model.names import Colour
from lbctl.model.topology import Plane, Service


def compared(document: Document, plane: Plane, services: Sequence[Service]) -> Iterator[Finding]:
    """Yield what bites in HAProxy's config for the services of one plane."""
    by_unix = plane.request_log is not None and isinstance(plane.request_log.at, str)
    for one in findings.of_global(document):
        # Who may open the sockets is not asked of the text here: they are there, and are looked at themselves.
        if one.code != "SOCKET_GROUP" and (one.code != "CHROOT" or by_unix):
            yield one
    for remark in document.not_understood:
        yield Finding("NOT_UNDERSTOOD", Weight.NOTE, str(remark.place), remark.text, "is it safe with two pools?")
    by_name = {section.name: section for section in document.of("backend", "listen")}
    for service in services:
        yield from _service(service, by_name, document)
        yield from unreached(document, service)


def _service(service: Service, by_name: dict[str, Section], document: Document) -> Iterator[Finding]:
    assert service.haproxy is not None
    sections: dict[Colour, Section] = {}
    for colour, name in service.haproxy.backends.items():
        if name in by_name:
            sections[colour] = by_name[name]
            yield from _servers(service, colour, by_name[name])
        else:
            what = f"{service.name}: HAProxy's config has no backend {name}"
            yield Finding(
                "BACKEND_NOT_FOUND", Weight.FAULT, name, what, "add what `lbctl config render haproxy` prints"
            )
    distinct = {id(section): section for section in sections.values()}.values()
    names = {section.name for section in distinct}
    chosen = [choice for choice in choices(document) if choice.target in names]
    yield from findings.of_frontends(chosen)
    for section in distinct:
        yield from findings.of_backend(section)
    if len(sections) == len(Colour):
        yield from asrunning.said(service, sections)


def _servers(service: Service, colour: Colour, section: Section) -> Iterator[Finding]:
    """A pool's servers are the backend's, by name and address; in a shared backend it is one part of them."""
    there = {one.name: one for one in servers(section)}
    for server in service.pool(colour).servers:
        found = there.pop(server.name, None)
        where = str(section.place)
        if found is None:
            what = f"{service.name}: backend {section.name} has no server {server.name}, which is in pool {colour}"
            yield Finding("SERVERS_DIFFER", Weight.FAULT, where, what, "the same server names in both")
        elif found.address and _is_numeric(found.address) and found.address != str(server.address):
            what = f"{server.name} is {found.address} for HAProxy, and {server.address} for lbctl's checks"
            yield Finding("SERVERS_DIFFER", Weight.FAULT, str(found.place), what, "the same address in both")
    if there and section.name != _shared(service):
        what = f"{service.name}: {', '.join(there)} in backend {section.name} {'is' if len(there) == 1 else 'are'}"
        yield Finding("SERVERS_DIFFER", Weight.FAULT, str(section.place), f"{what} in no pool", "add it to the pool")


def _shared(service: Service) -> str:
    """The backend of both pools, or nothing."""
    assert service.haproxy is not None
    names = set(service.haproxy.backends.values())
    return names.pop() if len(names) == 1 else ""


def _is_numeric(address: str) -> bool:
    return address[:1] == "[" or address.replace(".", "").replace(":", "").isdigit()
