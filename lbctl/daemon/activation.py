"""The socket that systemd listens on for us, sd_listen_fds(3): who calls while lbctld restarts waits for an answer."""

import os
import socket
from collections.abc import Mapping

from lbctl.control.listener import CannotListen, Listener, adopt

FIRST_FD = 3
CONTROL = "control"
"""`FileDescriptorName=` of systemd/lbctl.socket."""


def handed_over(environ: Mapping[str, str], path: str, first_fd: int = FIRST_FD) -> Listener | None:
    """Return the control socket that the service manager hands over, None if it hands over none.

    Raises:
        CannotListen: what it hands over is not the control socket of the config; the text says what to change.
    """
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return None  # They are for another process, of which we have only the environment.
    count = environ.get("LISTEN_FDS", "")
    if not count.isdecimal() or int(count) == 0:
        return None
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    if names.count(CONTROL) != 1 or int(count) != 1:
        raise CannotListen(
            f"systemd hands over {count} sockets named {', '.join(names)}, and one named {CONTROL} is expected; "
            f"write FileDescriptorName={CONTROL} into the .socket unit, and one ListenStream="
        )
    return _checked(first_fd, path)


def _checked(fd: int, path: str) -> Listener:
    try:
        sock = socket.socket(fileno=fd)
    except OSError as error:
        raise CannotListen(f"what systemd hands over is no socket: {error.strerror}; use lbctl.socket") from None
    wrong = _wrong(sock, path)
    if wrong:
        sock.close()
        raise CannotListen(wrong)
    sock.set_inheritable(False)
    return adopt(sock)


def _wrong(sock: socket.socket, path: str) -> str:
    kind = sock.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE)
    if sock.family != socket.AF_UNIX or kind != socket.SOCK_STREAM:
        return "systemd hands over another kind of socket; write ListenStream=/path into the .socket unit"
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return "systemd hands over a connection; write Accept=no into the .socket unit"
    if sock.getsockname() != path:
        there = sock.getsockname()
        keys = f"state_dir: /var/lib/lbctl, runtime_dir: /run/lbctl, control_socket: {there}"
        then = f"make them the same: in lbctl.yaml write `daemon: {{{keys}}}`"
        return f"systemd listens at {there}, and daemon.control_socket is {path}: {then}"
    return ""
