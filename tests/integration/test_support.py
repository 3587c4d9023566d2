"""`lbctl support`: one file for whoever helps, with the daemon dead or alive, and no secret in any of its parts."""

import asyncio
import json
import os
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from lbctl.cli.app import main
from lbctl.store import copied
from lbctl.store.journal import Journal
from lbctl.support import balancers
from lbctl.support import bundle as bundles
from lbctl.support.bundle import Bundle
from lbctl.support.hiding import Hider, hider
from lbctl.support.past import past
from tests.fake_desk import FakeDesk, event, served
from tests.integration.test_store_journal import WALL, entry, record

CANARY = 'c4nary "tok\\en"/0123456789+x'
ADDRESS = "https://hooks.example.net/services/T0AAAAAAA/B0BBBBBBB/kq8Zr3WmN1vTtY5xPp7sL2aD"
PLANTED = (CANARY, quote(CANARY, safe=""), json.dumps(CANARY)[1:-1], ADDRESS, "kq8Zr3WmN1vTtY5xPp7sL2aD")
"""The forms in which a secret comes back from a log, a URL, a JSON text, or a part of a path."""

CONFIG = """
apiVersion: lbctl/v1
daemon: {{state_dir: {0}/state, runtime_dir: {0}/run, control_socket: {0}/run/control.sock}}
data_planes:
  edge:
    driver: haproxy
    instances:
      lb1: {{socket: {0}/admin.sock, master_socket: {0}/master.sock, map_dir: {0}/maps}}
services:
  web:
    data_plane: edge
    haproxy: {{form: map, backends: {{blue: web_blue, green: web_green}}}}
    listen: 127.0.0.1:8080
    pools:
      blue: {{blue-1: "127.0.0.1:8081"}}
      green: {{green-1: "127.0.0.1:8091"}}
    health: {{http: /healthz}}
alerts:
  - {{name: hook, webhook: {{url: {{file: url}}, secret: {{file: {0}/key}}}}}}
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A host whose daemon is dead, with a journal, a config, and secrets where they do and do not belong."""
    for name, secret in (("url", ADDRESS), ("key", CANARY)):
        (tmp_path / name).write_text(secret + "\n")
        (tmp_path / name).chmod(0o600)
    for name in ("state", "run", "maps"):
        (tmp_path / name).mkdir(mode=0o700)
    (tmp_path / "maps" / "lbctl.map").write_text(f"web 2500:10000:10000\n# {' '.join(PLANTED)}\n")
    (tmp_path / "maps" / "leads-away.map").symlink_to(tmp_path / "key")
    (tmp_path / "lbctl.yaml").write_text(CONFIG.format(tmp_path))
    asyncio.run(remembered(tmp_path / "state"))
    return tmp_path


async def remembered(state: Path) -> None:
    journal = Journal.open(state / "journal.db")
    said = [entry(f"the receiver said {one}") for one in PLANTED]
    await journal.append(record(1), [entry("one"), *said], wall=WALL)
    journal.close()


def packed(file: Path) -> dict[str, str]:
    """The parts of a bundle by name, without the folder they are in."""
    with tarfile.open(file) as tar:
        members = tar.getmembers()
        assert all(one.isreg() and one.mode == 0o600 for one in members)
        assert len({one.name.split("/")[0] for one in members}) == 1
        return {one.name.split("/", 1)[1]: tar.extractfile(one).read().decode() for one in members}  # type: ignore[union-attr]


def secrets_in(parts: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, one) for name, text in parts.items() for one in PLANTED if one in text]


def asked(home: Path, *more: str) -> int:
    file, socket = str(home / "support.tar.gz"), str(home / "run/control.sock")
    return main(["--socket", socket, "support", "--config", str(home / "lbctl.yaml"), "--to", file, *more])


def test_with_the_daemon_dead_its_files_tell_and_no_secret_is_in_any_part(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert asked(home) == 0
    out, err = capsys.readouterr()
    parts = packed(home / "support.tar.gz")
    assert stat.S_IMODE((home / "support.tar.gz").stat().st_mode) == 0o600
    assert "no daemon answered" in parts["CONTENTS.txt"]
    assert all(f"\n{name} " in parts["CONTENTS.txt"] for name in parts if name != "CONTENTS.txt")
    assert json.loads(parts["status.json"])["record"]["services"]["storefront"]["active"] == "green"
    assert json.loads(parts["releases.json"])["releases"][0]["release"]["id"] == "7"
    events = [json.loads(line) for line in parts["events.jsonl"].splitlines()]
    assert events[0]["entry"]["text"] == "one"
    assert len(events) == 1 + len(PLANTED)
    assert json.loads(parts["versions.json"])["packages"]["aiohttp"]
    assert "NOT_DRIVABLE" in parts["doctor.txt"]
    assert "cannot_be_asked" in json.loads(parts["balancers.json"])["edge/lb1"]
    assert "web 2500:10000:10000" in parts["files/edge_lb1.txt"]
    assert f"file: {home}/key" in parts["config.yaml"]
    assert secrets_in(parts) == []
    assert [one for one in PLANTED if one in out + err] == []


def test_a_link_in_the_place_of_a_file_is_named_and_not_followed(home: Path) -> None:
    assert asked(home) == 0
    text = packed(home / "support.tar.gz")["files/edge_lb1.txt"]
    assert "leads-away.map: Too many levels of symbolic links" in text
    assert "(hidden)" not in text.partition("leads-away.map: Too many")[2].partition("==")[0]


def test_what_is_too_long_or_too_many_is_said_in_the_list_and_on_the_screen(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balancers, "FILE_MAX", 100)
    monkeypatch.setattr(balancers, "FILES_MAX", 3)
    monkeypatch.setattr(copied, "LOG_BYTES_MAX", 1_000)
    monkeypatch.setattr(bundles, "PARTS_MAX", 8)
    (home / "maps" / "a.map").write_text("short\n" + "x" * 60 + "\n" + CANARY * 9)
    for number in range(210):
        (home / "maps" / f"b{number:03}.map").write_text("")
    (home / "state" / "journal.db-wal").write_bytes(b"x" * 1_001)
    assert asked(home) == 0
    out, parts = capsys.readouterr().out, packed(home / "support.tar.gz")
    for said in (
        f"13 of 213 names in {home}/maps are left out",
        f"{home}/maps/a.map is longer than 100 bytes, and cut there",
        f"210 of 213 files of {home}/maps are left out",
        f"only the first 1000 bytes of {home}/state/journal.db-wal were read: the newest may be missing",
        "left out: 3 parts, because 8 are the most: host.txt, unit.txt, journal.txt",
    ):
        assert said in parts["CONTENTS.txt"], said
    assert "… cut here" in parts["files/edge_lb1.txt"]
    assert "! left out: 3 parts, because 8 are the most: host.txt, unit.txt, journal.txt" in out
    assert "! files/edge_lb1.txt" in out
    assert secrets_in(parts) == []
    assert "c4nary" not in parts["files/edge_lb1.txt"]


def test_a_config_that_is_not_valid_is_told_by_its_faults_and_its_secrets_are_hidden_still(home: Path) -> None:
    inline = "secret: {file: key}, slack: Pa55w0rd-inline-0123"
    (home / "lbctl.yaml").write_text(CONFIG.format(home) + f"  - {{name: x, webhook: {{{inline}}}}}\n")
    assert asked(home) == 0
    parts = packed(home / "support.tar.gz")
    assert "lbctl.yaml:" in parts["config.yaml"]
    assert "missing: " in parts["status.json"]
    assert "Pa55w0rd" not in "".join(parts.values())
    assert secrets_in(parts) == []


@pytest.mark.parametrize("there", ["file", "link", "dangling"])
def test_what_is_there_already_is_left_alone(home: Path, there: str, capsys: pytest.CaptureFixture[str]) -> None:
    target = home / "precious"
    target.write_text("mine")
    file = home / "support.tar.gz"
    if there == "file":
        file.write_text("mine")
    else:
        file.symlink_to(target if there == "link" else home / "nowhere")
    assert asked(home) == 5
    assert "not written over" in capsys.readouterr().err
    assert target.read_text() == "mine"
    assert not (home / "nowhere").exists()


def test_a_link_that_comes_between_look_and_write_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "b.tar.gz").symlink_to(tmp_path / "target")
    with pytest.raises(FileExistsError):
        Bundle(Hider()).write(str(tmp_path / "b.tar.gz"), "x", "head", 0)
    assert not (tmp_path / "target").exists()


def test_where_it_cannot_be_written_nothing_is_left(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--socket", "/nonexistent", "support", "--to", str(home / "no/where.tar.gz")]) == 5
    assert "No such file" in capsys.readouterr().err


async def test_a_running_daemon_is_asked_and_what_it_repeats_is_hidden(home: Path, path: str) -> None:
    desk = FakeDesk()
    desk.journal = [event(number, text=f"said {PLANTED[number % len(PLANTED)]}") for number in range(1, 1_203)]
    words = ["--socket", path, "support", "--config", str(home / "lbctl.yaml"), "--to", str(home / "alive.tar.gz")]
    async with served(desk, path):
        assert await asyncio.to_thread(main, [*words, "--json"]) == 0
    parts = packed(home / "alive.tar.gz")
    assert "; a daemon answered" in parts["CONTENTS.txt"]
    assert len(parts["events.jsonl"].splitlines()) == 1_202
    assert json.loads(parts["status.json"])["services"]["web"]
    assert "metrics.txt" in parts
    assert secrets_in(parts) == []


def test_a_part_that_fails_or_is_too_long_is_told_and_the_rest_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "PART_MAX", 1_000)
    monkeypatch.setattr(bundles, "WHOLE_MAX", 3_500)

    def fails() -> str:
        raise ZeroDivisionError(f"of {CANARY}")

    one = Bundle(Hider((CANARY,)))
    one.add("broken.txt", "a part", fails)
    one.add("head.txt", "a part", lambda: "first " + "x" * 9_000)
    one.add("tail.txt", "a part", lambda: "x" * 9_000 + " last", end=True)
    for number in range(300):
        one.add(f"{number}.txt", "a part", lambda: "y" * 500)
    one.write(str(tmp_path / "b.tar.gz"), "x", "head", 0)
    parts = packed(tmp_path / "b.tar.gz")
    assert "ZeroDivisionError" in parts["broken.txt"]
    assert parts["head.txt"].startswith("first ")
    assert parts["tail.txt"].endswith(" last")
    assert sum(len(text) for name, text in parts.items() if name != "CONTENTS.txt") <= 3_500
    assert len(parts) == bundles.PARTS_MAX + 1
    assert "head.txt: cut to 1000 of" in parts["CONTENTS.txt"]
    left_out = f"left out: 103 parts, because 200 are the most: {', '.join(f'{n}.txt' for n in range(197, 217))} …"
    assert left_out in parts["CONTENTS.txt"]
    assert secrets_in(parts) == []


@pytest.mark.parametrize(
    ("text", "stays"),
    [
        ("Authorization: Bearer abcdef0123456789", "Authorization: Bearer "),
        ('{"authorization": "Basic dXNlcjpwYXNz"}', '{"authorization": "Basic '),
        ("token xoxb-1234-abcdefghij used", " used"),
        ("https://hooks.slack.com/services/T0/B0/abcdefabcdef x", "https://hooks.slack.com/"),
        ("postgres://app:hunter22@db:5432/x", "@db:5432/x"),
        ("GET /x?sig=abcdef0123&a=1", "&a=1"),
        ("user x insecure-password: hunter22", "user x "),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIabcdef0123\n-----END RSA PRIVATE KEY-----\nnext", "next"),
        ("SetCredential=hook:abcdef0123\nUser=lbctl", "User=lbctl"),
    ],
)
def test_what_looks_like_a_secret_is_hidden_and_the_rest_stays(text: str, stays: str) -> None:
    shown = Hider().hidden(text)
    assert stays in shown
    assert "(hidden)" in shown
    for secret in ("abcdef", "hunter22", "dXNlcjpwYXNz"):
        assert secret not in shown


def test_words_that_only_speak_of_secrets_stay() -> None:
    text = 'hold "code": "token" since 12 s; token: {credential: slack-token}; secret: {file: key}; 3 tokens'
    assert Hider().hidden(text) == text


def test_a_secret_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    found = hider("token: {credential: slack-token}\nurl:\n  file: none", str(tmp_path), {}, {})
    assert found.unread == ("credential slack-token", "file none")


def test_a_credential_is_found_where_systemd_has_it_or_takes_it_from(tmp_path: Path) -> None:
    for name in ("slack-token", "elsewhere"):
        (tmp_path / name).write_text(f"value-of-{name}")
    loaded = {"hook": str(tmp_path / "elsewhere")}
    found = hider("{credential: slack-token} {credential: hook}", "/", {"CREDENTIALS_DIRECTORY": str(tmp_path)}, loaded)
    assert found.unread == ()
    assert found.hidden("a value-of-slack-token b value-of-elsewhere c") == "a (hidden) b (hidden) c"


def test_the_journal_is_read_also_while_a_daemon_holds_it_and_is_not_touched(tmp_path: Path) -> None:
    async def held() -> None:
        journal = Journal.open(tmp_path / "journal.db")
        await journal.append(record(1), [entry("one"), entry("two")], wall=WALL)
        before = sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in tmp_path.iterdir())
        found = await asyncio.to_thread(past, str(tmp_path), 10, 1)
        assert [one["entry"]["text"] for one in found.events] == ["two"]
        assert [one["release"]["id"] for one in found.releases] == ["7"]
        assert sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in tmp_path.iterdir()) == before
        journal.close()

    asyncio.run(held())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become nobody")
def test_who_may_read_nothing_still_gets_a_bundle() -> None:
    with tempfile.TemporaryDirectory(prefix="lbctl-test-") as directory:
        home = Path(directory)
        home.chmod(0o777)
        (home / "key").write_text(CANARY)
        (home / "lbctl.yaml").write_text(CONFIG.format(home))
        for name in ("key", "lbctl.yaml"):
            (home / name).chmod(0o600)
        code = "import gzip, os, sys; from lbctl.cli import app, supporting; os.setgroups([]); os.setgid(65534);"
        code += "os.setuid(65534); sys.exit(app.main(sys.argv[1:]))"
        words = ["support", "--config", str(home / "lbctl.yaml"), "--to", str(home / "b.tar.gz")]
        call = [sys.executable, "-c", code, "--socket", str(home / "none"), *words]
        done = subprocess.run(call, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        parts = packed(home / "b.tar.gz")
        assert "Permission denied" in parts["config.yaml"]
        assert "Permission denied" in parts["CONTENTS.txt"]
