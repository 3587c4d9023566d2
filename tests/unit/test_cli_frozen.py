"""`config render --freeze`: the split as it is, in copies that nobody moves."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lbctl.cli.app import lbctl
from lbctl.cli.failure import Failure

CONFIG = """apiVersion: lbctl/v1
daemon: {{state_dir: {0}/state, runtime_dir: {0}/run, control_socket: {0}/run/control.sock}}
data_planes:
  edge: {{driver: haproxy, instances: {{lb1: {{socket: {0}/admin.sock, map_dir: {0}/maps}}}}}}
services:
  web:
    data_plane: edge
    haproxy: {{form: map, backends: {{blue: web_blue, green: web_green}}}}
    listen: 127.0.0.1:8080
    pools: {{blue: {{blue-1: "127.0.0.1:8081"}}, green: {{green-1: "127.0.0.1:8091"}}}}
    health: {{http: /healthz}}
"""


@pytest.fixture(name="config")
def _config(tmp_path: Path) -> Path:
    path = tmp_path / "lbctl.yaml"
    path.write_text(CONFIG.format(tmp_path))
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps/state.map").write_text("web 2500:10000:10000\n")
    (tmp_path / "maps/.lock").write_text("")
    return path


def freeze(config: Path, *more: str) -> Result:
    words = ["config", "render", "haproxy", "--config", str(config), "--freeze", str(config.parent / "frozen"), *more]
    return CliRunner().invoke(lbctl, words)


def test_the_split_is_copied_and_what_is_printed_reads_the_copy(config: Path) -> None:
    done = freeze(config)
    assert done.exit_code == 0, done.output
    frozen = config.parent / "frozen"
    assert (frozen / "state.map").read_text() == "web 2500:10000:10000\n"
    assert [path.name for path in frozen.iterdir()] == ["state.map"], "what lbctl keeps for itself stays behind"
    assert str(frozen / "state.map") in done.output
    assert str(config.parent / "maps/state.map,") not in done.output


def test_a_place_that_is_there_is_never_written_into(config: Path) -> None:
    (config.parent / "frozen").mkdir()
    done = freeze(config)
    assert isinstance(done.exception, Failure)
    assert "is there already" in str(done.exception)


def test_where_nothing_was_ever_written_nothing_can_be_frozen(config: Path) -> None:
    (config.parent / "maps/state.map").unlink()
    done = freeze(config)
    assert isinstance(done.exception, Failure)
    assert "--write-maps" in done.exception.then
    assert not (config.parent / "frozen").exists(), "nothing is left behind"


def test_it_makes_nothing_new(config: Path) -> None:
    assert freeze(config, "--write-maps").exit_code == 2
    assert freeze(config, "--active", "web=blue").exit_code == 2
