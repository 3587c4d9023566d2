"""The control socket that a service manager hands over: taken if it is right, refused with the next step if not."""

import os
import socket
from pathlib import Path

import pytest

from lbctl.control.listener import CannotListen
from lbctl.daemon.activation import handed_over


@pytest.fixture(name="path")
def _path(tmp_path: Path) -> str:
    return str(tmp_path / "control.sock")


@pytest.fixture(name="given")
def _given(path: str) -> int:
    """A listening socket as a number, as systemd gives it."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(path)
    sock.listen()
    return sock.detach()


def told(count: int = 1, names: str = "control", pid: int | None = None) -> dict[str, str]:
    return {"LISTEN_PID": str(pid or os.getpid()), "LISTEN_FDS": str(count), "LISTEN_FDNAMES": names}


def test_the_socket_is_taken_and_its_file_stays_when_we_end(path: str, given: int) -> None:
    listener = handed_over(told(), path, given)
    assert listener is not None
    assert not listener.sock.get_inheritable()
    listener.close()
    assert Path(path).is_socket()


@pytest.mark.parametrize("environ", [{}, told(0), told(pid=1), {"LISTEN_FDS": "1"}, told() | {"LISTEN_FDS": "-1"}])
def test_without_one_of_ours_there_is_none(path: str, given: int, environ: dict[str, str]) -> None:
    assert handed_over(environ, path, given) is None
    os.close(given)


@pytest.mark.parametrize(
    ("environ", "said"),
    [(told(names="http"), "FileDescriptorName=control"), (told(2, "control:control"), "one ListenStream=")],
)
def test_sockets_that_nobody_can_tell_apart_are_refused(
    path: str, given: int, environ: dict[str, str], said: str
) -> None:
    with pytest.raises(CannotListen, match=said):
        handed_over(environ, path, given)
    os.close(given)


def test_a_socket_at_another_place_than_the_config_says_is_refused(path: str, given: int) -> None:
    with pytest.raises(CannotListen, match="make them the same"):
        handed_over(told(), "/run/elsewhere.sock", given)


def test_a_connection_or_another_kind_is_refused(path: str) -> None:
    one, other = socket.socketpair()
    with pytest.raises(CannotListen, match="Accept=no"):
        handed_over(told(), path, one.detach())
    other.close()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with pytest.raises(CannotListen, match="ListenStream="):
        handed_over(told(), path, udp.detach())
    read, write = os.pipe()
    with pytest.raises(CannotListen, match="is no socket"):
        handed_over(told(), path, read)
    os.close(read)
    os.close(write)
