"""Rows of the kernel's socket list, made by hand, and the kernel's own runner of filters, in Python."""

import struct

from lbctl.model.topology import Address
from lbctl.telemetry.sockets.question import Filter, packed

ROW = 18
ERROR = 2
DONE = 3
MULTI = 2


def message(kind: int, body: bytes, sequence: int = 7, flags: int = MULTI) -> bytes:
    """One netlink message, padded."""
    size = 16 + len(body)
    return struct.pack("=IHHII", size, kind, flags, sequence, 0) + body + bytes(-size % 4)


def socket_row(
    remote: Address,
    *,
    local: Address | None = None,
    state: int = 1,
    inode: int = 1,
    cookie: int = 1,
    mapped: bool = False,
    sequence: int = 7,
    attributes: bytes = b"\x05\0\x08\0\0\0\0\0",
) -> bytes:
    """One socket; the attribute is INET_DIAG_SHUTDOWN, as the kernel adds it."""
    family, host, port = packed(remote)
    _, here, at = packed(local or Address("127.0.0.9" if family == 2 else "::9", 40_000))
    if mapped:
        family, host, here = 10, bytes(10) + b"\xff\xff" + host, bytes(10) + b"\xff\xff" + here
    ids = at + port + here.ljust(16, b"\0") + host.ljust(16, b"\0") + bytes(4) + struct.pack("=Q", cookie)
    body = struct.pack("=BBBB", family, state, 0, 0) + ids + struct.pack("=IIIII", 0, 11, 22, 1000, inode)
    return message(ROW, body + attributes, sequence)


def done(sequence: int = 7, code: int = 0) -> bytes:
    """The end of a list."""
    return message(DONE, struct.pack("=i", code), sequence)


def failed(code: int, sequence: int = 7) -> bytes:
    """An error, or with 0 an acknowledgement."""
    return message(ERROR, struct.pack("=i", code) + bytes(16), sequence, 0)


def accepted(wanted: Filter, family: int, host: bytes, port: int) -> bool:
    """Run a filter as `inet_diag_bc_run` does, after `inet_diag_bc_audit` has let it pass."""
    program = wanted.program
    audit(program)
    if wanted.port not in {0, port}:
        return False
    at, left = 0, len(program)
    while left > 0:
        code, yes, no = struct.unpack_from("=BBH", program, at)
        step = yes if code == 8 and _holds(program, at + 4, family, host, port) else no
        at, left = at + step, left - step
    return left == 0


def audit(program: bytes) -> None:
    """Refuse what the kernel refuses."""
    starts, at = set(), 0
    while at < len(program):
        starts.add(at)
        at += program[at + 1]
    assert at == len(program)
    for at in starts:
        code, yes, no = struct.unpack_from("=BBH", program, at)
        least = 4 if code == 1 else 12 + {0: 0, 2: 4, 10: 16}[program[at + 4]]
        left = len(program) - at
        assert least <= no <= left + 4
        assert no >= left or at + no in starts
        assert (4 if code == 1 else least) <= yes <= left + 4
        assert not yes % 4 + no % 4


def _holds(program: bytes, at: int, family: int, host: bytes, port: int) -> bool:
    wanted, bits, wanted_port = struct.unpack_from("=BBxxi", program, at)
    if wanted_port not in {-1, port}:
        return False
    if wanted not in {0, family}:
        if not (family == 10 and wanted == 2 and host.startswith(bytes(10) + b"\xff\xff")):
            return False
        host = host[12:]
    return host[: bits // 8] == program[at + 8 : at + 8 + bits // 8]
