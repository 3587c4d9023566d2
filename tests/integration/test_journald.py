"""Lines for systemd's journal, received by a socket as the journal has one."""

import fcntl
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from lbctl.daemon.journald import Journald, is_journal
from lbctl.daemon.message_ids import MESSAGE_IDS
from lbctl.model.entry import Kind

F_GET_SEALS = 1034
STARTED = {
    "event": "rollback.started",
    "level": "warning",
    "timestamp": "2026-01-02T03:04:05Z",
    "service": "shop",
    "release": "42",
    "text": "going back to blue from 25 % on green",
    "actor": None,
    "n_from_share_bp": 2500,
}


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "journal"))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def sender(journal: socket.socket) -> Iterator[Journald]:
    made = Journald(journal.getsockname())
    yield made
    made.close()


def fields(data: bytes) -> dict[str, str]:
    """Read a line as the journal does."""
    found: dict[str, str] = {}
    while data:
        head, _, rest = data.partition(b"\n")
        key, equals, value = head.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        assert key.decode() not in found
        found[key.decode()], data = value.decode(), rest
    return found


def send(sender: Journald, **event: object) -> None:
    with pytest.raises(structlog.DropEvent):
        sender(None, "info", event)


def test_the_facts_of_a_line_are_fields(journal: socket.socket, sender: Journald) -> None:
    send(sender, **STARTED)
    assert fields(journal.recv(65_536)) == {
        "MESSAGE": "rollback.started: going back to blue from 25 % on green",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "lbctld",
        "LBCTL_EVENT": "rollback.started",
        "MESSAGE_ID": MESSAGE_IDS[Kind.ROLLBACK_STARTED],
        "LBCTL_SERVICE": "shop",
        "LBCTL_RELEASE": "42",
        "LBCTL_N_FROM_SHARE_BP": "2500",
    }


def test_no_text_poses_as_a_field(journal: socket.socket, sender: Journald) -> None:
    send(sender, event="x", text="one\nPRIORITY=0\nLBCTL_RELEASE=1", **{"a=b\nc": "v", "é" * 90: "long"})
    found = fields(journal.recv(65_536))
    assert found["MESSAGE"] == "x: one\nPRIORITY=0\nLBCTL_RELEASE=1"
    assert found["PRIORITY"] == "6"
    assert found["LBCTL_A_B_C"] == "v"
    assert all(len(key) <= 64 and key.isascii() for key in found)


def test_a_line_without_a_sentence_tells_its_facts(journal: socket.socket, sender: Journald) -> None:
    send(sender, event="daemon.ready", level="info", socket="/run/x", config="/etc/y")
    found = fields(journal.recv(65_536))
    assert found["MESSAGE"] == "daemon.ready socket=/run/x config=/etc/y"
    assert "MESSAGE_ID" not in found


def test_what_is_too_long_for_a_datagram_goes_as_a_sealed_file(journal: socket.socket, sender: Journald) -> None:
    send(sender, event="x", text="y" * 1_000_000)
    data, handles, _, _ = socket.recv_fds(journal, 10, 1)
    assert data == b""
    with os.fdopen(handles[0], "rb") as file:
        assert fcntl.fcntl(file, F_GET_SEALS) == 0b1111
        file.seek(0)
        assert fields(file.read())["MESSAGE"] == "x: " + "y" * 1_000_000


def test_a_journal_that_does_not_read_holds_nobody_up(journal: socket.socket, sender: Journald) -> None:
    for _ in range(2_000):  # Far more than a socket's queue takes.
        send(sender, **STARTED)


def test_without_a_journal_the_line_goes_on_to_stderr(tmp_path: Path) -> None:
    sender = Journald(str(tmp_path / "none"))
    assert sender(None, "info", dict(STARTED)) == STARTED
    sender.close()


def test_only_a_stderr_that_is_the_journal_counts(tmp_path: Path) -> None:
    with (tmp_path / "stream").open("w") as stream:
        found = os.fstat(stream.fileno())
        assert is_journal(stream, {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        for other in ("", "x", ":", f"{found.st_dev}:1", f"{found.st_dev}"):
            assert not is_journal(stream, {"JOURNAL_STREAM": other})
        assert not is_journal(stream, {})


SAY = """
import lbctl.daemon.journald as journald, os, sys, structlog
journald.PATH = sys.argv[1]
journald.Journald.__init__.__defaults__ = (sys.argv[1],)
found = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{found.st_dev}:{found.st_ino}" if sys.argv[2] == "yes" else ""
from lbctl.daemon.logs import configure_logs
configure_logs(verbose=False)
structlog.get_logger("x").error("hold.paged", release="7", service="web", text="waits")
"""


@pytest.mark.parametrize("is_there", ["yes", "no"])
def test_the_daemons_log_goes_to_the_journal_where_stderr_is_one(journal: socket.socket, is_there: str) -> None:
    call = [sys.executable, "-c", SAY, journal.getsockname(), is_there]
    done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=True)
    if is_there == "yes":
        assert done.stderr == ""
        assert fields(journal.recv(65_536))["LBCTL_RELEASE"] == "7"
    else:
        assert json.loads(done.stderr)["event"] == "hold.paged"
