"""systemd's journal by its own protocol, so that `journalctl LBCTL_RELEASE=42` finds every line of a release.

Spoken only where stderr is the journal already (sd-daemon's `$JOURNAL_STREAM` names it). A line that the journal has
no room for is lost, as every line is that cannot be written: nothing waits for it. One that it does not take at all
goes to stderr as before.
"""

import errno
import os
import re
import socket
from array import array
from collections.abc import Iterator, Mapping
from typing import TextIO

import structlog

from lbctl.daemon.message_ids import MESSAGE_IDS

PATH = "/run/systemd/journal/socket"
PRIORITIES = {"debug": 7, "info": 6, "warning": 4, "error": 3, "critical": 2}
IDENTIFIER = "lbctld"
KEY_MAX = 64
PLAIN = frozenset({"event", "level", "text", "timestamp"})
"""These are in the message, or the journal has them by itself."""
_NOT_IN_KEY = re.compile(r"[^A-Z0-9_]")
SEALS = 0x0001 | 0x0002 | 0x0004 | 0x0008
"""F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE: the journal reads no file that may still change."""
F_ADD_SEALS = 1033


def is_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether what is written to `stream` goes to the journal."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(found.st_dev), str(found.st_ino))


class Journald:
    """A structlog processor that ends the line's way where the journal took it, and passes on what it did not."""

    def __init__(self, path: str = PATH) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def __call__(self, logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Send one line.

        Raises:
            DropEvent: it is sent, or there is no room for it now.
        """
        del logger, method
        try:
            self._send(datagram(event))
        except BlockingIOError:
            raise structlog.DropEvent from None
        except OSError:
            return event
        raise structlog.DropEvent

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            if error.errno not in {errno.EMSGSIZE, errno.ENOBUFS}:
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        """What is too long for a datagram goes as a sealed file in memory."""
        import fcntl  # noqa: PLC0415

        handle = os.memfd_create("lbctl-line", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with os.fdopen(handle, "wb", buffering=0) as file:
            file.write(data)
            fcntl.fcntl(handle, F_ADD_SEALS, SEALS)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [handle]))
            self._socket.sendmsg([b""], [rights], 0, self._path)


def datagram(event: Mapping[str, object]) -> bytes:
    """Return a line in the journal's form: its message, how grave it is, and each of its facts as a field."""
    level = str(event.get("level", "info"))
    fields = [
        ("MESSAGE", _message(event)),
        ("PRIORITY", str(PRIORITIES.get(level, 6))),
        ("SYSLOG_IDENTIFIER", IDENTIFIER),
        ("LBCTL_EVENT", str(event.get("event", ""))),
        *_numbered(event),
        *_facts(event),
    ]
    return b"".join(_field(key, value) for key, value in fields)


def _numbered(event: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the number of a kind of event, for the catalogue; lines of other kinds have none."""
    number = MESSAGE_IDS.get(str(event.get("event", "")))
    if number is not None:
        yield "MESSAGE_ID", number


def _facts(event: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, value in event.items():
        if name not in PLAIN and value is not None:
            yield f"LBCTL_{_NOT_IN_KEY.sub('_', name.upper())}"[:KEY_MAX], str(value)


def _message(event: Mapping[str, object]) -> str:
    """Return one sentence: the event's own, or its facts one after another."""
    name, text = str(event.get("event", "")), event.get("text")
    if text is not None:
        return f"{name}: {text}"
    facts = " ".join(f"{key}={value}" for key, value in event.items() if key not in PLAIN and value is not None)
    return f"{name} {facts}".rstrip()


def _field(key: str, value: str) -> bytes:
    """Return one field. A value of several lines is sent with its length, so that none of them can pose as a field."""
    raw = value.encode(errors="backslashreplace")
    if b"\n" not in raw:
        return key.encode() + b"=" + raw + b"\n"
    return key.encode() + b"\n" + len(raw).to_bytes(8, "little") + raw + b"\n"
