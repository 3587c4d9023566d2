"""`lbctl config`: faults with their places, exit codes, and rendering that never guesses who is active."""

import json
from pathlib import Path

import pytest

from lbctl.cli.app import main

Captured = pytest.CaptureFixture[str]

ENVOY = """
apiVersion: lbctl/v1
daemon: {control_socket: %(dir)s/none.sock, state_dir: %(dir)s/state, runtime_dir: %(dir)s/run}
data_planes:
  edge: {driver: envoy, mode: embedded}
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
def good(tmp_path: Path) -> str:
    file = tmp_path / "good.yaml"
    file.write_text(ENVOY % {"dir": tmp_path})
    return str(file)


@pytest.fixture
def bad(tmp_path: Path) -> str:
    file = tmp_path / "bad.yaml"
    file.write_text("apiVersion: lbctl/v1\nservices:\n  web: {nope: 1}\n")
    return str(file)


@pytest.fixture
def haproxy(tmp_path: Path) -> str:
    plane = f"{{driver: haproxy, instances: {{lb1: {{socket: {tmp_path}/h.sock, map_dir: {tmp_path}/maps}}}}}}"
    text = (ENVOY % {"dir": tmp_path}).replace("{driver: envoy, mode: embedded}", plane)
    file = tmp_path / "haproxy.yaml"
    file.write_text(
        text.replace("    health:", "    haproxy: {backends: {blue: web_blue, green: web_green}}\n    health:")
    )
    return str(file)


def test_a_valid_file_says_so_with_its_services(good: str, capsys: Captured) -> None:
    assert main(["config", "validate", good]) == 0
    assert "is valid: web" in capsys.readouterr().out


def test_every_fault_is_told_with_file_line_and_column_and_exits_4(bad: str, capsys: Captured) -> None:
    assert main(["config", "validate", bad]) == 4
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{bad}:3:9: services.web.nope: unknown key" in err
    assert "the key data_planes is missing" in err
    assert err.rstrip().endswith("faults")


def test_faults_are_data_where_json_is_asked_for(bad: str, capsys: Captured) -> None:
    assert main(["config", "validate", bad, "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert {"line": 3, "column": 9, "path": "services.web.nope"}.items() <= found["faults"][-1].items()


def test_what_is_not_there_now_is_told_and_is_no_fault(good: str, capsys: Captured) -> None:
    text = Path(good).read_text().replace(":8081", ":1").replace(":8091", ":2")
    Path(good).write_text(text + "alerts: [{name: ops, exec: /nope/x}]\n")
    assert main(["config", "validate", good]) == 0
    out, err = capsys.readouterr()
    assert "is valid: web (3 warnings above; no faults)" in out
    assert f"warning: {good}:14:28: alerts[0].exec: /nope/x cannot be run; correct the path, or chmod +x" in err
    assert "nothing answers at 127.0.0.1:2: Connection refused" in err
    assert main(["config", "validate", good, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["missing"]) == 3
    assert main(["config", "validate", good, "--no-secrets"]) == 0
    assert capsys.readouterr().err == ""


def test_a_file_that_is_missing_exits_4_and_names_it(tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "validate", str(tmp_path / "none.yaml")]) == 4
    assert "none.yaml:1:1: cannot be read: No such file or directory" in capsys.readouterr().err


def test_a_file_name_cannot_steer_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "validate", str(tmp_path / "a\x1b[2Jb.yaml")]) == 4
    assert "\x1b" not in capsys.readouterr().err


def test_show_prints_every_default_as_yaml_that_is_valid_again(good: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "show", good]) == 0
    again = tmp_path / "again.yaml"
    again.write_text(capsys.readouterr().out)
    assert main(["config", "validate", str(again)]) == 0
    assert main(["config", "show", good, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out.split("\n", 1)[1])["services"]["web"]["data_plane"] == "edge"


def test_the_schema_is_a_json_schema(capsys: Captured) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["$schema"].startswith("https://json-schema.org/")


def test_rendering_envoy_without_knowing_who_is_active_is_refused_with_the_fix(good: str, capsys: Captured) -> None:
    assert main(["config", "render", "envoy", "--config", good]) == 5
    out, err = capsys.readouterr()
    assert out == ""
    assert "--active web=blue|green" in err


def test_rendering_envoy_prints_the_pool_that_was_given(good: str, capsys: Captured) -> None:
    assert main(["config", "render", "envoy", "--config", good, "--active", "web=green"]) == 0
    green = capsys.readouterr().out
    assert main(["config", "render", "envoy", "--config", good, "--active", "web=blue"]) == 0
    assert json.loads(green) != json.loads(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("active", "code", "said"),
    [
        ("web=red", 2, "write SERVICE=blue or SERVICE=green"),
        ("web", 2, "write SERVICE=blue or SERVICE=green"),
        ("wob=blue", 7, "did you mean web?"),
    ],
)
def test_a_wrong_active_names_the_fix(good: str, capsys: Captured, active: str, code: int, said: str) -> None:
    assert main(["config", "render", "envoy", "--config", good, "--active", active]) == code
    assert said in capsys.readouterr().err


def test_the_other_driver_is_not_in_this_config(good: str, capsys: Captured) -> None:
    assert main(["config", "render", "haproxy", "--config", good]) == 7
    assert "has no haproxy data plane" in capsys.readouterr().err


def test_an_instance_that_does_not_exist_names_those_that_do(good: str, capsys: Captured) -> None:
    assert main(["config", "render", "envoy", "--config", good, "--instance", "edge/lb9"]) == 7
    assert "--instance edge/" in capsys.readouterr().err


def test_rendering_haproxy_prints_the_log_lines_only_where_a_request_log_is_configured(
    haproxy: str, capsys: Captured
) -> None:
    assert main(["config", "render", "haproxy", "--config", haproxy]) == 0
    assert "log" not in {line.split()[0] for line in capsys.readouterr().out.splitlines() if line.strip()}
    config = Path(haproxy)
    config.write_text(config.read_text().replace("driver: haproxy", "driver: haproxy, request_log: 'udp://[::1]:5514'"))
    assert main(["config", "render", "haproxy", "--config", haproxy]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "log [::1]:5514 len 512 format rfc5424 local0" in lines
    assert (
        'log-format-sd "[lbctl@0 r=\\"edge/lb1|%b|%s|%ST|%tsc|%Ta|%TR|%[var(txn.lb_why)]|%[var(txn.lb_bucket)]\\"]"'
        in lines
    )


def test_rendering_haproxy_needs_nobody_to_be_active(haproxy: str, capsys: Captured) -> None:
    assert main(["config", "render", "haproxy", "--config", haproxy]) == 0
    assert "\nfrontend web\n" in capsys.readouterr().out


def test_maps_are_not_written_on_a_guess(haproxy: str, tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "render", "haproxy", "--config", haproxy, "--write-maps"]) == 5
    assert not list(tmp_path.rglob("state.map"))


def test_maps_are_written_once_and_told_on_stderr(haproxy: str, tmp_path: Path, capsys: Captured) -> None:
    call = ["config", "render", "haproxy", "--config", haproxy, "--write-maps"]
    assert main([*call, "--active", "web=green"]) == 0
    assert "wrote " in capsys.readouterr().err
    assert main([*call, "--active", "web=green"]) == 0
    assert capsys.readouterr().err == ""
    assert "web 10000:10000:10000" in (tmp_path / "maps" / "state.map").read_text()


def test_a_map_that_says_otherwise_is_kept_and_told(haproxy: str, tmp_path: Path, capsys: Captured) -> None:
    call = ["config", "render", "haproxy", "--config", haproxy, "--write-maps"]
    assert main([*call, "--active", "web=green"]) == 0
    capsys.readouterr()
    assert main([*call, "--active", "web=blue"]) == 0
    path = tmp_path / "maps" / "state.map"
    said = f"kept {path}: web 10000:10000:10000, that is 0 % to blue: what is there is never changed here\n"
    assert capsys.readouterr().err == said
    assert "web 10000:10000:10000" in path.read_text()


def test_maps_are_for_haproxy_only(good: str, capsys: Captured) -> None:
    assert main(["config", "render", "envoy", "--config", good, "--write-maps"]) == 2
    assert "--write-maps is for haproxy" in capsys.readouterr().err


def test_rendering_a_bad_file_exits_4_with_its_faults(bad: str, capsys: Captured) -> None:
    assert main(["config", "render", "haproxy", "--config", bad]) == 4
    assert "services.web.nope: unknown key" in capsys.readouterr().err
