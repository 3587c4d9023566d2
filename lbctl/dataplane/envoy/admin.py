"""A small HTTP/1.1 client for Envoy's admin socket: bounded in time and size, and it knows who answers."""

import asyncio
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from lbctl.dataplane.envoy.wire import get
from lbctl.model.digits import count
from lbctl.model.errors import Garbled, Unreachable
from lbctl.model.names import Generation
from lbctl.notjson import NOT_JSON

START = "`lbctl envoy start --config FILE`"
_File = tuple[int, int, int]
_PEER = struct.Struct("3i")
_START_FIELD = 19
"""The 22nd field of /proc/PID/stat, counted from behind the command's name."""
_ENDED = {"Z", "X"}
"""States of a process that nobody has buried yet."""
_UPTIME_SLACK_S = 2
"""Envoy tells its age in whole seconds: the same process may seem this much older or younger."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that listens on the admin socket: its pid, and when it started (a pid alone may be used again)."""

    pid: int
    started: str
    uid: int = field(default=-1, compare=False)
    """The user it runs as; -1: not asked."""

    @property
    def generation(self) -> Generation:
        """`PID@START`."""
        return Generation(f"{self.pid}@{self.started}")

    @property
    def is_alive(self) -> bool:
        """Whether it still runs; with a hidden /proc nobody knows, and it counts as ended."""
        return started_at(self.pid) == self.started


class ServerInfo(msgspec.Struct):
    """What `/server_info` says of itself."""

    class Options(msgspec.Struct):
        """How it was started."""

        config_path: str = ""
        restart_epoch: int = 0
        parent_shutdown_time: str = "0s"

    version: str = ""
    state: str = ""
    uptime_current_epoch: str = "0s"
    command_line_options: Options = msgspec.field(default_factory=Options)

    @property
    def number(self) -> str:
        """The version alone: `1.40.0` of `COMMIT/1.40.0/Clean/RELEASE/BoringSSL`."""
        return next(iter(self.version.split("/")[1:2]), self.version)

    @property
    def parent_left_s(self) -> int:
        """How much longer an older Envoy may live that this one replaced by a hot restart; 0: there is none."""
        options = self.command_line_options
        if not options.restart_epoch:
            return 0
        return max(0, _whole_seconds(options.parent_shutdown_time) - _whole_seconds(self.uptime_current_epoch))


class AdminClient:
    """One keep-alive connection to one admin socket. Calls queue up behind each other."""

    def __init__(self, path: Path, then: str = START) -> None:
        """`then` is what people do when nobody answers."""
        self._path = path
        self._then = then
        self._lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._peer: Peer | None = None
        self._file: _File | None = None

    async def ask(self, targets: Sequence[str], timeout_s: float) -> tuple[Peer, list[bytes]]:
        """GET every target over one connection, so that all answers come from the one process that is returned.

        Raises:
            Unreachable: no answer in `timeout_s`, or nobody listens; the text says what to check.
            Garbled: the answer is no HTTP or too large.
        """
        try:
            async with asyncio.timeout(timeout_s), self._lock:
                return await self._ask_again_if_stale(targets)
        except TimeoutError as error:
            raise Unreachable(f"envoy at {self._path} did not answer within {timeout_s:g} s: is it stopped?") from error
        except FileNotFoundError as error:
            raise Unreachable(f"there is no admin socket {self._path}: {self._then}") from error
        except PermissionError as error:
            raise Unreachable(f"no right to open {self._path}: only Envoy's own user may (run lbctld as it)") from error
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unreachable(f"nobody answers on {self._path} ({error}): {self._then}") from error

    @property
    def peer(self) -> Peer | None:
        """Who answered last."""
        return self._peer

    async def server_info(self, timeout_s: float) -> tuple[Peer, ServerInfo]:
        """Ask who is there. Raises as `ask`."""
        peer, (body,) = await self.ask(["/server_info"], timeout_s)
        return peer, _server_info(body)

    async def ask_again(self, targets: Sequence[str], timeout_s: float) -> tuple[Peer, list[bytes]] | None:
        """As `ask`, but only over the connection that is open: None where there is none any more, as at its end.

        Raises:
            TimeoutError: it does not answer; the connection is closed.
            Garbled: the answer is no HTTP or too large.
        """
        async with asyncio.timeout(timeout_s), self._lock:
            if self._streams is None:
                return None
            try:
                return await self._ask(targets)
            except (OSError, asyncio.IncompleteReadError) as error:
                if isinstance(error, TimeoutError):
                    raise
                return None

    def is_superseded(self) -> bool:
        """Whether the open connection leads to another process than a new one would: after a hot restart.

        The new Envoy binds a new socket at the same path, and the old one serves on whoever is connected.
        """
        now = _file(self._path)
        return self._streams is not None and now is not None and now != self._file

    async def close(self) -> None:
        """Close the connection; the next call opens a new one."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _ask_again_if_stale(self, targets: Sequence[str]) -> tuple[Peer, list[bytes]]:
        if self._streams is not None:
            try:
                return await self._ask(targets)
            except (OSError, asyncio.IncompleteReadError):
                await self.close()  # the process on the other end is gone; a new one may be there
        return await self._ask(targets)

    async def _ask(self, targets: Sequence[str]) -> tuple[Peer, list[bytes]]:
        finished = False
        try:
            peer = self._peer if self._streams and self._peer else await self._connect()
            bodies = [await self._get(target) for target in targets]
            finished = True
            return peer, bodies
        finally:
            if not finished:
                await self.close()  # half an answer may still be on its way

    async def _connect(self) -> Peer:
        self._file = _file(self._path)
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        self._streams = reader, writer
        transport_socket: socket.socket = writer.get_extra_info("socket")
        pid, uid = _who_is_behind(transport_socket)
        self._peer = Peer(pid, started_at(pid) or await self._started_by_uptime(pid), uid)
        return self._peer

    async def _started_by_uptime(self, pid: int) -> str:
        """For a hidden /proc: seconds since boot at which it started, the same again for the same life."""
        age_s = _whole_seconds(_server_info(await self._get("/server_info")).uptime_current_epoch)
        start_s = int(time.clock_gettime(time.CLOCK_BOOTTIME)) - age_s
        known = self._peer
        if known and known.pid == pid and abs(int(known.started.removeprefix("up")) - start_s) <= _UPTIME_SLACK_S:
            return known.started
        return f"up{start_s}"

    async def _get(self, target: str) -> bytes:
        if self._streams is None:
            raise ConnectionResetError("the connection was closed")
        return await get(*self._streams, target)


def started_at(pid: int) -> str | None:
    """Return the start time of a process in clock ticks since boot, None where it has ended or /proc is hidden."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return fields[_START_FIELD] if len(fields) > _START_FIELD and fields[0] not in _ENDED else None


def listening(path: Path) -> Peer | None:
    """Return who listens on a unix socket, also when it hangs; None: nobody, or /proc is hidden."""
    with socket.socket(socket.AF_UNIX) as asking:
        asking.setblocking(False)
        try:
            asking.connect(str(path))
        except OSError:
            return None
        pid, _ = _who_is_behind(asking)
    started = started_at(pid)
    return Peer(pid, started) if started else None


def _file(path: Path) -> "_File | None":
    """Which file that is: another one at the same path differs at least in the time it was made."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_ctime_ns


def _whole_seconds(text: str) -> int:
    return count(text.removesuffix("s"))


def _who_is_behind(connected: socket.socket) -> tuple[int, int]:
    """Return pid and uid of whoever listens."""
    raw = connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    pid, uid, _ = _PEER.unpack(raw)
    return pid, uid


def _server_info(body: bytes) -> ServerInfo:
    try:
        return msgspec.json.decode(body, type=ServerInfo)
    except NOT_JSON as error:
        raise Garbled(f"envoy's /server_info cannot be understood: {error}") from error
