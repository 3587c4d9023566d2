"""The control socket's file: made safely, taken over only from a dead daemon, removed only if it is ours."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.control.listener import CannotListen, Listener, adopt, listen


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "run" / "control.sock")


@pytest.fixture
def opened() -> Iterator[list[Listener]]:
    found: list[Listener] = []
    yield found
    for one in found:
        one.sock.close()


def test_everybody_may_connect_to_a_new_socket_in_a_directory_of_ours(path: str, opened: list[Listener]) -> None:
    opened.append(listen(path))
    assert stat.S_IMODE(os.lstat(path).st_mode) == 0o666
    assert stat.S_IMODE(os.lstat(os.path.dirname(path)).st_mode) == 0o755


def test_the_mode_of_a_directory_that_is_there_is_left_alone(path: str, opened: list[Listener]) -> None:
    os.mkdir(os.path.dirname(path), 0o700)
    opened.append(listen(path))
    assert stat.S_IMODE(os.lstat(os.path.dirname(path)).st_mode) == 0o700


def test_a_dead_daemons_socket_is_replaced(path: str, opened: list[Listener]) -> None:
    listen(path).sock.close()
    opened.append(listen(path))
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)


def test_a_living_daemon_is_never_pushed_aside(path: str, opened: list[Listener]) -> None:
    opened.append(listen(path))
    before = os.lstat(path).st_ino
    with pytest.raises(CannotListen, match="another daemon answers"):
        listen(path)
    assert os.lstat(path).st_ino == before


def test_what_is_not_a_socket_stays(path: str) -> None:
    os.mkdir(os.path.dirname(path))
    Path(path).write_text("mine")
    with pytest.raises(CannotListen, match="not a socket"):
        listen(path)
    assert Path(path).read_text() == "mine"


def test_a_symbolic_link_is_not_followed(path: str, tmp_path: Path, opened: list[Listener]) -> None:
    os.mkdir(os.path.dirname(path))
    opened.append(listen(str(tmp_path / "elsewhere" / "control.sock")))
    os.symlink(opened[0].path, path)
    with pytest.raises(CannotListen, match="symbolic link"):
        listen(path)
    assert os.path.islink(path)


def test_a_linked_directory_is_not_followed(path: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", os.path.dirname(path))
    with pytest.raises(CannotListen, match="not a directory"):
        listen(path)


def test_a_directory_that_everybody_can_write_is_refused(path: str) -> None:
    os.mkdir(os.path.dirname(path))
    os.chmod(os.path.dirname(path), 0o777)
    with pytest.raises(CannotListen, match="chmod o-w"):
        listen(path)


def test_a_path_that_is_too_long_is_told_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(CannotListen, match=r"set daemon\.control_socket"):
        listen(str(tmp_path / ("x" * 120) / "control.sock"))


def test_only_our_own_file_is_removed_at_the_end(path: str, opened: list[Listener]) -> None:
    first = listen(path)
    first.sock.close()
    opened.append(listen(path))
    first.remove()
    assert os.path.exists(path)
    opened[0].remove()
    assert not os.path.exists(path)
    opened[0].remove()


def test_a_socket_from_outside_keeps_its_file(path: str) -> None:
    os.mkdir(os.path.dirname(path))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()
        adopt(sock).remove()
    assert os.path.exists(path)
