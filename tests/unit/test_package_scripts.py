"""What the Debian package does around its files: its own scripts, with every path in a directory of the test."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.daemon.remains import of_record, told
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Member, Phase, Record
from lbctl.store.journal import Journal
from tests.integration.test_store_journal import release

DEB = Path(__file__).parents[2] / "deploy" / "deb"
ONE = """apiVersion: lbctl/v1
daemon: {state_dir: /var/lib/lbctl, runtime_dir: /run/lbctl, control_socket: /run/lbctl/control.sock}
data_planes:
  edge: {driver: haproxy, instances: {lb1: {socket: /run/haproxy/admin.sock, map_dir: /var/lib/lbctl/haproxy}}}
services:
  web:
    data_plane: edge
    haproxy: {form: map, backends: {blue: web_blue, green: web_green}}
    pools: {blue: {w1: "10.0.0.1:80"}, green: {w2: "10.0.0.2:80"}}
"""
READ = ("haproxy/state.map", "haproxy/web.state", "edge/shop.callers", "e/eds/shop_blue.json", "e/rds/shop.json")


class Host:
    """A root of its own. `systemctl` notes what it was asked, and answers what the test says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for path in ("bin", "etc/lbctl", "var/lib", "run/lbctl", "run/systemd/system"):
            (root / path).mkdir(parents=True)
        self.program("systemd-sysusers", "exit 0")
        self.program("install", "exit 0")
        self.program("runuser", 'shift 3; exec "$@"')
        self.program("lbctl", f'exec {sys.executable} -m lbctl.cli "$@"')
        self.systemctl()

    @property
    def state(self) -> Path:
        return self.root / "var/lib/lbctl"

    def program(self, name: str, text: str) -> None:
        (self.root / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.root / "bin" / name).chmod(0o755)

    def systemctl(self, *, active: bool = False, restarts: bool = True) -> None:
        self.program(
            "systemctl",
            f'echo "$*" >>{self.root}/asked\n'
            f'case "$*" in *is-active*) exit {0 if active else 3} ;; *restart*) exit {0 if restarts else 1} ;; esac',
        )

    @property
    def asked(self) -> str:
        path = self.root / "asked"
        return path.read_text() if path.exists() else ""

    def run(self, script: str, *words: str) -> str:
        """Run one of the package's scripts; it must succeed, whatever is wrong. Returns what it prints."""
        text = (DEB / script).read_text().replace("/opt/lbctl/bin/python -I", f"{sys.executable} -I")
        for path in ("/etc/lbctl", "/var/lib/lbctl", "/run/lbctl", "/run/systemd/system"):
            text = text.replace(path, f"{self.root}{path}")
        text = text.replace("lbctl.daemon.remains ||", f"lbctl.daemon.remains {self.root}/etc/lbctl/lbctl.yaml ||")
        env = {**os.environ, "PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        done = subprocess.run(
            ["sh", "-c", text, script, *words], env=env, capture_output=True, text=True, check=False, cwd=self.root
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def files(self, *paths: str) -> None:
        for path in paths:
            (self.state / path).parent.mkdir(parents=True, exist_ok=True)
            (self.state / path).write_text("x")


@pytest.fixture(name="host")
def _host(tmp_path: Path) -> Host:
    return Host(tmp_path / "host")


# ---- purge


@pytest.mark.parametrize("read", READ)
def test_a_purge_keeps_what_a_load_balancer_reads_says_so_and_takes_the_rest(host: Host, read: str) -> None:
    host.files(read, "journal.db", "journal.db-wal", "accounts/web.json", ".lock")
    (host.root / "etc/lbctl/lbctl.yaml").write_text("x")
    said = host.run("postrm", "purge")
    assert (host.state / read).exists()
    assert [one.name for one in host.state.iterdir()] == [read.partition("/")[0]]
    assert f"kept, because load balancers may read it: {host.state}/{read.partition('/')[0]}" in said
    assert not (host.root / "etc/lbctl").exists()


def test_a_purge_keeps_map_files_in_the_state_directory_itself_and_behind_links(host: Host) -> None:
    host.files("state.map", "web.state", "journal.db", "eds/shop.json", "with space/state.map")
    (host.root / "maps").mkdir()
    (host.root / "maps/state.map").write_text("x")
    (host.state / "linked").symlink_to(host.root / "maps")
    host.run("postrm", "purge")
    assert {one.name for one in host.state.iterdir()} == {"state.map", "web.state", "eds", "with space", "linked"}
    assert (host.root / "maps/state.map").exists()


def test_a_purge_of_a_state_directory_that_is_a_link_ends_well_and_keeps_the_maps(host: Host) -> None:
    (host.root / "srv/haproxy").mkdir(parents=True)
    host.state.symlink_to(host.root / "srv")
    host.files("haproxy/state.map", "journal.db")
    host.run("postrm", "purge")
    assert (host.root / "srv/haproxy/state.map").exists()
    assert not (host.root / "srv/journal.db").exists()
    shutil.rmtree(host.root / "srv/haproxy")
    host.run("postrm", "purge")


def test_a_purge_keeps_the_file_that_an_envoy_is_started_with_and_a_frozen_split(host: Host) -> None:
    (host.root / "etc/lbctl/envoy.yaml").write_text("x")
    (host.root / "etc/lbctl/frozen").mkdir()
    (host.root / "etc/lbctl/frozen/state.map").write_text("x")
    (host.root / "etc/lbctl/slack").write_text("token")
    host.run("postrm", "purge")
    assert {one.name for one in (host.root / "etc/lbctl").iterdir()} == {"envoy.yaml", "frozen"}


def test_a_purge_of_nothing_leaves_nothing(host: Host) -> None:
    host.files("journal.db", "haproxy/.lock")
    host.run("postrm", "purge")
    assert not host.state.exists()
    host.run("postrm", "purge")


# ---- upgrade


def test_an_upgrade_is_done_also_where_the_daemon_does_not_start_again_and_says_so(host: Host) -> None:
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE)
    host.systemctl(active=True, restarts=False)
    assert "did not start again" in host.run("postinst", "configure", "0.1.0")


def test_an_upgrade_leaves_the_old_daemon_where_the_new_one_would_refuse_the_config(host: Host) -> None:
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE + "\nnonsense: [")
    host.systemctl(active=True)
    said = host.run("postinst", "configure", "0.1.0")
    assert "this version refuses" in said
    assert "lbctl config validate" in said
    assert "restart" not in host.asked


def test_an_upgrade_restarts_a_daemon_that_runs_and_starts_none_that_does_not(host: Host) -> None:
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE)
    host.run("postinst", "configure", "0.1.0")
    assert "restart" not in host.asked
    host.systemctl(active=True)
    assert host.run("postinst", "configure", "0.1.0") == ""
    assert "try-restart lbctl.service" in host.asked


# ---- removal


def test_a_removal_without_a_daemon_reads_the_record_and_starts_none(host: Host) -> None:
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE.replace("/var/lib/lbctl", str(host.state)))
    recorded(host.state, Phase.SHIFTING)
    host.program("lbctl", f"echo asked >>{host.root}/asked")
    said = host.run("prerm", "remove")
    assert "lbctl: release 7 is in the middle (shifting): storefront 25 % on blue" in said
    assert "lbctl rollback 7" in said
    assert "asked" not in host.asked.split(), "its socket would start lbctld"
    assert "stop lbctl.socket lbctl.service" in host.asked


def test_a_removal_reads_the_record_and_writes_nothing_to_it(host: Host) -> None:
    """Nobody starts lbctld again who could make use of a journal that was put in order."""
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE.replace("/var/lib/lbctl", str(host.state)))
    recorded(host.state, Phase.SHIFTING)
    (host.state / "journal.ballast").unlink()

    def left() -> dict[str, tuple[int, int, bytes]]:
        found = ((one, one.stat()) for one in host.state.iterdir())
        return {one.name: (seen.st_ino, seen.st_mtime_ns, one.read_bytes()) for one, seen in found}

    before = left()
    assert "storefront 25 % on blue" in host.run("prerm", "remove")
    assert left() == before


def test_a_removal_names_what_goes_with_a_release_like_the_service_that_carries_it() -> None:
    follower = Member(origin=Colour.BLUE, to=Colour.GREEN)
    made = release(phase=Phase.SHIFTING, share_bp=2_500, followers={ServiceName("accounts"): follower})
    assert of_record(Record().with_release(made)) == {
        ("7", "shifting"): ["storefront 25 % on blue", "accounts 25 % on green"]
    }


def test_a_removal_amid_several_releases_names_each_and_says_once_what_to_do() -> None:
    said = [*told({("7", "shifting"): ["web 25 % on green"], ("8", "baking"): ["api 100 % on blue"]})]
    assert [line.startswith("lbctl: release ") for line in said[:3]] == [True, True, False]
    assert "lbctl promote ID or lbctl rollback ID" in "\n".join(said)
    assert len(said) == 6


def test_a_removal_after_the_end_of_the_last_release_has_nothing_to_say(host: Host) -> None:
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE.replace("/var/lib/lbctl", str(host.state)))
    assert host.run("prerm", "remove") == ""
    recorded(host.state, Phase.FINISHED)
    assert host.run("prerm", "remove") == ""


def test_a_removal_with_a_daemon_tells_what_that_says(host: Host) -> None:
    services = {
        "web": {"phase": "shifting", "release": "7", "share_bp": 2500, "candidate": "green"},
        "old": {"phase": "finished", "release": "3", "share_bp": 10000, "candidate": "green"},
    }
    host.systemctl(active=True)
    host.program("lbctl", f"echo '{json.dumps({'services': services})}'")
    said = host.run("prerm", "remove")
    assert said.startswith("lbctl: release 7 is in the middle (shifting): web 25 % on green\n")
    assert "release 3" not in said


def test_a_record_that_cannot_be_read_keeps_nobody_from_removing_it(host: Host) -> None:
    (host.root / "etc/lbctl/lbctl.yaml").write_text(ONE.replace("/var/lib/lbctl", str(host.state)))
    host.files("journal.db")
    host.state.chmod(0o700)
    (host.state / "journal.db").write_bytes(b"no journal" * 1_000)
    assert "could not be read" in host.run("prerm", "remove")


def recorded(directory: Path, phase: Phase) -> None:
    """A journal with one release."""

    async def write() -> None:
        journal = Journal.open(directory / "journal.db")
        made = release(phase=phase, share_bp=2_500)
        await journal.append(Record().with_release(made), wall="2026-11-27 12:00:00")
        journal.close()

    asyncio.run(write())


# ---- building


def test_whoever_builds_the_package_others_can_read_it_and_envoys_unit_does_not_go_with_it() -> None:
    lines = (DEB / "build.sh").read_text().splitlines()
    first = next(number for number, line in enumerate(lines) if "mktemp" in line or "mkdir" in line)
    assert "umask 022" in "".join(lines[:first])
    units = [line for line in lines if "/lib/systemd/system" in line and line.startswith("install")]
    assert [line.split()[3:5] for line in units] == [["systemd/lbctl.service", "systemd/lbctl.socket"]]
