"""Every place where lbctl writes, with a link planted where a file goes: nothing is written, read or opened through it,
and a directory in which others could plant one is refused by name. Race: the link comes before anybody looks."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lbctl.cli.app import main
from lbctl.control.listener import CannotListen, listen
from lbctl.dataplane.envoy import files, process
from lbctl.dataplane.envoy.layout import layout_of
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.dataplane.haproxy.serverstate import State, StateFile
from lbctl.dataplane.haproxy.statemap import write_entries
from lbctl.dataplane.slotfile import SlotFile
from lbctl.demo.ground import StageError, directory_of
from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId, ServerName, ServiceName
from lbctl.store.ballast import Ballast
from lbctl.store.files import open_private, private_directory, take_lock
from lbctl.store.kept import account_files, learned_files
from lbctl.store.token import TokenDir
from tests.fuzz.balancers import LB

STRANGER = 40_001
PRECIOUS = b"root:x:0:0:\n"
WEB = ServiceName("web")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A file of somebody else, which must stay as it is."""
    precious = tmp_path / "precious"
    precious.write_bytes(PRECIOUS)
    return precious


@pytest.fixture
def room(tmp_path: Path) -> Path:
    made = tmp_path / "room"
    made.mkdir(mode=0o700)
    return made


def go(room: Path, name: str) -> object:
    """Make the token that is called so; returns what it counts as."""
    release, nonce, _ = name.split(".")
    tokens = TokenDir(room)
    tokens.mark_back(ReleaseId(release), nonce)
    return tokens.read(ReleaseId(release), nonce)


def states(room: Path) -> None:
    one = {ServerName("a"): State("1", "1", 1, 1, 60, "80")}
    StateFile(replace(LB, directory=str(room)), WEB, "shop").write(one)


WRITERS: tuple[tuple[str, Callable[[Path], object]], ...] = (
    ("private.file", lambda room: os.close(open_private(room / "private.file"))),
    ("lock", lambda room: os.close(take_lock(room / "lock", "a test"))),
    ("7.ab.back", lambda room: go(room, "7.ab.back")),
    ("ballast", lambda room: Ballast(room / "ballast", 4_096).restore()),
    ("account.7.new", lambda room: account_files(room).save("7", {"a": 1})),
    ("learned.web.new", lambda room: learned_files(room).save("web", {"a": 1})),
    ("account.7.json", lambda room: account_files(room).save("7", {"a": 1})),
    ("slot", lambda room: SlotFile(room / "slot", 64).write(b"ours")),
    (".slot.spare", lambda room: SlotFile(room / "slot", 64).write(b"ours")),
    (".slot.keep", lambda room: SlotFile(room / "slot", 64).write(b"ours")),
    ("state.map", lambda room: write_entries(replace(LB, directory=str(room)), {"web": "0:10000:10000"})),
    (".state.map.spare", lambda room: write_entries(replace(LB, directory=str(room)), {"web": "0:10000:10000"})),
    ("web.state", states),
    (".web.state.spare", states),
    (".cds.json.new", lambda room: files.write_file(room / "cds.json", "{}")),
    ("cds.json", lambda room: files.write_file(room / "cds.json", "{}")),
    ("control.sock", lambda room: listen(str(room / "control.sock")).close()),
    (layout_of(LB).life_lock.name, lambda room: process.take_life(layout_of(replace(LB, directory=str(room))))),
    (layout_of(LB).log.name, lambda room: process._rotate(layout_of(replace(LB, directory=str(room))).log)),
)
REFUSALS = (StoreError, OSError, CannotListen)


@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[f"{at}-{name}" for at, (name, _) in enumerate(WRITERS)])
@pytest.mark.parametrize("leads", ["to a file", "to nothing", "to a directory"])
def test_no_link_is_followed(target: Path, room: Path, name: str, write: Callable[[Path], object], leads: str) -> None:
    nothing = target.with_name("nothing")
    places = {"to a file": target, "to nothing": nothing, "to a directory": target.parent / "d"}
    (target.parent / "d").mkdir()
    (room / name).symlink_to(places[leads])
    with contextlib.suppress(*REFUSALS):
        write(room)
    assert target.read_bytes() == PRECIOUS
    assert not nothing.exists()
    assert not list((target.parent / "d").iterdir())
    assert (target.stat().st_mode & 0o777) == 0o644


@as_root
@pytest.mark.parametrize("make", [private_directory, TokenDir, account_files, lambda one: listen(str(one / "c.sock"))])
def test_a_directory_of_somebody_else_is_refused(room: Path, make: Callable[[Path], object]) -> None:
    os.chown(room, STRANGER, STRANGER)
    with pytest.raises(REFUSALS, match=rf"{STRANGER}"):
        make(room)


@pytest.mark.parametrize("make", [private_directory, TokenDir, account_files, lambda one: listen(str(one / "c.sock"))])
def test_a_directory_in_which_everybody_writes_is_refused(room: Path, make: Callable[[Path], object]) -> None:
    room.chmod(0o777)
    with pytest.raises(REFUSALS, match="writ"):
        make(room)


def test_maps_are_not_made_where_everybody_writes(room: Path) -> None:
    room.chmod(0o777)
    with pytest.raises(OSError, match="everybody may write there"):
        write_maps(replace(LB, directory=str(room)), [], {})


@as_root
@pytest.mark.parametrize("change", [lambda one: os.chown(one, STRANGER, STRANGER), lambda one: one.chmod(0o777)])
def test_a_demo_is_not_kept_where_others_could_put_files(room: Path, change: Callable[[Path], None]) -> None:
    change(room)
    with pytest.raises(StageError, match="others may put files there"):
        directory_of(None, room)  # type: ignore[arg-type]


def test_freezing_copies_no_file_that_a_link_leads_to(
    target: Path, room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Root may be asked to copy what the user of lbctl wrote, for everybody to read."""
    config = tmp_path / "lbctl.yaml"
    config.write_text(
        "apiVersion: lbctl/v1\ndata_planes:\n  edge:\n    driver: haproxy\n    instances: {lb1: {socket: /s, map_dir: "
        f"{room}}}}}\nservices:\n  web:\n    data_plane: edge\n    haproxy: {{form: map}}\n    listen: 127.0.0.1:80\n"
        "    pools: {blue: {b: 127.0.0.1:1}, green: {g: 127.0.0.1:2}}\n"
    )
    write_entries(replace(LB, directory=str(room)), {"web": "0:10000:10000"})
    (room / "evil.map").symlink_to(target)
    (room / "sub").symlink_to(target.parent)
    frozen = tmp_path / "frozen"
    assert main(["config", "render", "haproxy", "--config", str(config), "--freeze", str(frozen)]) == 0
    capsys.readouterr()
    assert [one.name for one in frozen.rglob("*")] == ["state.map"]


def test_freezing_never_writes_into_what_is_there(target: Path, room: Path, tmp_path: Path) -> None:
    frozen = tmp_path / "link"
    frozen.symlink_to(room)
    from lbctl.cli.failure import Failure
    from lbctl.cli.frozen import _copied

    (room / "state.map").write_text("web 0:10000:10000\n")
    with pytest.raises(Failure, match="is there already"):
        _copied("haproxy", ["state.map"], room, frozen)
    assert [one.name for one in room.iterdir()] == ["state.map"]
