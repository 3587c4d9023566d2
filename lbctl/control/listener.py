"""The listening socket: made safely, taken over only from a dead daemon, removed only if it is still ours."""

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from lbctl.model.errors import LbctlError
from lbctl.model.topology import Address

BACKLOG = 128
PROBE_TIMEOUT_S = 1.0
DIRECTORY_MODE = 0o755
SOCKET_MODE = 0o666
"""Everybody may connect, so that a refusal can say which group helps; every request is authorised."""


class CannotListen(LbctlError):
    """The control socket cannot be made; the text names the path and the next step."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound, listening socket; `identity` tells its file from any other (None: the socket came from outside)."""

    sock: socket.socket
    path: str
    identity: tuple[int, int, int] | None

    def close(self) -> None:
        """Take no more connections and remove the file. Repeating is fine."""
        self.remove()
        self.sock.close()

    def remove(self) -> None:
        """Remove the socket's file, unless another daemon has put its own there."""
        try:
            if self.identity is not None and _identity(self.path) == self.identity:
                os.unlink(self.path)
        except FileNotFoundError:
            return


def listen(path: str, *, directory_mode: int = DIRECTORY_MODE, key: str = "daemon.control_socket") -> Listener:
    """Return a listening socket at `path`. Its directory is made if it is missing, otherwise left as it is. `key`: what
    in the config says where it is.

    Raises:
        CannotListen: another daemon answers there, something that is not a socket is in the way, or no right.
    """
    directory = os.path.dirname(path)
    try:
        _directory(directory, directory_mode, key)
        _clear(path, key)
        return _bound(path)
    except OSError as error:
        then = f"let lbctl's user write there, or set {key}"
        raise CannotListen(f"cannot listen at {path}: {error.strerror or error}; {then}") from None


def listen_on_port(at: Address, key: str) -> Listener:
    """Return a listening socket on a port of this host; `key` is what in the config says which.

    Raises:
        CannotListen: it is taken, or there is no right to it.
    """
    family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((at.host, at.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        words = "something else listens there" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
        raise CannotListen(f"cannot listen at {at}: {words}; choose another port for {key}, or leave it out") from None
    return Listener(sock, str(at), None)


def adopt(sock: socket.socket) -> Listener:
    """Return a listener on a socket that somebody else made, as systemd does; its file is never removed."""
    sock.setblocking(False)
    return Listener(sock, str(sock.getsockname()), None)


def _directory(directory: str, mode: int, key: str) -> None:
    if not os.path.lexists(directory):
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        Path(directory).mkdir(mode=mode)
        os.chmod(directory, mode)
    found = os.lstat(directory)
    if not stat.S_ISDIR(found.st_mode):
        raise CannotListen(f"{directory} is not a directory; remove it, or set {key}")
    if found.st_uid not in {0, os.geteuid()}:
        raise CannotListen(
            f"{directory} belongs to user {found.st_uid}, who could replace the socket; change the owner"
        )
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise CannotListen(f"{directory} can be written by everybody: chmod o-w {directory}")


def _clear(path: str, key: str) -> None:
    """Make room at `path` if what is there is the socket of a dead daemon."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if stat.S_ISLNK(mode):
        raise CannotListen(f"{path} is a symbolic link, which is not followed; remove it")
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"{path} is not a socket; remove it, or set {key}")
    if _answers(path):
        raise CannotListen(f"another daemon answers at {path}; stop it, or set {key}")
    os.unlink(path)


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_TIMEOUT_S)
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno in {errno.ECONNREFUSED, errno.ENOENT}:
                return False
            return isinstance(error, TimeoutError | BlockingIOError) or error.errno == errno.EAGAIN
    return True


def _bound(path: str) -> Listener:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        sock.bind(path)
        os.chmod(path, SOCKET_MODE)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return Listener(sock, path, _identity(path))


def _identity(path: str) -> tuple[int, int, int]:
    """Inode numbers are used again at once, so the time of the last change belongs to it."""
    found = os.lstat(path)
    return found.st_dev, found.st_ino, found.st_ctime_ns
