"""`lbctl envoy` with the real Envoy: start, status, stop; and what `config render` prints is what it takes."""

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lbctl.dataplane.envoy.binary import probe

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
