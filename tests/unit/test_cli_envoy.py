"""`lbctl envoy` for an Envoy that others run: what lbctl does to it, and what it never does."""

import json
from pathlib import Path

import pytest
import yaml

from lbctl.cli.app import main

Captured = pytest.CaptureFixture[str]

ATTACHED = """
apiVersion: lbctl/v1
daemon: {control_socket: %(dir)s/none.sock, state_dir: %(dir)s/state, runtime_dir: %(dir)s/run}
data_planes:
  edge: {driver: envoy, mode: attached, instances: {lb1: {directory: %(dir)s/e}}}
services:
  web:
    data_plane: edge
    listen: 127.0.0.1:8080
    pools:
      blue: {blue-1: 127.0.0.1:8081}
      green: {green-1: 127.0.0.1:8091}
    health: {http: /healthz}
"""


@pytest.fixture
def attached(tmp_path: Path) -> str:
    file = tmp_path / "attached.yaml"
    file.write_text(ATTACHED % {"dir": tmp_path})
    return str(file)


@pytest.mark.parametrize("verb", ["start", "stop"])
def test_it_is_neither_started_nor_stopped(attached: str, verb: str, capsys: Captured) -> None:
    assert main(["envoy", verb, "--config", attached]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: lbctl does not {verb} edge/lb1\n")
    assert f"  next  {verb} it where it is run, as in `systemctl {verb} lbctl-envoy`" in err


def test_one_that_does_not_run_is_told_with_its_socket_and_exit_3(
    attached: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["envoy", "status", "--config", attached]) == 3
    assert f"there is no admin socket {tmp_path}/e/admin.sock" in capsys.readouterr().out


def test_its_files_are_not_made_on_a_guess_but_servers_need_none(
    attached: str, tmp_path: Path, capsys: Captured
) -> None:
    assert main(["envoy", "prepare", "--config", attached]) == 5
    assert "next  add --active web=blue|green" in capsys.readouterr().err
    assert not (tmp_path / "e" / "rds" / "web.json").exists()
    assert (tmp_path / "e" / "eds" / "web_blue.json").exists()


def test_its_files_are_made_once_and_whole_ones_stay(attached: str, tmp_path: Path, capsys: Captured) -> None:
    call = ["envoy", "prepare", "--config", attached]
    assert main([*call, "--active", "web=green"]) == 0
    assert "web: the route file was missing; now it says 10000:10000:10000" in capsys.readouterr().out
    route = tmp_path / "e" / "rds" / "web.json"
    before = route.read_bytes(), route.stat().st_ino
    assert main([*call, "--active", "web=blue"]) == 0
    assert "web: kept, although it is not all on blue" in capsys.readouterr().out
    assert (route.read_bytes(), route.stat().st_ino) == before
    assert main([*call, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["instances"]["edge/lb1"]["did"] == []


def test_an_embedded_one_is_not_prepared(attached: str, tmp_path: Path, capsys: Captured) -> None:
    text = (ATTACHED % {"dir": tmp_path}).replace("attached", "embedded")
    Path(attached).write_text(text)
    assert main(["envoy", "prepare", "--config", attached]) == 5
    assert "has no attached Envoy" in capsys.readouterr().err


def test_its_bootstrap_is_rendered_without_knowing_who_is_active(attached: str, capsys: Captured) -> None:
    assert main(["config", "render", "envoy", "--config", attached]) == 0
    out = capsys.readouterr().out
    assert out.startswith("# Rendered by lbctl for edge/lb1")
    assert set(yaml.safe_load(out)) == {"node", "stats_flush_interval", "admin", "static_resources"}


def test_a_service_without_listen_can_be_driven_but_not_rendered(
    attached: str, tmp_path: Path, capsys: Captured
) -> None:
    Path(attached).write_text((ATTACHED % {"dir": tmp_path}).replace("    listen: 127.0.0.1:8080\n", ""))
    assert main(["config", "render", "envoy", "--config", attached]) == 4
    assert "web has no `listen" in capsys.readouterr().err
