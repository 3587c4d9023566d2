"""`lbctl doctor`: each thing that bites is found, once, with its fix; and nothing is found where nothing is."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.app import main
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.dataplane.haproxy.existing.sections import read
from lbctl.doctor import haproxycfg, host, sockets
from lbctl.doctor.told import of_daemon, of_service, once
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.topology import (
    Address,
    Driver,
    HaproxyBinding,
    HaproxyForm,
    Instance,
    Plane,
    Pool,
    RequestLog,
    Server,
    Service,
)

Captured = pytest.CaptureFixture[str]
MAPS = "/var/lib/lbctl/haproxy"
PLANE = Plane(
    name=PlaneName("edge"),
    driver=Driver.HAPROXY,
    instances=(Instance(name=InstanceName("edge/lb1"), directory=MAPS, socket="/run/h.sock"),),
    request_log=RequestLog(Address("127.0.0.1", 5514)),
)


def web(form: HaproxyForm = HaproxyForm.MAP) -> Service:
    names = {"blue": "web_blue", "green": "web_green"} if form is HaproxyForm.MAP else dict.fromkeys(Colour, "web")
    pools = {
        colour: Pool(colour, (Server(ServerName(f"{colour}-1"), Address(f"10.0.0.{n}", 80)),))
        for n, colour in enumerate(Colour, 1)
    }
    return Service(
        name=ServiceName("web"),
        plane=PlaneName("edge"),
        blue=pools[Colour.BLUE],
        green=pools[Colour.GREEN],
        haproxy=HaproxyBinding({colour: names[colour] for colour in Colour}, "SRV", "lbctl_web", form),
    )


GOOD = """
global
  stats socket /run/h.sock mode 660 level admin
defaults
  mode http
  option redispatch
  option idle-close-on-response
frontend f
  bind :80
  use_backend web_green if { var(txn.lb_colour) -m str green }
  default_backend web_blue
backend web_blue
  cookie SRV insert indirect nocache
  server blue-1 10.0.0.1:80 cookie b
backend web_green
  cookie SRV insert indirect nocache
  server green-1 10.0.0.2:80 cookie g
"""


def compared(text: str, service: Service | None = None) -> dict[str, Finding]:
    return {one.code: one for one in haproxycfg.compared(read([("h.cfg", text)]), PLANE, [service or web()])}


def file(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_config_that_fits_has_no_findings() -> None:
    assert compared(GOOD) == {}


@pytest.mark.parametrize(
    ("old", "new", "code", "weight"),
    [
        ("level admin", "level operator", "SOCKET_LEVEL", Weight.FAULT),
        ("mode 660", "mode 666", "SOCKET_OPEN", Weight.FAULT),
        ("green-1 10.0.0.2:80", "green-1 10.0.0.3:80", "SERVERS_DIFFER", Weight.FAULT),
        ("server green-1", "server green-2", "SERVERS_DIFFER", Weight.FAULT),
        ("backend web_green", "backend web_gren", "BACKEND_NOT_FOUND", Weight.FAULT),
        ("  option idle-close-on-response\n", "", "IDLE_CLOSE", Weight.WARNING),
        ("  option redispatch\n", "", "NO_REDISPATCH", Weight.WARNING),
        ("10.0.0.1:80 cookie b", "10.0.0.1:80", "SERVER_WITHOUT_COOKIE", Weight.WARNING),
        ("mode http", "mode http\n  load-server-state-from-file global", "STALE_STATE_FILE", Weight.FAULT),
        ("defaults\n  mode http", "defaults\n  mode tcp", "WRONG_MODE", Weight.FAULT),
        ("global", "global\n  hard-stop-after 1m", "HARD_STOP", Weight.NOTE),
        ("frontend f", "peers p\n peer a 1.1.1.1:1\n peer b 1.1.1.2:1\nfrontend f", "OTHER_BALANCER", Weight.WARNING),
    ],
)
def test_what_bites_in_haproxys_config_is_found_with_its_weight(old: str, new: str, code: str, weight: Weight) -> None:
    found = compared(GOOD.replace(old, new))
    assert found[code].weight is weight
    assert found[code].fix


RULES = """  http-request set-var(txn.lb_state) str(web),map(/m/state.map)
  use_backend web_green if { var(txn.lb_colour) -m str green }
"""
GUARDED = """  http-request set-var(txn.lb_service) str(-)
  http-request set-var(txn.lb_service) str(web) if { hdr(host) -i web.example }
  http-request set-var(txn.lb_state) str(web),map(/m/state.map) if { var(txn.lb_service) -m str web }
  use_backend web_green if { var(txn.lb_colour) -m str green }
"""
CHOICE = "  use_backend web_green if { var(txn.lb_colour) -m str green }\n"
WITH_RULES = GOOD.replace(CHOICE, RULES)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (RULES, "  http-request allow if { src 10.0.0.0/8 }\n" + RULES, 10),
        ("defaults\n", "defaults d\n  http-request allow\n", 5),
        (RULES, "  use_backend %[req.hdr(host),lower,map(/hosts.map)]\n" + RULES, 10),
        (RULES, "  use_backend other\n" + RULES, 10),
        (RULES, "  use_backend web_blue if { path /x }\n" + RULES, 10),
        (RULES, GUARDED.replace("  use", "  http-request set-var(txn.lb_service) str(-)\n  use"), 13),
    ],
)
def test_what_takes_requests_past_lbctls_rules_is_a_fault_at_its_line(old: str, new: str, line: int) -> None:
    (found,) = [one for one in compared(WITH_RULES.replace(old, new)).values() if one.code == "RULES_NOT_REACHED"]
    assert (found.where, found.weight) == (f"h.cfg:{line}", Weight.FAULT)


@pytest.mark.parametrize(
    "rules",
    [
        RULES,
        GUARDED,
        RULES + "  http-request deny if { src 10.9.9.9 }\n",
        RULES + "  http-request allow if { src 10.0.0.0/8 }\n",
        "  http-request deny if { src 10.9.9.9 }\n" + RULES,
        "  tcp-request content accept\n" + RULES,
        GUARDED + "  use_backend other if { hdr(host) -i other.example }\n",
        "  use_backend other if { hdr(host) -i other.example }\n" + GUARDED,
    ],
)
def test_where_every_request_meets_lbctls_rules_nothing_is_found(rules: str) -> None:
    assert compared(WITH_RULES.replace(RULES, rules)) == {}


def test_an_action_that_may_end_the_rules_is_a_warning() -> None:
    text = WITH_RULES.replace(RULES, "  http-request lua.bouncer\n" + RULES)
    assert compared(text)["RULES_NOT_REACHED"].weight is Weight.WARNING


def test_a_computed_choice_may_name_a_pool_and_is_a_warning() -> None:
    text = WITH_RULES.replace(RULES, RULES + "  use_backend %[req.hdr(x)] if { path /team }\n")
    assert compared(text)["RULES_BESIDE_SPLIT"].weight is Weight.WARNING


@pytest.mark.parametrize(
    ("more", "server", "code"),
    [
        ("balance leastconn", "", "BALANCE_IGNORES_WEIGHTS"),
        ("", "agent-check", "AGENT_OWNS_WEIGHT"),
        ("", "backup", "BACKUP_SERVER"),
    ],
)
def test_one_table_judges_weights_in_a_text_as_in_a_running_haproxy(more: str, server: str, code: str) -> None:
    text = GOOD.split("frontend", 1)[0] + f"backend web\n {more}\n server blue-1 10.0.0.1:80 {server}\n"
    found = compared(text + " server green-1 10.0.0.2:80\n", web(HaproxyForm.WEIGHTS))
    assert found[code].weight is Weight.FAULT


def test_a_short_queue_is_found_where_it_is_used(tmp_path: Path) -> None:
    file(tmp_path, "proc/sys/net/unix/max_dgram_qlen", "10\n")
    file(tmp_path, "proc/sys/net/core/rmem_max", "8388608\n")
    assert list(host.queues([PLANE], tmp_path)) == []
    (found,) = host.queues([replace(PLANE, request_log=RequestLog("/run/l.sock"))], tmp_path)
    assert (found.code, found.what.split(":")[0]) == ("QUEUE_SHORT", "net.unix.max_dgram_qlen is 10")
    (found,) = host.queues([replace(PLANE, request_log=None)], tmp_path)
    assert found.code == "NO_REQUEST_LOG"
    file(tmp_path, "proc/sys/net/core/rmem_max", "212992\n")
    assert [one.code for one in host.queues([PLANE], tmp_path)] == ["BUFFER_SMALL"]


def test_a_second_load_balancer_by_vrrp_is_found(tmp_path: Path) -> None:
    assert list(host.other_balancers(tmp_path)) == []
    file(tmp_path, "proc/77/comm", "keepalived\n")
    assert [one.where for one in host.other_balancers(tmp_path)] == ["keepalived"]
    file(tmp_path, "etc/keepalived/keepalived.conf", "vrrp_instance VI_1 {\n}\n")
    (found,) = host.other_balancers(tmp_path)
    assert found.where.endswith("keepalived.conf")
    file(tmp_path, "etc/keepalived/keepalived.conf", "# vrrp_instance A {\n ! vrrp_instance B {\nvirtual_server x {}\n")
    assert [one.where for one in host.other_balancers(tmp_path)] == ["keepalived"], "a comment moves no address"


def test_who_else_writes_the_map_files_is_found(tmp_path: Path) -> None:
    file(tmp_path, "opt/puppetlabs/puppet/cache/state/resources.txt", f"file[{MAPS}/state.map]\n")
    file(tmp_path, "etc/tmpfiles.d/lb.conf", "d /run/x\nD! /var/lib/lbctl - - -\n")
    found = list(host.management([MAPS], {"h.cfg": "# Ansible managed\nglobal\n"}, tmp_path))
    assert [one.code for one in found] == ["MAP_MANAGED", "MAP_MANAGED", "CONFIG_MANAGED"]
    assert list(host.management(["/other"], {"h.cfg": "global\n"}, tmp_path)) == []


@pytest.mark.parametrize(
    "line",
    [
        f"R {MAPS}/*.map",
        f"r! {MAPS}/state.map",
        f"R  {MAPS}/*",
        "R /var/lib/lb*",
        "R /var/lib/lbctl/*",
        "R! %S/lbctl",
        f'R "{MAPS}"',
        "D /var/lib/lbctl 0700 lbctl lbctl -",
        "e /var/lib/lbctl - - - 10d",
        "e /var/lib/* - - - ~10d",
        f"d {MAPS} 0750 lbctl lbctl 10d",
    ],
)
def test_what_cleans_the_map_files_up_is_found(tmp_path: Path, line: str) -> None:
    file(tmp_path, "usr/lib/tmpfiles.d/lb.conf", f"# a comment\n{line}\n")
    (found,) = host.management([MAPS], {}, tmp_path)
    assert (found.code, found.weight) == ("MAP_MANAGED", Weight.FAULT)
    assert line in found.what
    file(tmp_path, "etc/tmpfiles.d/lb.conf", "")
    assert list(host.management([MAPS], {}, tmp_path)) == [], "hidden by one of the same name"


@pytest.mark.parametrize(
    "line",
    [
        f"# R {MAPS}",
        f"d {MAPS} 0750 lbctl lbctl -",
        f"d {MAPS}",
        "R /var/lib/*/other",
        "R /var/*.map",
        "r /var/lib/lbctl",
        "d /tmp 1777 root root 10d",
        f"R {MAPS}-old",
        f"e /var/lib/lbctl - - - 10d\nx {MAPS}",
    ],
)
def test_what_leaves_the_map_files_alone_is_not_found(tmp_path: Path, line: str) -> None:
    file(tmp_path, "etc/tmpfiles.d/lb.conf", f"{line}\n")
    assert list(host.management([MAPS], {}, tmp_path)) == []


def test_map_files_that_others_may_write_are_found(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.mkdir(mode=0o700)
    file(maps, "state.map", "")
    os.chmod(maps / "state.map", 0o644)
    assert list(host.map_rights([str(maps)], str(tmp_path))) == []
    os.chmod(maps / "state.map", 0o666)
    (found,) = host.map_rights([str(maps)], str(tmp_path))
    assert found.fix == f"chmod go-w {maps}/state.map"


def test_what_the_daemon_says_is_taken_over_with_its_codes() -> None:
    view: dict[str, Any] = {"instances": {"edge/lb1": {"reachable": True, "warnings": ["NO_MASTER_SOCKET: set it"]}}}
    plan = {
        "unready": [{"code": "WRONG_MODE", "text": "edge/lb1: tcp"}, {"code": "candidate", "text": "down"}],
        "warnings": [
            {"code": "NO_MASTER_SOCKET", "text": "edge/lb1: set it"},
            {"code": "VERSION_NOT_NAMED", "text": ""},
        ],
    }
    found = once([*of_service("web", view, plan)])
    assert [(one.code, one.weight) for one in found] == [
        ("WRONG_MODE", Weight.FAULT),
        ("NO_MASTER_SOCKET", Weight.WARNING),
        ("candidate", Weight.WARNING),
    ]


def test_a_daemon_of_another_version_or_without_a_journal_is_found() -> None:
    status = {"daemon": {"journal": "no space left on device"}}
    assert [one.code for one in of_daemon(status, {"version": "0.0.9"}, "0.1.0")] == [
        "VERSION_DIFFERS",
        "JOURNAL_BROKEN",
    ]


def test_a_config_that_was_refused_is_a_fault_although_the_daemon_runs_well_with_the_one_before() -> None:
    status = {"daemon": {"journal": "ok", "config_refused": "since 16:21: x.yaml:9:14: dashboard cannot change"}}
    (one,) = of_daemon(status, {"version": "0.1.0"}, "0.1.0")
    assert (one.code, one.weight) == ("CONFIG_REFUSED", Weight.FAULT)
    assert "dashboard cannot change" in one.what


@pytest.mark.skipif(os.getuid() != 0, reason="only root may give a directory to another user")
def test_before_the_first_start_sockets_that_lbctls_user_may_not_open_are_found(tmp_path: Path) -> None:
    state, mine, roots = tmp_path / "state", tmp_path / "admin.sock", tmp_path / "master.sock"
    state.mkdir()
    for path, uid, gid in ((state, 65_534, 65_534), (mine, 0, 65_534), (roots, 0, 0)):
        path.touch()
        os.chown(path, uid, gid)
    for path in (mine, roots):
        path.chmod(0o660)
    one = replace(PLANE.instances[0], socket=str(mine), master_socket=str(roots))
    (found,) = sockets.closed([one], str(state))
    assert (found.code, found.weight, found.where) == ("SOCKET_GROUP", Weight.FAULT, str(roots))
    assert f'EXTRAOPTS="-S {roots},mode,660,group,lbctl"' in found.fix
    assert not [*sockets.closed([one], str(tmp_path))], "root may open all"


CONFIG = """
apiVersion: lbctl/v1
daemon: {{control_socket: {0}/none.sock, state_dir: {0}, runtime_dir: {0}/run}}
data_planes:
  edge: {{driver: haproxy, instances: {{lb1: {{socket: {0}/h.sock, map_dir: {0}}}}}}}
services:
  web:
    data_plane: edge
    haproxy: {{backends: {{blue: web_blue, green: web_green}}}}
    pools: {{blue: {{blue-1: "127.0.0.1:1"}}, green: {{green-1: "127.0.0.1:2"}}}}
"""


def test_without_a_daemon_everything_else_is_still_looked_at(tmp_path: Path, capsys: Captured) -> None:
    file(tmp_path, "lbctl.yaml", CONFIG.format(tmp_path))
    file(tmp_path, "h.cfg", GOOD)
    words = ["--config", str(tmp_path / "lbctl.yaml"), "--haproxy-cfg", str(tmp_path / "h.cfg")]
    assert main(["--socket", f"{tmp_path}/none.sock", "doctor", *words, "--json"]) == 4
    found = json.loads(capsys.readouterr().out)
    codes = {one["code"] for one in found["findings"]}
    assert codes >= {"DAEMON_UNREACHABLE", "NOT_DRIVABLE", "MISSING_HERE", "NO_REQUEST_LOG", "SERVERS_DIFFER"}
    assert found["daemon"] is False
    assert all(one["fix"] for one in found["findings"])
    assert main(["--socket", f"{tmp_path}/none.sock", "doctor", *words]) == 4
    assert "fix  " in capsys.readouterr().out


def test_a_config_that_cannot_be_used_is_a_finding_with_its_place(tmp_path: Path, capsys: Captured) -> None:
    file(tmp_path, "lbctl.yaml", "apiVersion: lbctl/v1\nservices: {}\n")
    assert main(["--socket", f"{tmp_path}/none.sock", "doctor", "--config", f"{tmp_path}/lbctl.yaml", "--json"]) == 4
    found = json.loads(capsys.readouterr().out)["findings"]
    assert found[0]["code"] == "CONFIG_INVALID"
    assert ":1:1" in found[0]["where"]


def test_without_any_config_it_says_how_to_get_one(tmp_path: Path, capsys: Captured) -> None:
    args = ["--socket", f"{tmp_path}/none.sock", "doctor", "--config", f"{tmp_path}/lbctl.yaml", "-o", "json"]
    assert main(args) == 4
    (one,) = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["weight"] == "fault"]
    assert one["code"] == "NO_CONFIG"
    assert one["fix"].startswith(("lbctl config import", "begin with"))
