"""What the kernel answered, taken apart: rows counted by destination and state, or listed one by one. Pure.

Nothing here trusts a length. Rows of one answer mostly have one length, so that they are counted as a table of equal
rows; where one differs, the answer is walked row by row.
"""

import ipaddress
import struct
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from lbctl.model.errors import LbctlError
from lbctl.model.topology import Address
from lbctl.telemetry.sockets.question import AF_INET, AF_INET6, TCPDIAG_GETSOCK

MAPPED = bytes(10) + b"\xff\xff"
"""What an IPv4 address has in front of it where an IPv6 socket speaks to it."""

_HEADER = struct.Struct("=IHHII")
_ROW = struct.Struct("=BB2x2s2s16s16s4s8s4xIIII")
_NUMBER = struct.Struct("=i")
_MESSAGE_BYTES = _HEADER.size + _ROW.size
_INODE_AT = (_MESSAGE_BYTES - 4) // 4
_DESTINATION: tuple[tuple[Literal["H", "I"], int, int], ...] = (
    ("H", 2, 8),
    ("H", 2, 11),
    *(("I", 4, at) for at in range(10, 14)),
)
"""Where a row has family with state, port and address: as what, of how many bytes, which of them from its begin."""
_PLACE = struct.Struct("=HH4I")
_ERROR = 2
_DONE = 3
_INTERRUPTED = 0x10


class Unusable(LbctlError):
    """The kernel's list cannot be had; `code` names the reason, the text says what to do."""

    def __init__(self, code: str, text: str, number: int = 0) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.number = number


class Again(Exception):
    """The list changed under the reader, or the answer does not belong to the question: ask anew."""


class Ended(Enum):
    """Whether more is to come."""

    NO = auto()
    YES = auto()


Key = tuple[int, bytes, bytes]
"""State, port and address of the destination, as the kernel writes them; an IPv4 address without what is mapped."""


@dataclass(frozen=True, slots=True)
class Row:
    """One socket. `socket_id` is what the kernel knows it by, with its cookie."""

    family: int
    state: int
    local: Address
    remote: Address
    socket_id: bytes
    unread_bytes: int
    unsent_bytes: int
    uid: int
    inode: int


@dataclass(slots=True)
class Counts:
    """Rows by state and destination. Sockets whose inode is in `own` are left out."""

    sequence: int
    own: frozenset[int] = frozenset()
    found: Counter[Key] = field(default_factory=Counter)

    def take(self, chunk: memoryview) -> Ended:
        """Count one part of the answer. Raises Again, Unusable."""
        if len(chunk) < _MESSAGE_BYTES:
            return self._walk(chunk)
        stride = _HEADER.unpack_from(chunk)[0]
        if stride < _MESSAGE_BYTES or stride % 4 or stride > len(chunk):
            return self._walk(chunk)
        table = chunk[: len(chunk) // stride * stride]
        if not self._is_plain(table, stride) or self._holds_own(table, stride):
            return self._walk(chunk)
        for (family, state, port, host), count in counted(table, stride):
            self.found[state, port, _bare(family, host)] += count
        return self._walk(chunk[len(table) :])

    def _is_plain(self, table: memoryview, stride: int) -> bool:
        """Whether every row is a socket's, of this answer and of one length."""
        heads = struct.unpack("=3I", _HEADER.pack(stride, TCPDIAG_GETSOCK, 2, self.sequence, 0)[:12])
        words = table.cast("I")
        return all(_holds_only(words[at :: stride // 4], head) for at, head in enumerate(heads))

    def _holds_own(self, table: memoryview, stride: int) -> bool:
        return bool(self.own) and not self.own.isdisjoint(table.cast("I")[_INODE_AT :: stride // 4].tolist())

    def _walk(self, chunk: memoryview) -> Ended:
        def count(body: memoryview) -> None:
            family, state, _, port, _, host, _, _, _, _, _, inode = _ROW.unpack_from(body)
            if inode not in self.own:
                self.found[state, port, _bare(family, host)] += 1

        return walk(chunk, self.sequence, count)


def counted(table: memoryview, stride: int) -> Iterator[tuple[tuple[int, int, bytes, bytes], int]]:
    """Yield family, state, port and address of each destination, and how many rows of a table of equal rows have it.

    Most answers are of one port and one state: what is equal in all rows is compared without making an object of each.
    """
    columns = [table.cast(kind)[at :: stride // size] for kind, size, at in _DESTINATION]
    varying = [number for number, one in enumerate(columns) if not _holds_only(one, one[0])]
    lists = [columns[number].tolist() for number in varying]
    found = Counter(zip(*lists, strict=True)) if lists else {(): len(columns[0])}
    values = [one[0] for one in columns]
    for key, count in found.items():
        for number, value in zip(varying, key, strict=True):
            values[number] = value
        packed = _PLACE.pack(*values)
        yield (packed[0], packed[1], packed[2:4], packed[4:]), count


def _holds_only(column: memoryview, value: int) -> bool:
    return column == memoryview(array(column.format, [value]) * len(column))


def walk(chunk: memoryview, sequence: int, take: Callable[[memoryview], None]) -> Ended:
    """Give the body of every row to `take`. Raises Again, Unusable."""
    for kind, flags, body in _messages(chunk, sequence):
        if flags & _INTERRUPTED:
            raise Again("the kernel's list changed while it was read")
        if kind in {_ERROR, _DONE}:
            refuse(_NUMBER.unpack_from(body)[0] if len(body) >= _NUMBER.size else 0)
            return Ended.YES
        if kind == TCPDIAG_GETSOCK:
            if len(body) < _ROW.size:
                raise Again("a socket's row is cut off")
            take(body)
    return Ended.NO


def row(body: memoryview) -> Row:
    """Return one row for people. An unknown family has addresses in hexadecimal."""
    family, state, sport, dport, source, destination, _, _, unread, unsent, uid, inode = _ROW.unpack_from(body)
    return Row(
        family=family,
        state=state,
        local=_address(family, source, sport),
        remote=_address(family, destination, dport),
        socket_id=bytes(body[4:52]),
        unread_bytes=unread,
        unsent_bytes=unsent,
        uid=uid,
        inode=inode,
    )


def refuse(code: int) -> None:
    """Raise Unusable for an error that the kernel reports as a negative number."""
    if code >= 0:
        return
    number = -code
    match number:
        case 1 | 13:
            raise Unusable("NO_PERMISSION", "the kernel forbids it: give lbctld CAP_NET_ADMIN", number)
        case 2 | 93 | 94 | 97:
            then = "load the modules tcp_diag and inet_diag (modprobe tcp_diag)"
            raise Unusable("NO_SOCKET_DIAG", f"the kernel has no list of TCP sockets: {then}", number)
        case 95:
            raise Unusable("NO_SOCKET_DESTROY", "the kernel was built without CONFIG_INET_DIAG_DESTROY", number)
        case _:
            raise Unusable("SOCKET_DIAG_FAILED", f"the kernel answered with error {number}", number)


def _messages(chunk: memoryview, sequence: int) -> Iterator[tuple[int, int, memoryview]]:
    """Yield kind, flags and body of the messages that answer this question. Raises Again for lengths that lie."""
    while chunk:
        if len(chunk) < _HEADER.size:
            raise Again("a message is cut off")
        size, kind, flags, answered, _ = _HEADER.unpack_from(chunk)
        if not _HEADER.size <= size <= len(chunk):
            raise Again("a message is longer than what came")
        if answered == sequence:
            yield kind, flags, chunk[_HEADER.size : size]
        chunk = chunk[(size + 3) & ~3 :]


def _bare(family: int, host: bytes) -> bytes:
    if family == AF_INET:
        return host[:4]
    return host[12:] if host.startswith(MAPPED) else host


def _address(family: int, host: bytes, port: bytes) -> Address:
    number = int.from_bytes(port, "big")
    if family not in {AF_INET, AF_INET6}:
        return Address(host.hex(), number)
    return Address(str(ipaddress.ip_address(_bare(family, host))), number)
