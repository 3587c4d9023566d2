"""Who logged in, before `sudo` or `su` made another user of them: the audit's login uid of a peer's process.

The kernel keeps it over every change of user, and only what has CAP_AUDIT_CONTROL may change it once it is set. It is
not set where nobody logged in: a service, a cron job, a container.
"""

import errno
import os
import select
import socket

SO_PEERPIDFD = 77
"""Linux 6.5; not in Python's socket module. A hold on the process that connected, whatever became of its number."""
UNSET = 0xFFFFFFFF


def read_login(connection: socket.socket, pid: int, uid: int) -> int | None:
    """Return the login uid of the process that connected; None: nobody logged in, or it cannot be known for sure.

    Another process may have got the number of one that has ended: the process is held while it is looked at, and what
    was read counts only if it lives afterwards and is still that user's.
    """
    held = _held(connection, pid)
    if held is None:
        return None
    try:
        found = _login_of(pid, uid)
        return found if _lives(held) else None
    finally:
        os.close(held)


def _held(connection: socket.socket, pid: int) -> int | None:
    if pid <= 0:  # It is in another pid namespace.
        return None
    try:
        return connection.getsockopt(socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _login_of(pid: int, uid: int) -> int | None:
    try:
        directory = os.open(f"/proc/{pid}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _number(directory) if _effective_uid(directory) == uid else None
    except (OSError, ValueError):
        return None
    finally:
        os.close(directory)


def _number(directory: int) -> int | None:
    found = int(_text(directory, "loginuid"))
    return None if found == UNSET else found


def _effective_uid(directory: int) -> int:
    (line,) = (line for line in _text(directory, "status").splitlines() if line.startswith("Uid:"))
    return int(line.split()[2])


def _text(directory: int, name: str) -> str:
    descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=directory)
    try:
        return os.read(descriptor, 8_192).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _lives(held: int) -> bool:
    poll = select.poll()
    poll.register(held, select.POLLIN)
    return not poll.poll(0)
