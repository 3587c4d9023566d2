"""`lbctl config import`: what it proposes of an existing HAProxy, what it asks, and that it never guesses silently."""

import json
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.app import main
from lbctl.config.load import load_text

Json = dict[str, Any]
Captured = pytest.CaptureFixture[str]
COMPLEX = Path(__file__).parents[1] / "existing" / "complex.cfg"

HEAD = """
global
  stats socket /run/haproxy/admin.sock mode 660 group lbctl level admin
defaults
  mode http
  option redispatch
  option idle-close-on-response
"""
PAIR = (
    HEAD
    + """
frontend www
  bind *:80
  default_backend web_green
backend web_blue
  cookie SRV insert indirect nocache
  server b1 10.0.0.1:80 cookie x1 check
backend web_green
  cookie SRV insert indirect nocache
  server g1 10.0.0.2:80 cookie x2 check
"""
)
SHARED = (
    HEAD
    + """
listen web
  bind 10.0.0.5:80
  {more}
  server app-blue-1 10.0.0.1:80 {blue}
  server app-green-1 10.0.0.2:80 {green}
"""
)


def imported(tmp_path: Path, capsys: Captured, text: str, *options: str) -> tuple[int, Json]:
    file = tmp_path / "h.cfg"
    file.write_text(text)
    code = main(["config", "import", str(file), "--json", *options])
    return code, json.loads(capsys.readouterr().out)


def codes(found: Json) -> set[str]:
    return {one["code"] for one in found["findings"]}


def service(found: Json, name: str = "web") -> Any:
    topology = load_text("x", found["config"].encode(), uid=0, environ={}).topology
    return next(one for one in topology.services.values() if one.name == name)


def test_two_backends_that_differ_in_blue_and_green_are_a_service_that_validates(
    tmp_path: Path, capsys: Captured
) -> None:
    code, found = imported(tmp_path, capsys, PAIR)
    assert (code, found["fill_in"], found["findings"], found["not_understood"]) == (0, [], [], [])
    web = service(found)
    assert dict(web.haproxy.backends) == {"blue": "web_blue", "green": "web_green"}
    assert [(one.name, one.cookie) for one in web.blue.servers] == [("b1", "x1")]
    assert (found["services"][0]["active"], found["services"][0]["active_why"]) == (
        "green",
        "h.cfg:11 names web_green alone",
    )


def test_both_pools_in_one_backend_are_form_weights(tmp_path: Path, capsys: Captured) -> None:
    code, found = imported(tmp_path, capsys, SHARED.format(more="", blue="check", green="check"))
    assert code == 0
    assert service(found).haproxy.form == "weights"
    assert found["services"][0]["active"] is None, "nothing says who serves"


@pytest.mark.parametrize(
    ("more", "green", "code", "form"),
    [
        ("balance leastconn", "", "NOTHING", "map"),
        ("", "agent-check agent-port 9", "AGENT_OWNS_WEIGHT", "weights"),
        ("", "backup", "BACKUP_SERVER", "weights"),
        ("cookie SRV insert", "", "SERVER_WITHOUT_COOKIE", "weights"),
        ("cookie JS prefix", "", "COOKIE_NOT_READ", "weights"),
        ("load-server-state-from-file global", "", "STALE_STATE_FILE", "weights"),
        ("no option idle-close-on-response\n", "", "NOTHING", "weights"),
        ("no option redispatch", "", "NO_REDISPATCH", "weights"),
        ("use-server app-blue-1 if { path /x }", "", "RULES_BESIDE_SPLIT", "weights"),
        ("stick-table type ip size 1m\n  stick on src", "", "STICK_TABLE", "weights"),
    ],
)
def test_what_bites_is_found_with_its_line(
    tmp_path: Path, capsys: Captured, more: str, green: str, code: str, form: str
) -> None:
    _, found = imported(tmp_path, capsys, SHARED.format(more=more, blue="", green=green))
    assert found["services"][0]["form"] == form
    assert code in codes(found) | {"NOTHING"}
    assert all(one["where"].startswith("h.cfg:") for one in found["findings"])


def test_one_pool_alone_asks_for_the_other_and_exits_4(tmp_path: Path, capsys: Captured) -> None:
    text = HEAD + "frontend f\n bind :80\n default_backend web\nbackend web\n server w1 10.0.0.1:80\n"
    code, found = imported(tmp_path, capsys, text)
    assert code == 4
    assert "services.web.pools.green" in found["fill_in"][0]
    assert found["services"][0]["missing"] == ["web_green"]
    filled = found["config"].replace("green: {}", 'green: {w2: "10.0.0.2:80"}')
    assert load_text("x", filled.encode(), uid=0, environ={}).topology.services


def test_where_whole_services_are_the_others_are_left_out_by_name_until_they_are_asked_for(
    tmp_path: Path, capsys: Captured
) -> None:
    text = PAIR + "backend media\n server m1 10.0.0.9:80\nfrontend o\n bind :81\n default_backend media\n"
    _, found = imported(tmp_path, capsys, text)
    assert [one["name"] for one in found["services"]] == ["web"]
    assert "--only media" in found["left_out"][0]
    code, found = imported(tmp_path, capsys, text, "--only", "media")
    assert (code, [one["name"] for one in found["services"]]) == (4, ["media"])


def test_without_an_admin_socket_it_is_said_what_to_write(tmp_path: Path, capsys: Captured) -> None:
    code, found = imported(tmp_path, capsys, PAIR.replace("level admin", "level operator"))
    assert code == 4
    assert "SOCKET_LEVEL" in codes(found)
    assert "this one is operator" in next(one["what"] for one in found["findings"] if one["code"] == "SOCKET_LEVEL")


def test_an_address_from_a_variable_is_asked_for_and_taken_from_env(tmp_path: Path, capsys: Captured) -> None:
    text = PAIR.replace("10.0.0.1:80", '"${BLUE}:80"')
    code, found = imported(tmp_path, capsys, text)
    assert code == 4
    assert any("--env BLUE=VALUE" in line for line in found["not_understood"])
    code, found = imported(tmp_path, capsys, text, "--env", "BLUE=10.0.0.1")
    assert code == 0


def test_a_condition_only_haproxy_knows_is_named_and_can_be_told(tmp_path: Path, capsys: Captured) -> None:
    text = ".if version_atleast(2.6)\n" + PAIR + ".endif\n"
    assert imported(tmp_path, capsys, text)[0] == 4
    assert imported(tmp_path, capsys, text, "--assume", "version_atleast(2.6)=yes")[0] == 0


def test_a_directory_is_read_in_the_order_of_its_names(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "20.cfg").write_text(PAIR.split("frontend", 1)[0].replace("global", "# "))
    (tmp_path / "10.cfg").write_text(HEAD)
    (tmp_path / "30.cfg").write_text("frontend" + PAIR.split("frontend", 1)[1])
    (tmp_path / "40.txt").write_text("nonsense")
    assert main(["config", "import", str(tmp_path)]) == 0
    assert "(30.cfg:4)" in capsys.readouterr().out


def test_checks_are_proposed_as_haproxy_does_them(tmp_path: Path, capsys: Captured) -> None:
    more = "option httpchk GET /up\n  http-check expect status 200\n  default-server inter 1500ms rise 4 fall 5 port 99"
    _, found = imported(tmp_path, capsys, SHARED.format(more=more, blue="check", green="check"))
    check = service(found).health
    assert (check.path, check.status, check.interval, check.rise, check.fall, check.port) == (
        "/up", (200, 200), 1500, 4, 5, 99,
    )  # fmt: skip


def test_hostile_names_break_neither_the_text_nor_the_terminal(tmp_path: Path, capsys: Captured) -> None:
    text = PAIR.replace("x1", r'"a: [\x1b]#}"').replace("server b1", "server Yes:1") + "\x1b]0;pwned\x07 x\n"
    code = main(["config", "import", str(_written(tmp_path, text))])
    out, err = capsys.readouterr()
    assert code == 4, "that is no cookie value, and no server name, of lbctl's"
    assert "\x1b" not in out + err
    assert "not understood" in err


def _written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "h.cfg"
    file.write_text(text)
    return file


def test_a_config_of_years_is_read_whole(tmp_path: Path, capsys: Captured) -> None:
    code, found = imported(tmp_path, capsys, COMPLEX.read_text())
    assert code == 4
    by_name = {one["name"]: one for one in found["services"]}
    assert {name: (one["form"], one["active"]) for name, one in by_name.items()} == {
        "shop": ("map", None),
        "api": ("map", None),
        "mixed": ("weights", "blue"),
        "postgres": ("map", "blue"),
    }
    assert codes(found) >= {
        "SOCKET_BY_TCP", "HARD_STOP", "OTHER_BALANCER", "CUT_WHEN_DOWN", "RULES_BESIDE_SPLIT", "STICK_TABLE",
        "STALE_STATE_FILE", "COOKIE_NOT_READ", "AGENT_OWNS_WEIGHT",
    }  # fmt: skip
    assert any("server-template" in line and "api-blue-3" in line for line in found["fill_in"])
    assert any("%[req.hdr(X-Team)" in line for line in found["not_understood"])
    assert [line.partition(":")[2][:2] for line in found["not_understood"]][:2] == ["81", "85"]
    only = imported(tmp_path, capsys, COMPLEX.read_text(), "--only", "shop")
    assert only[0] == 0, only[1]["fill_in"]


def test_a_file_that_cannot_be_read_says_so(tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "import", str(tmp_path / "none.cfg")]) == 4
    assert "cannot be read: No such file" in capsys.readouterr().err


def test_a_backend_that_is_not_there_names_the_closest(tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "import", str(_written(tmp_path, PAIR)), "--only", "web_gren"]) == 7
    assert "did you mean web_green?" in capsys.readouterr().err


def test_a_condition_that_cannot_be_taken_over_as_it_is_is_refused_not_dropped(
    tmp_path: Path, capsys: Captured
) -> None:
    text = PAIR.replace("  default_backend", "  use_backend %[req.hdr('X  Y')] if { path /x }\n  default_backend")
    file = _written(tmp_path, text)
    (tmp_path / "lbctl.yaml").write_text(imported(tmp_path, capsys, text)[1]["config"])
    words = ["config", "render", "haproxy", "--config", f"{tmp_path}/lbctl.yaml", "--into", str(file)]
    assert main(words) == 4
    assert "h.cfg:11: the condition of this `use_backend`" in capsys.readouterr().err


def test_a_socket_that_lbctls_user_may_not_open_is_found_before_the_first_start(
    tmp_path: Path, capsys: Captured
) -> None:
    _, found = imported(tmp_path, capsys, PAIR.replace("group lbctl ", ""))
    assert codes(found) == {"SOCKET_GROUP"}
    second = "\n  stats socket /run/haproxy/lbctl.sock mode 660 group lbctl level admin\ndefaults"
    _, found = imported(tmp_path, capsys, PAIR.replace("group lbctl ", "").replace("\ndefaults", second, 1))
    assert codes(found) == set()


def test_the_proposal_has_the_places_of_lbctls_own_units(tmp_path: Path, capsys: Captured) -> None:
    _, found = imported(tmp_path, capsys, PAIR)
    daemon = load_text("x", found["config"].encode(), uid=996, environ={}).daemon
    assert (daemon.state_dir, daemon.control_socket) == ("/var/lib/lbctl", "/run/lbctl/control.sock")


def test_what_comes_next_names_the_command_with_who_serves_now(tmp_path: Path, capsys: Captured) -> None:
    assert main(["config", "import", str(_written(tmp_path, PAIR))]) == 0
    assert "--write-maps --active web=green > new.cfg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rule", "secure"),
    [
        ("redirect scheme https if !{ ssl_fc }", True),
        ("http-request redirect scheme https code 301 unless { ssl_fc }", True),
        ("redirect scheme https", True),
        ("http-request redirect scheme https if !is_tls", True),
        ("http-request redirect scheme https if { path_beg /account } !{ ssl_fc }", False),
        ("http-request redirect scheme https if account !is_tls", False),
    ],
)
def test_lbctls_cookie_is_secure_only_where_every_user_comes_by_tls(
    tmp_path: Path, capsys: Captured, rule: str, secure: bool
) -> None:
    text = PAIR.replace("bind *:80", f"bind *:80\n  bind *:443 ssl crt x\n  {rule}")
    _, found = imported(tmp_path, capsys, text)
    assert service(found).listen_tls is secure


@pytest.mark.parametrize(
    ("line", "idle_ms"),
    [("", 30_000), ("stick-table type ip size 1m\n  stick on src", 600_000), ("cookie J prefix", 600_000)],
)
def test_where_nothing_binds_users_nobody_is_waited_for(
    tmp_path: Path, capsys: Captured, line: str, idle_ms: int
) -> None:
    _, found = imported(tmp_path, capsys, PAIR.replace("cookie SRV insert indirect nocache", line))
    assert service(found).drain.idle == idle_ms
