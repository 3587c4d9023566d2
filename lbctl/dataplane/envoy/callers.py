"""Who calls a service, and how Envoy tells them apart: by a header that its own listener stamps, or that callers send.

A route table can only match on headers, so all of it is headers by the time a route is chosen: a listener for each
consumer pool writes who calls, every listener writes the address of who is directly connected, and the servers of a
consumer may say it themselves. What a client writes into the first two is gone before anybody looks.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any

from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.preview import HEADER
from lbctl.model.route import Caller, Cell, Pin, Route
from lbctl.model.topology import Address, Consumer, PinKind, Protocol, Service

Json = dict[str, Any]
STAMP, SOURCE = "x-lbctl-caller", "x-lbctl-src"
"""Written by listeners only: which consumer pool a listener is for, and who is directly connected."""
ROUTING = (STAMP, SOURCE, HEADER.lower())
"""What no server ever gets."""
DIRECT = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"
OVERWRITE = "OVERWRITE_IF_EXISTS_OR_ADD"
_STEPS_MAX = 90
"""Envoy refuses a regular expression whose program has more than 100 (`re2.max_program_size.error_level`)."""
_HEADER = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SURE_FIRST = (PinKind.LISTENER, PinKind.HEADER, PinKind.SOURCE)
"""Who comes to the listener of a pool is of that pool, whatever the request says and wherever it comes from."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What tells a consumer pool: a header with one of these values, believed only if it comes from these addresses
    (empty: from anywhere)."""

    header: str
    values: tuple[str, ...]
    sources: tuple[str, ...] = ()

    @property
    def matches(self) -> list[tuple[Json, ...]]:
        """The same in Envoy's words: one of these, and all of that one."""
        said, sources = _any_of(self.header, self.values), _any_of(SOURCE, self.sources)
        return [(one, source) for one in said for source in sources] if sources else [(one,) for one in said]


def _any_of(header: str, values: Sequence[str]) -> list[Json]:
    return [{"name": header, "string_match": _one_of(piece)} for piece in in_pieces(values)]


def _one_of(values: Sequence[str]) -> Json:
    if len(values) == 1:
        return {"exact": values[0]}
    return {"safe_regex": {"regex": f"({'|'.join(map(re.escape, values))})"}}


def in_pieces(values: Sequence[str]) -> list[list[str]]:
    """Return the values in as few pieces as make regular expressions that Envoy takes.

    Such a program needs no more than a step for each different beginning and two for each value.
    """
    pieces: list[list[str]] = []
    beginnings: set[str] = set()
    for value in values:
        own = {value[: end + 1] for end in range(len(value))}
        if not pieces or len(beginnings | own) + 2 * (len(pieces[-1]) + 1) > _STEPS_MAX:
            pieces.append([])
            beginnings = set()
        pieces[-1].append(value)
        beginnings |= own
    return pieces


@dataclass(frozen=True, slots=True)
class Callers:
    """The consumer pools of a service, the surest first. `untold`: why some cannot be told apart, as `CODE: text`.

    `removed` are the headers that only route, of every service of this Envoy: servers do not get them, so that what a
    user writes into one cannot be passed on.
    """

    marks: Mapping[Caller, Mark] = field(default_factory=dict)
    untold: Mapping[Caller, str] = field(default_factory=dict)
    removed: tuple[str, ...] = ROUTING

    def refusal(self, route: Route) -> str:
        """Why the pins of a route cannot be carried out, empty where they can."""
        pinned = (caller for caller, pin in route.pins if pin is not Pin.SPLIT)
        return next((self.untold[caller] for caller in pinned if caller in self.untold), "")

    @property
    def cells(self) -> tuple[Cell, ...]:
        """What is counted apart: nothing where a service has no consumers."""
        known = (*self.marks, None) if self.marks or self.untold else ()
        return tuple(Cell(caller, colour) for caller in known for colour in Colour)


def callers_of(service: Service, services: Sequence[Service]) -> Callers:
    """Return who calls `service`; `services` are all that this Envoy has.

    Raises:
        Garbled: two pools have one address, a header cannot be one; the text names the service and what to change.
    """
    marks: dict[Caller, Mark] = {}
    untold: dict[Caller, str] = {}
    for caller, consumer in _sure_first(service):
        found = _mark(service, caller, consumer, services)
        if isinstance(found, Mark):
            marks[caller] = found
        else:
            untold[caller] = found
    _check_apart(service, marks)
    said = {header for one in services for header in _headers(one)}
    return Callers(marks, untold, (*ROUTING, *sorted(said)))


def listening(service: Service) -> Iterator[tuple[Caller, Address]]:
    """Yield the consumer pools that have a listener of their own, and where it is."""
    for caller, consumer in _sure_first(service):
        if consumer.kind is PinKind.LISTENER:
            yield caller, consumer.listeners[caller.colour]


def listener_name(service: Service, caller: Caller) -> str:
    """Return what the listener of a consumer pool is called, as no service can be."""
    return f"{service.name}/{caller}"


def _sure_first(service: Service) -> list[tuple[Caller, Consumer]]:
    pairs = [(caller, service.consumers[caller.service]) for caller in service.callers]
    return sorted(pairs, key=lambda pair: _SURE_FIRST.index(pair[1].kind))


def _mark(service: Service, caller: Caller, consumer: Consumer, services: Sequence[Service]) -> Mark | str:
    """What tells a pool, or why nothing does."""
    if consumer.kind is PinKind.LISTENER:
        return Mark(STAMP, (str(caller),))
    if consumer.kind is PinKind.HEADER and service.protocol is Protocol.TCP:
        return f"NO_PINS: {service.name}: a TCP connection has no header that tells {caller}"
    owner = next((one for one in services if one.name == caller.service), None)
    if owner is None:
        why = f"{caller.service} is behind another data plane, so where {caller} calls from is not known here"
        return f"NO_PINS: {service.name}: {why}: use `pin: listener`"
    if consumer.kind is PinKind.HEADER:
        return Mark(_header(service, consumer), (str(caller),), _hosts(owner, *Colour))
    return Mark(SOURCE, _hosts(owner, caller.colour))


def _hosts(owner: Service, *colours: Colour) -> tuple[str, ...]:
    return tuple(sorted({_plain(server.address.host) for one in colours for server in owner.pool(one).servers}))


def _check_apart(service: Service, marks: Mapping[Caller, Mark]) -> None:
    taken: dict[tuple[str, str], Caller] = {}
    for caller, mark in marks.items():
        for value in mark.values:
            other = taken.setdefault((mark.header, value), caller)
            if other != caller:
                raise Garbled(
                    f"envoy: {service.name}: {value} is both {other} and {caller}: a source address does not tell "
                    f"which of them calls: write `pin: listener` with an address for each"
                )


def _headers(service: Service) -> list[str]:
    if service.protocol is Protocol.TCP:
        return []
    return [_header(service, one) for one in service.consumers.values() if one.kind is PinKind.HEADER]


def _header(service: Service, consumer: Consumer) -> str:
    name = (consumer.header or "").lower()
    if not _HEADER.fullmatch(name) or name in {*ROUTING, "host", "cookie"}:
        raise Garbled(f"envoy: {service.name}: {consumer.header!r} cannot be the header that tells its callers apart")
    return name


def _plain(host: str) -> str:
    """The address as Envoy writes it."""
    try:
        return ip_address(host).compressed
    except ValueError:
        return host
