"""Who is at the other end of a connection: as the kernel says, never as the peer says."""

import asyncio
import errno
import pwd
import socket
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from lbctl.control.login import read_login

SO_PEERGROUPS = 59
"""Not in Python's socket module. The peer's real groups, without a look-up that could block."""
OPTION_BYTES_MAX = 1_024
NAME_TIMEOUT_S = 0.05
"""A name is for people who read the audit; whoever asks for a way back is not kept waiting for it."""
_NAMES = ThreadPoolExecutor(2, thread_name_prefix="user-names")
"""Of their own: a directory of users that hangs must not hold the threads that others need."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process that connected, when it did. `groups` has its primary group too. `login`: as whom its user logged in,
    None if nobody did."""

    pid: int
    uid: int
    groups: frozenset[int]
    login: int | None = None


def read_peer(connection: socket.socket) -> Peer:
    """Return who connected. Raises OSError if the kernel does not say."""
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, gid = struct.unpack("3i", found)
    uid, gid = uid & 0xFFFFFFFF, gid & 0xFFFFFFFF
    return Peer(pid, uid, frozenset({gid, *_groups(connection)}), read_login(connection, pid, uid))


def _groups(connection: socket.socket) -> tuple[int, ...]:
    """Return the supplementary groups; none for a peer with more than 256, which Python cannot ask for."""
    try:
        raw = connection.getsockopt(socket.SOL_SOCKET, SO_PEERGROUPS, OPTION_BYTES_MAX)
    except OSError as error:
        if error.errno == errno.ERANGE:
            return ()
        raise
    return struct.unpack(f"{len(raw) // 4}I", raw)


async def actor(peer: Peer) -> str:
    """Return how the audit names a peer: `uid 0 (root) pid 4711, logged in as uid 1000 (eva)`; without a name if it is
    not found at once, without the login if nobody logged in or it is the same."""
    text = f"{await user(peer.uid)} pid {peer.pid}"
    if peer.login is None or peer.login == peer.uid:
        return text
    return f"{text}, logged in as {await user(peer.login)}"


async def user(uid: int) -> str:
    """Return whose uid it is: `uid 1000 (eva)`; without the name if it is not found at once."""
    try:
        async with asyncio.timeout(NAME_TIMEOUT_S):
            name = await asyncio.get_running_loop().run_in_executor(_NAMES, _name, uid)
    except TimeoutError:
        name = ""
    return f"uid {uid} ({name})" if name else f"uid {uid}"


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return ""
