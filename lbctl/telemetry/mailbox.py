"""The datagram socket that request lines come in by: made, measured, taken away again."""

import os
import socket
import stat
import struct
from contextlib import suppress
from dataclasses import dataclass

from lbctl.model.errors import LbctlError
from lbctl.model.topology import Address, RequestLog

BUFFER_BYTES = 8 << 20
"""What is asked for; the kernel gives at most `net.core.rmem_max`."""
ENOUGH_BYTES = 4 << 20
"""Below this a pause of the daemon of some tens of milliseconds loses lines at 15,000 a second."""
QUEUE_ENOUGH = 512
QUEUE_WANTED = 4_096
"""A unix socket takes so many lines before it refuses the next one, whatever its buffer."""
_QUEUE_SYSCTL = "/proc/sys/net/unix/max_dgram_qlen"
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("9I")
"""The last one: datagrams that this socket had no room for (linux/sock_diag.h, SK_MEMINFO_DROPS)."""


class Unbound(LbctlError):
    """The receiver of a request log cannot be opened; the text says which and what to do."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An open socket. `inode` tells whether the path still leads to it; None for UDP."""

    log: RequestLog
    socket: socket.socket
    inode: int | None

    @property
    def refused(self) -> int:
        """How many datagrams the kernel threw away because nobody fetched them in time. Rises, modulo 2**32."""
        try:
            raw = self.socket.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
            return int(_MEMINFO.unpack(raw)[-1])
        except (OSError, struct.error):
            return 0

    @property
    def is_cut_off(self) -> bool:
        """Whether somebody removed or replaced the path: nothing comes in any more."""
        return self.inode is not None and _inode(str(self.log.at)) != self.inode

    @property
    def is_open(self) -> bool:
        """Whether it was not closed yet."""
        return self.socket.fileno() >= 0

    @property
    def complaint(self) -> str:
        """Why lines may be lost under load, and what to do; empty: there is room enough."""
        if self.inode is not None:
            room = _queue_room()
            then = f"sysctl -w net.unix.max_dgram_qlen={QUEUE_WANTED}, then restart lbctld"
            return f"a unix socket of this host holds {room} lines: {then}" if room < QUEUE_ENOUGH else ""
        room = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        then = f"sysctl -w net.core.rmem_max={BUFFER_BYTES}, then restart lbctld"
        return f"its buffer has {room >> 10} KiB: {then}" if room < ENOUGH_BYTES else ""

    def close(self) -> None:
        """Close it, and remove the path if it still leads here."""
        if self.inode is not None and not self.is_cut_off:
            with suppress(OSError):
                os.unlink(str(self.log.at))
        self.socket.close()


def opened(log: RequestLog) -> Mailbox:
    """Return an open socket at that address.

    A unix socket is open to all local users, as HAProxy's user cannot be known: its directory says who may reach it.

    Raises:
        Unbound: the address is taken or not there.
    """
    path = log.at if isinstance(log.at, str) else None
    made = socket.socket(_family(log), socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        if path is None:
            assert isinstance(log.at, Address)
            made.bind((log.at.host, log.at.port))
            return Mailbox(log, made, None)
        _clear(path)
        made.bind(path)
        os.chmod(path, 0o666)  # noqa: S103 - see above
        return Mailbox(log, made, _inode(path))
    except OSError as error:
        made.close()
        raise Unbound(f"the request log {log} cannot be opened: {_why(log, error)}") from error


def _family(log: RequestLog) -> socket.AddressFamily:
    if isinstance(log.at, str):
        return socket.AF_UNIX
    return socket.AF_INET6 if ":" in log.at.host else socket.AF_INET


def _clear(path: str) -> None:
    """Remove what an earlier daemon left. Raises OSError if somebody reads there, or if it is no socket."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise FileExistsError(17, "there is a file that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asking:
        asking.setblocking(False)
        try:
            asking.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
        except BlockingIOError:
            raise OSError(98, "another process reads there") from None
        else:
            raise OSError(98, "another process reads there")


def _inode(path: str) -> int | None:
    with suppress(OSError):
        return os.stat(path).st_ino
    return None


def _queue_room() -> int:
    with suppress(OSError, ValueError), open(_QUEUE_SYSCTL, encoding="ascii") as said:
        return int(said.read())
    return QUEUE_ENOUGH


def _why(log: RequestLog, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return f"{os.path.dirname(str(log.at))} is not there: make it, or correct the path"
        case PermissionError():
            return f"{error.strerror}: give the directory to lbctl's user, or use a port above 1023"
        case _ if isinstance(log.at, str):
            return f"{error.strerror or error}: is another lbctld running? Else remove {log.at}"
        case _:
            return f"{error.strerror or error}: name another port (`ss -ulpn` tells who has it)"
