"""`config render --freeze`: the split as it is, in copies that nobody moves."""

import os
from collections.abc import Callable
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


def merge(config: Path, cfg: Path) -> None:
    words = ["config", "render", "haproxy", "--config", str(config), "--into", str(cfg)]
    cfg.write_text(CliRunner().invoke(lbctl, words).stdout)


def test_a_config_that_lbctls_rules_were_put_into_is_printed_with_the_copy_too(config: Path) -> None:
    config.write_text(config.read_text().replace("    listen: 127.0.0.1:8080\n", ""))
    cfg = config.parent / "haproxy.cfg"
    cfg.write_text("frontend www\n  mode http\n  bind :80\n  default_backend web_blue\nbackend web_blue\n  mode http\n")
    merge(config, cfg)
    alone = freeze(config)
    assert isinstance(alone.exception, Failure)
    assert "--into" in alone.exception.then, "it has no frontend of its own to print"
    done = freeze(config, "--into", str(cfg))
    assert done.exit_code == 0, done.output
    assert done.stdout.rstrip("\n") == cfg.read_text().replace(
        f"{config.parent}/maps", f"{config.parent}/frozen"
    ).rstrip("\n")


def test_what_would_still_be_moved_by_lbctl_is_not_called_frozen(config: Path) -> None:
    cfg = config.parent / "haproxy.cfg"
    cfg.write_text("frontend www\n  mode http\n  bind :80\n  default_backend web_blue\nbackend web_blue\n")
    merge(config, cfg)
    cfg.write_text(cfg.read_text() + f"  server-state-file-name {config.parent}/maps/web.state\n")
    done = freeze(config, "--into", str(cfg))
    assert isinstance(done.exception, Failure)
    assert "outside of lbctl's marks" in str(done.exception)


def test_it_makes_nothing_new(config: Path) -> None:
    assert freeze(config, "--write-maps").exit_code == 2
    assert freeze(config, "--active", "web=blue").exit_code == 2


def test_only_what_the_printed_text_names_is_copied_whatever_lies_beside_it(config: Path) -> None:
    (config.parent / "secret").write_text("root's")
    (config.parent / "maps/extra.map").symlink_to(config.parent / "secret")
    (config.parent / "maps/other.map").write_text("not ours")
    assert freeze(config).exit_code == 0
    assert [path.name for path in (config.parent / "frozen").iterdir()] == ["state.map"]


def _link(path: Path) -> None:
    path.with_name("secret").write_text("root's")
    path.with_name("secret").chmod(0o600)
    path.symlink_to(path.with_name("secret"))


@pytest.mark.parametrize("make", [_link, os.mkfifo, Path.mkdir], ids=["a link", "a pipe", "a directory"])
def test_what_is_no_plain_file_is_refused_and_nothing_is_made(config: Path, make: Callable[[Path], None]) -> None:
    file = config.parent / "maps/state.map"
    file.unlink()
    make(file)
    done = freeze(config)
    assert isinstance(done.exception, Failure)
    assert str(file) in str(done.exception)
    assert not (config.parent / "frozen").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root has files of others")
def test_a_file_of_somebody_else_is_refused(config: Path) -> None:
    os.chown(config.parent / "maps", 65534, 65534)
    done = freeze(config)
    assert isinstance(done.exception, Failure)
    assert "no plain file of uid 65534" in str(done.exception)
