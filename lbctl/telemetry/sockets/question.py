"""What the kernel is asked, as bytes: a filter over destinations, a list of sockets, the end of one.

A filter is a program that the kernel runs for every socket. It is a row of conditions, each followed by a jump to the
end (accepted): a condition that does not hold skips its jump, the last one jumps past the end (refused). A condition
on an IPv4 address also holds for the same address mapped into IPv6. Pure.

A list is asked for in the older of two ways (TCPDIAG_GETSOCK): it has both address families in one walk through the
kernel's table, which is what a list costs most; the newer way walks once for each.
"""

import ipaddress
import struct
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from lbctl.model.topology import Address

TCPDIAG_GETSOCK = 18
SOCK_DESTROY = 21
AF_INET = 2
AF_INET6 = 10
EXACT_MAX = 48
"""Beyond so many addresses the kernel looks at the ports alone: a row of conditions is slower than our dictionary."""
PORTS_MAX = 1_000
"""Beyond so many ports the filter is left out: a jump reaches 65,535 bytes."""
ANY_COOKIE = b"\xff" * 8

_HEADER = struct.Struct("=IHHII")
_ANY_FAMILY = bytes(4)
_STATES = struct.Struct("=II")
_REQUEST = struct.Struct("=BBBxI")
_ATTRIBUTE = struct.Struct("=HH")
_OPERATION = struct.Struct("=BBH")
_CONDITION = struct.Struct("=BBxxi")
_TCP = 6
_DESTINATION_HOLDS = 8
_JUMP = 1
_BYTECODE = 1
_DUMP = 0x301
"""NLM_F_REQUEST, NLM_F_ROOT and NLM_F_MATCH."""
_ACKNOWLEDGE = 0x005


class TcpState(IntEnum):
    """The states of a socket as the kernel numbers them; `time-wait` and `listen` are never asked for."""

    ESTABLISHED = 1
    SYN_SENT = 2
    SYN_RECEIVED = 3
    FIN_WAIT_1 = 4
    FIN_WAIT_2 = 5
    CLOSE_WAIT = 8
    LAST_ACK = 9
    CLOSING = 11


STATES = sum(1 << state for state in TcpState)


def packed(address: Address) -> tuple[int, bytes, bytes]:
    """Return family, address and port of a server as the kernel writes them; a mapped address is an IPv4 one."""
    host = ipaddress.ip_address(address.host)
    host = getattr(host, "ipv4_mapped", None) or host
    family = AF_INET if host.version == 4 else AF_INET6
    return family, host.packed, struct.pack(">H", address.port)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which sockets are listed: those that the program accepts (empty: all), to that port if it is not 0."""

    program: bytes
    port: int = 0


def dump(wanted: Filter, sequence: int) -> bytes:
    """Return the request for all TCP sockets that the filter accepts."""
    attribute = _ATTRIBUTE.pack(4 + len(wanted.program), _BYTECODE) + wanted.program if wanted.program else b""
    any_but_port = bytes(2) + struct.pack(">H", wanted.port) + bytes(36) + ANY_COOKIE
    body = _ANY_FAMILY + any_but_port + _STATES.pack(STATES, 0) + attribute
    return _HEADER.pack(_HEADER.size + len(body), TCPDIAG_GETSOCK, _DUMP, sequence, 0) + body


def destroy(family: int, socket_id: bytes, sequence: int) -> bytes:
    """Return the request to end one socket. Its id holds the cookie: another one at the same ports is not hit."""
    assert len(socket_id) == 48, "a socket's id has 48 bytes"
    body = _REQUEST.pack(family, _TCP, 0, STATES) + socket_id
    return _HEADER.pack(_HEADER.size + len(body), SOCK_DESTROY, _ACKNOWLEDGE, sequence, 0) + body


def destinations(addresses: Collection[Address]) -> Filter:
    """Return a filter that accepts every connection *to* one of these, and not many others.

    Few addresses are compared one by one, many by their ports alone; whoever reads the answer compares all of them.
    """
    assert addresses, "an empty filter accepts every socket"
    ports = sorted({one.port for one in addresses})
    port = ports[0] if len(ports) == 1 else 0
    if len(addresses) <= EXACT_MAX:
        return Filter(b"".join(_any_of([_exactly(one) for one in addresses])), port)
    if port or len(ports) > PORTS_MAX:
        return Filter(b"", port)
    return Filter(b"".join(_any_of([_CONDITION.pack(0, 0, one) for one in ports])))


def _exactly(address: Address) -> bytes:
    family, host, _ = packed(address)
    return _CONDITION.pack(family, len(host) * 8, address.port) + host


def _any_of(conditions: Sequence[bytes]) -> Iterator[bytes]:
    left = sum(_OPERATION.size * 2 + len(one) for one in conditions) - _OPERATION.size
    for number, condition in enumerate(conditions, 1):
        size = _OPERATION.size + len(condition)
        yield _OPERATION.pack(_DESTINATION_HOLDS, size, size + _OPERATION.size) + condition
        left -= size
        if number < len(conditions):
            # The jump's own length counts: it lands at the very end of the program.
            yield _OPERATION.pack(_JUMP, _OPERATION.size, left)
            left -= _OPERATION.size
