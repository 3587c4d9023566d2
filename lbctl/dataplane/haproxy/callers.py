"""Who calls a service: what its consumer pools are called in HAProxy, and from which addresses they call."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl.dataplane.slotfile import SlotFile
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import Caller
from lbctl.model.topology import Consumer, Instance, PinKind, Server, Service

BY_HEADER = "header"
"""Stands beside an address whose header is believed, where another has the caller that it is."""
CALLERS_BYTES = 262_144
FILE_HEAD = "# Written by lbctl from its config. One line per address: who calls from there\n"


def key_of(service: ServiceName, caller: Caller) -> str:
    """Return the key of a pin in the state map: `accounts<storefront-blue`."""
    return f"{service}<{caller}"


def table_of(service: ServiceName) -> str:
    """Return the table that counts calls by caller and pool."""
    return f"lbctl_{service}/calls"


def callers_path(instance: Instance, service: ServiceName) -> Path:
    """Return where the map of addresses is, as HAProxy's config must name it, too."""
    return Path(instance.directory) / f"{service}.callers"


def looks_at_addresses(service: Service) -> bool:
    """Whether somebody is told by the address he calls from, or believed for it."""
    return any(consumer.kind is not PinKind.LISTENER for consumer in service.consumers.values())


def addresses(service: Service, services: Sequence[Service]) -> dict[str, str]:
    """Return who calls from each address: a consumer pool, or one that says so in its header (`BY_HEADER`).

    Raises:
        Garbled: a consumer is not among `services`, or two that must be told apart share an address.
    """
    known = {one.name: one for one in services}
    found: dict[str, str] = {}
    for name, consumer in sorted(service.consumers.items()):
        if consumer.kind is PinKind.LISTENER:
            continue
        where = f"services.{service.name}.consumers.{name}"
        if name not in known:
            then = f"where {name} calls from is not known here: use `pin: listener`"
            raise Garbled(f"{where}: it is not behind the same data plane, and {then}")
        for caller, server in _servers(known[name]):
            said = _said(caller, consumer)
            if found.setdefault(server.address.host, said) != said:
                both = f"{found[server.address.host]} and {said} call from {server.address.host}"
                raise Garbled(f"{where}: {both}, and cannot be told apart by it: use `pin: listener`")
    return found


def _servers(service: Service) -> list[tuple[Caller, Server]]:
    return [(Caller(service.name, colour), server) for colour in Colour for server in service.pool(colour).servers]


def _said(caller: Caller, consumer: Consumer) -> str:
    return str(caller) if consumer.kind is PinKind.SOURCE else BY_HEADER


def write_callers(instance: Instance, service: Service, known: Mapping[str, str]) -> bool:
    """Bring the map of addresses to what the config says; whether it was another. Raises OSError, ValueError."""
    file = SlotFile(callers_path(instance, service.name), CALLERS_BYTES, b"\n")
    content = (FILE_HEAD + "".join(f"{host} {said}\n" for host, said in sorted(known.items()))).encode()
    if file.read() == content.rstrip(b"\n"):
        return False
    file.write(content)
    return True
