"""A late, stopped, killed or orphaned prober: it says unknown, never down, and nothing is left behind."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lbctl.model.topology import Probe
from lbctl.probe.frames import TARGETS_FRAME_MAX, encode
from lbctl.probe.supervisor import Prober
from lbctl.probe.target import Target
from tests.integration.probe_servers import (
    OK,
    Seen,
    closed_port,
    keeping,
    probing,
    saying,
    serving,
    silent,
    target,
)


@pytest.mark.parametrize("stop_s", [0.1, 1.0, 3.0])
async def test_a_stopped_prober_says_no_server_is_down(stop_s: float) -> None:
    async with serving(keeping) as port:
        # The servers are in this process: on a busy machine they themselves answer late, which is not asked here.
        times = {"interval_ms": 200, "timeout_ms": 1_000}
        fresh = [target(f"f{i}", port, **times) for i in range(60)]
        kept = [target(f"k{i}", port, **times, keep_alive=True) for i in range(30)]
        tcp = [target(f"t{i}", port, Probe.TCP, interval_ms=200, timeout_ms=100) for i in range(30)]
        async with probing(*fresh, *kept, *tcp) as (prober, seen):
            await seen.wait_for(lambda: len(seen.all) > 300)
            assert prober.pid
            os.kill(prober.pid, signal.SIGSTOP)
            await asyncio.sleep(stop_s)
            if stop_s > 1.5:
                assert not prober.alive
            os.kill(prober.pid, signal.SIGCONT)
            resumed = len(seen.all)
            await seen.wait_for(lambda: len(seen.all) > resumed + 600)
            assert prober.starts == 1
    assert not [r for r in seen.all if r.ok is False]


async def test_a_stopped_prober_does_not_replay_what_it_missed() -> None:
    async with serving(keeping) as port, probing(*[target(f"f{i}", port) for i in range(20)]) as (prober, seen):
        await seen.wait_for(lambda: len(seen.all) > 40)
        assert prober.pid
        os.kill(prober.pid, signal.SIGSTOP)
        await asyncio.sleep(2.0)
        os.kill(prober.pid, signal.SIGCONT)
        resumed = len(seen.all)
        await asyncio.sleep(0.5)
        assert len(seen.all) - resumed <= 20 * 9


async def test_a_hung_server_is_unknown_while_the_checker_is_late_and_down_once_it_is_not() -> None:
    async with serving(silent) as port, probing(target("s", port, interval_ms=400, timeout_ms=350)) as (prober, seen):
        await seen.wait_all(["s"])
        assert prober.pid
        for _ in range(6):
            os.kill(prober.pid, signal.SIGSTOP)
            await asyncio.sleep(0.25)
            os.kill(prober.pid, signal.SIGCONT)
            await asyncio.sleep(0.05)
        await seen.wait_for(lambda: any(r.ok is None and r.detail == "the checker was late" for r in seen.all))
        unknown = len(seen.all)
        await seen.wait_for(lambda: any(r.ok is False for r in seen.all[unknown:]))


async def test_a_thousand_servers_and_a_busy_processor_give_no_false_failure() -> None:
    async with serving(saying(OK)) as port:
        targets = [target(f"s{i}", port, interval_ms=5_000, timeout_ms=2_000) for i in range(1_000)]
        hogs = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4)]
        try:
            async with probing(*targets) as (prober, seen):
                await seen.wait_for(lambda: len(seen.all) > 300, within_s=30)
                assert prober.pid
                for _ in range(5):
                    os.kill(prober.pid, signal.SIGSTOP)
                    await asyncio.sleep(0.4)
                    os.kill(prober.pid, signal.SIGCONT)
                    await asyncio.sleep(0.2)
                await seen.wait_for(lambda: len(seen.all) > 1_200, within_s=30)
        finally:
            for hog in hogs:
                hog.kill()
                hog.wait()
    assert not [r for r in seen.all if r.ok is False]


async def test_a_killed_prober_is_started_again_and_its_targets_are_unknown_meanwhile() -> None:
    async with serving(keeping) as port, probing(target("a", port), target("b", port)) as (prober, seen):
        await seen.wait_all(["a", "b"], 2)
        first = prober.pid
        assert first
        os.kill(first, signal.SIGKILL)
        await seen.wait_for(lambda: any(r.ok is None for r in seen.of("a")) and any(r.ok is None for r in seen.of("b")))
        ended = len(seen.all)
        await seen.wait_for(lambda: any(r.ok for r in seen.all[ended:]))
        assert prober.pid != first
        assert prober.starts == 2
        assert prober.alive
    assert not [r for r in seen.all if r.ok is False]


async def test_a_new_set_replaces_the_old_one_at_once() -> None:
    async with serving(keeping) as port, probing(target("old", port), target("both", port)) as (prober, seen):
        await seen.wait_all(["old", "both"], 2)
        prober.set_targets([target("new", closed_port()), target("both", port)])
        await seen.wait_all(["new"])
        changed = len(seen.all)
        await seen.wait_all(["new"], 5)
        assert not [r for r in seen.all[changed:] if r.key == "old"]
        assert {r.ok for r in seen.of("new")} == {False}
        assert {r.ok for r in seen.of("both")} == {True}
        prober.set_targets([])
        await asyncio.sleep(0.3)
        emptied = len(seen.all)
        await asyncio.sleep(0.3)
        assert len(seen.all) == emptied


async def test_the_heartbeat_comes_without_any_target() -> None:
    async with probing() as (prober, _):
        beats: set[int] = set()
        deadline = time.monotonic() + 10
        while len(beats) < 5 and time.monotonic() < deadline:
            if prober.last_heartbeat_ms:
                beats.add(prober.last_heartbeat_ms)
            await asyncio.sleep(0.01)
        ordered = sorted(beats)
        gaps = [later - earlier for earlier, later in itertools.pairwise(ordered)]
        assert sorted(gaps)[len(gaps) // 2] <= 250


async def test_sets_that_cannot_be_are_refused_before_they_are_sent() -> None:
    prober = Prober(Seen().take)
    with pytest.raises(ValueError, match="'a' is there twice"):
        prober.set_targets([target("a", 1), target("a", 2)])
    for wrong in ({"ip": "example.com"}, {"path": "/a b"}, {"path": "/\r\nX: y"}, {"timeout_ms": 0}, {"port": 0}):
        with pytest.raises(ValueError, match="probe target 'a'"):
            target("a", **{"port": 1, **wrong})


def _start() -> tuple[subprocess.Popen[bytes], socket.socket]:
    ours, theirs = socket.socketpair()
    process = subprocess.Popen([sys.executable, "-m", "lbctl.probe.worker"], stdin=theirs, stderr=subprocess.PIPE)
    theirs.close()
    ours.settimeout(10)
    return process, ours


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"hello\n", "not a set of targets"),
        (b"\xff\x00\n", "not a set of targets"),
        (b"[" * 100_000 + b"\n", "not a set of targets"),
        (b"7\n", "not a set of targets"),
        (b'{"set": 1, "targets": [7]}\n', "not a probe target"),
        (b'{"set": 1, "targets": [{"key": "a", "kind": "http"}]}\n', "not a probe target"),
        (b'{"set": 1, "targets": [{"key": "a", "kind": "gopher", "ip": "::1", "port": 1}]}\n', "gopher"),
        (b'{"set": 1, "targets": [{"key": "a", "kind": "tcp", "ip": "::1", "port": "1"}]}\n', "whole number"),
        (b'{"set": 1, "targets": [{"key": "a", "kind": "tcp", "ip": "::1", "port": 99999}]}\n', "port 99999"),
        (b"x" * (TARGETS_FRAME_MAX + 2), "longer than"),
    ],
)
def test_a_frame_that_cannot_be_understood_ends_the_worker_with_a_reason(frame: bytes, reason: str) -> None:
    process, ours = _start()
    with ours, process, ours.makefile("rb") as reports:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            ours.sendall(frame)
        last = b""
        try:
            for line in reports:
                last = line
        except ConnectionResetError:
            pass
        assert process.wait(10) == 2
        assert process.stderr
        assert reason in process.stderr.read().decode()
        assert last


def test_the_worker_ends_when_its_parent_does_even_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    marker = tmp_path / "pid"
    check = Target(
        key="c",
        kind=Probe.COMMAND,
        ip="127.0.0.1",
        port=1,
        interval_ms=50,
        timeout_ms=30_000,
        command=("sh", "-c", f"echo $$ > {marker}; exec sleep 60"),
    )
    process, ours = _start()
    with process:
        ours.sendall(encode({"set": 1, "targets": [check.to_wire()]}) + b'{"set": 2, "tar')
        deadline = time.monotonic() + 10
        while not (marker.exists() and marker.read_text().strip()) and time.monotonic() < deadline:
            time.sleep(0.02)
        ours.close()
        assert process.wait(5) == 0
    sleeping = int(marker.read_text())
    deadline = time.monotonic() + 5
    while Path(f"/proc/{sleeping}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    state = Path(f"/proc/{sleeping}/stat")
    assert not state.exists() or state.read_text().split()[2] == "Z"


def test_a_daemon_that_does_not_read_costs_bounded_memory_and_loses_only_old_reports() -> None:
    port = closed_port()
    targets = [target(f"s{i}", port, Probe.TCP, interval_ms=50).to_wire() for i in range(500)]
    process, ours = _start()
    with process, ours:
        ours.sendall(encode({"set": 1, "targets": targets}))
        time.sleep(1.0)
        before = _rss_kb(process.pid)
        time.sleep(3.0)
        grown_kb = _rss_kb(process.pid) - before
        held = b""
        while b'"dropped":' not in held or held.count(b"\n") < 3:
            held += ours.recv(1 << 16)
        assert json.loads(held.split(b"\n")[1])["set"] == 1
        assert grown_kb < 16_384
    assert process.returncode == 0


def _rss_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


def test_started_by_hand_it_says_what_it_is() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lbctl.probe.worker"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert b"lbctld starts this process by itself" in done.stderr


async def test_stopping_is_quick_and_leaves_no_process() -> None:
    async with serving(silent) as port, probing(target("s", port, timeout_ms=5_000)) as (prober, _):
        deadline = time.monotonic() + 10
        while not prober.alive and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        pid = prober.pid
        began = time.monotonic()
        await prober.stop()
        await prober.stop()
        assert time.monotonic() - began < 2
        assert not Path(f"/proc/{pid}").exists()


async def test_a_host_that_allows_no_further_thread_gets_its_prober_when_it_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    really, refused = asyncio.create_subprocess_exec, list[str]()

    async def once(*words: str, **more: object) -> asyncio.subprocess.Process:
        if not refused:
            refused.append(words[0])
            raise RuntimeError("can't start new thread")
        return await really(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(asyncio, "create_subprocess_exec", once)
    async with serving(keeping) as port, probing(target("one", port)) as (prober, seen):
        await seen.wait_for(lambda: any(one.ok for one in seen.all))
        assert (prober.starts, prober.last_error) == (
            1,
            'it cannot be kept running: RuntimeError("can\'t start new thread")',
        )
