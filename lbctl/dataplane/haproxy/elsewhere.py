"""Other backends of the same HAProxy that have servers of a pool. Pure: an answer in, sentences out.

What comes to the servers that way is in none of the rows that are read for the pool, and HAProxy's connections are no
stranger's: nobody would see it. So it is looked for, as seldom as what HAProxy can do is asked.
"""

from collections.abc import Iterable, Iterator, Sequence
from ipaddress import ip_address

from lbctl.dataplane.haproxy.previewrules import backend_of
from lbctl.model.digits import whole
from lbctl.model.names import Colour
from lbctl.model.sharedservers import about
from lbctl.model.topology import Address, Service

ASK = "show servers state"
NAMES_MAX = 3


def elsewhere(lines: Sequence[str], services: Iterable[Service]) -> Iterator[str]:
    """Yield, as `CODE: text`, which pools have servers in a backend that belongs to no service of lbctl."""
    mine = list(services)
    known = {name for one in mine for name in _own(one)}
    found = [(backend, address) for backend, address in _servers(lines) if backend not in known]
    for service in mine:
        for colour in Colour:
            addresses = {_plain(one.address) for one in service.pool(colour).servers}
            names = sorted({backend for backend, address in found if address in addresses})
            if names:
                which = ", ".join(names[:NAMES_MAX]) + ", …" * (len(names) > NAMES_MAX)
                yield f"{about(service.name, colour)}has servers in {which}, too: what comes that way is not counted"


def _own(service: Service) -> Iterator[str]:
    binding = service.haproxy
    if binding is not None:
        yield from binding.backends.values()
        yield from (backend_of(binding, colour) for colour in Colour)


def _servers(lines: Sequence[str]) -> Iterator[tuple[str, Address]]:
    header = next((line.split()[1:] for line in lines if line.startswith("# ")), [])
    if not {"be_name", "srv_addr", "srv_port"} <= set(header):
        return
    places = [header.index(name) for name in ("be_name", "srv_addr", "srv_port")]
    for fields in (line.split() for line in lines if line and not line.startswith("#")):
        if len(fields) >= len(header) and (port := whole(fields[places[2]])) is not None:
            yield fields[places[0]], _plain(Address(fields[places[1]], port))


def _plain(address: Address) -> Address:
    """Return the address as it is always written: an IPv6 address has several forms."""
    try:
        return Address(str(ip_address(address.host)), address.port)
    except ValueError:
        return address
