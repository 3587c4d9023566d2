"""`lbctl envoy` with the real Envoy: start, status, stop; and what `config render` prints is what it takes."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from lbctl.dataplane.envoy.binary import probe
from tests.conformance.envoy_attached import attached_world

pytestmark = pytest.mark.envoy


def lbctl(*arguments: str) -> "subprocess.CompletedProcess[str]":
    call = [sys.executable, "-m", "lbctl.cli", *arguments]
    return subprocess.run(call, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)


@pytest.fixture
def config(tmp_path: Path) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    file = tmp_path / "c.yaml"
    file.write_text(f"""
apiVersion: lbctl/v1
daemon: {{control_socket: {tmp_path}/c.sock, state_dir: {tmp_path}/s, runtime_dir: {tmp_path}/r}}
data_planes:
  edge: {{driver: envoy, mode: embedded}}
services:
  web:
    data_plane: edge
    listen: 127.0.0.1:{port}
    pools:
      blue: {{blue-1: 127.0.0.1:9}}
      green: {{green-1: 127.0.0.1:10}}
    health: {{http: /healthz}}
""")
    yield str(file)
    lbctl("envoy", "stop", "--config", str(file))


def test_envoy_starts_once_says_so_and_stops(config: str) -> None:
    assert lbctl("envoy", "status", "--config", config).returncode == 3
    started = lbctl("envoy", "start", "--config", config)
    assert started.returncode == 0, started.stderr
    assert "started envoy" in started.stdout
    again = json.loads(lbctl("envoy", "start", "--config", config, "--json").stdout)
    assert [one["did"] for one in again["instances"].values()] == [[]]
    running = json.loads(lbctl("envoy", "status", "--config", config, "--json").stdout)
    assert [one["running"] for one in running["instances"].values()] == [True]
    stopped = lbctl("envoy", "stop", "--config", config)
    assert (stopped.returncode, "was stopped" in stopped.stdout) == (0, True)
    assert lbctl("envoy", "status", "--config", config).returncode == 3


def test_stopping_what_does_not_run_is_no_fault(config: str) -> None:
    stopped = lbctl("envoy", "stop", "--config", config)
    assert (stopped.returncode, "was not running" in stopped.stdout) == (0, True)


def test_a_config_without_envoy_is_told_with_exit_7() -> None:
    done = lbctl("envoy", "status", "--config", "config/one-service-haproxy.yaml")
    assert done.returncode == 7
    assert "has no envoy data plane" in done.stderr


def test_envoy_accepts_what_config_render_prints(config: str, tmp_path: Path) -> None:
    printed = lbctl("config", "render", "envoy", "--config", config, "--active", "web=green")
    assert printed.returncode == 0, printed.stderr
    file = tmp_path / "static.json"
    file.write_text(printed.stdout)
    binary = asyncio.run(probe(None)).path
    check = [str(binary), "--mode", "validate", "-c", str(file)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_envoy_goes_on_by_frozen_files_when_those_of_lbctl_are_gone(config: str, tmp_path: Path) -> None:
    file, frozen = Path(config), tmp_path / "frozen"
    instances = f"mode: attached, instances: {{lb1: {{directory: {tmp_path}/live}}}}"
    file.write_text(file.read_text().replace("mode: embedded", instances))
    never = lbctl("config", "render", "envoy", "--config", config, "--freeze", str(frozen))
    assert (never.returncode, frozen.exists()) == (5, False)
    assert "next  lbctl envoy prepare --config FILE --active SERVICE=COLOUR" in never.stderr
    assert lbctl("envoy", "prepare", "--config", config, "--active", "web=green").returncode == 0
    printed = lbctl("config", "render", "envoy", "--config", config, "--freeze", str(frozen))
    assert printed.returncode == 0, printed.stderr
    assert "envoy prepare" not in printed.stdout, "nothing of lbctl is needed any more"
    copied = sorted(str(path.relative_to(frozen)) for path in frozen.rglob("*") if path.is_file())
    assert copied == ["eds/web_blue.json", "eds/web_green.json", "rds/web.json"]
    assert not [path for path in copied if f"{tmp_path}/live" in (frozen / path).read_text()]
    (tmp_path / "live").rename(tmp_path / "removed")
    document = tmp_path / "frozen.yaml"
    document.write_text(printed.stdout)
    check = [str(asyncio.run(probe(None)).path), "--mode", "validate", "-c", str(document)]
    done = subprocess.run(check, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def answers(config: str) -> bool:
    """Whether lbctld of that config does."""
    return lbctl("--socket", str(Path(config).with_name("c.sock")), "status").returncode == 0


def test_stopping_is_refused_while_lbctld_would_start_it_again(config: str) -> None:
    daemon = subprocess.Popen([sys.executable, "-m", "lbctl.daemon.main", "--config", config], stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 20
        while not answers(config):
            assert time.monotonic() < until
            time.sleep(0.1)
        refused = lbctl("envoy", "stop", "--config", config)
        assert refused.returncode == 5
        assert f"lbctld (pid {daemon.pid}) runs and would start Envoy again within 2 s" in refused.stderr
        assert f"next  stop lbctld (traffic stays as it is), then lbctl envoy stop --config {config}" in refused.stderr
        assert lbctl("envoy", "status", "--config", config).returncode == 0
    finally:
        daemon.terminate()
        daemon.communicate(timeout=20)
    stopped = lbctl("envoy", "stop", "--config", config)
    assert (stopped.returncode, "was stopped" in stopped.stdout) == (0, True)


@pytest.mark.parametrize("program", [["lbctl.cli", "envoy", "start"], ["lbctl.daemon.main"]], ids=["lbctl", "lbctld"])
@pytest.mark.parametrize("runs", [False, True])
def test_under_systemd_none_is_embedded_whether_it_runs_or_not(
    config: str, tmp_path: Path, program: list[str], runs: bool
) -> None:
    if runs:
        assert lbctl("envoy", "start", "--config", config).returncode == 0
    # A parent of that name is what a program under systemd has.
    systemd = tmp_path / "systemd"
    systemd.symlink_to(sys.executable)
    call = [sys.executable, "-m", *program, "--config", config]
    code = f"import subprocess, sys; sys.exit(subprocess.run({call!r}, timeout=40).returncode)"
    service = {**os.environ, "INVOCATION_ID": "0" * 32}
    done = subprocess.run([systemd, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=service)
    assert done.returncode == (5 if "envoy" in program else 1), done.stderr
    assert "error: no Envoy is embedded under systemd" in done.stderr
    assert "write `mode: attached` and run Envoy as a unit of its own: systemd/lbctl-envoy.service" in done.stderr
    assert lbctl("envoy", "status", "--config", config).returncode == (0 if runs else 3)


async def test_an_attached_envoy_is_looked_at_and_never_ended(tmp_path: Path) -> None:
    async with attached_world() as world:
        pools = {
            pool.colour.value: {server.name: str(server.address) for server in pool.servers}
            for pool in (world.service.blue, world.service.green)
        }
        file = tmp_path / "c.yaml"
        shop = {"data_plane": "edge", "pools": pools, "health": {"http": "/healthz"}}
        own = {"control_socket": "c.sock", "state_dir": "s", "runtime_dir": "r"}
        document: dict[str, object] = {
            "apiVersion": "lbctl/v1",
            "daemon": {key: f"{tmp_path}/{name}" for key, name in own.items()},
            "data_planes": {
                "edge": {
                    "driver": "envoy",
                    "mode": "attached",
                    "instances": {"lb1": {"directory": world.instance.directory}},
                }
            },
            "services": {"shop": shop},
        }
        file.write_text(yaml.safe_dump(document))

        async def asked(*arguments: str) -> "subprocess.CompletedProcess[str]":
            return await asyncio.to_thread(lbctl, *arguments, "--config", str(file))

        good = await asked("envoy", "status")
        assert good.returncode == 0, good.stdout + good.stderr
        assert f"● envoy edge/lb1 1.40.0 runs and can be driven (pid {world.owner.pid}, " in good.stdout
        assert [(await asked("envoy", verb)).returncode for verb in ("stop", "start")] == [5, 5]
        os.kill(world.owner.pid, 0)
        till = {"data_plane": "edge", "pools": {"blue": {"b": "127.0.0.1:1"}, "green": {"g": "127.0.0.1:2"}}}
        document["services"] = {"shop": shop, "till": till}
        file.write_text(yaml.safe_dump(document))
        bad = await asked("envoy", "status")
        assert bad.returncode == 3
        assert "runs, but lbctl cannot drive it" in bad.stdout
        assert "till: this Envoy has no cluster till_blue" in bad.stdout
