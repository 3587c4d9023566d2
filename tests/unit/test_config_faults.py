"""Every class of bad input: one fault at its exact place, which names the value and the next step."""

# ruff: noqa: E501  (a message is tested as it is shown, in one line)

import time

import pytest

from tests.unit.config_texts import VALID, changed, faults

ADDRESS = "write it as 127.0.0.1:8080 or [::1]:8080 or app.example:8080"
DURATION = "write a number with a unit: ms, s, m, h or d, as in 500ms, 2m or 1h30m"


def test_the_valid_config_has_no_fault() -> None:
    assert faults(VALID) == []


BAD = [
    (
        "steps: [1%, 25%, 100%]",
        "stepps: [1%, 25%, 100%]",
        "26:5: services.web.stepps: unknown key; did you mean steps?",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: [1%, 500%]",
        "26:17: services.web.steps[1]: 500 % is above 100 %; write a rising list that ends at 100%",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: [1%, 25%]",
        "26:17: services.web.steps[1]: the last step is 25 %; write a rising list that ends at 100%",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: [25%, 5%, 100%]",
        "26:18: services.web.steps[1]: 5 % is not above the step before it, 25 %; write a rising list that ends at 100%",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: [0%, 100%]",
        "26:13: services.web.steps[0]: 0 % is not a step; write a rising list that ends at 100%",
    ),
    ("steps: [1%, 25%, 100%]", "steps: [1, 25%, 100%]", '26:13: services.web.steps[0]: 1 has no unit; write "1%"'),
    (
        "steps: [1%, 25%, 100%]",
        "steps: []",
        "26:12: services.web.steps: the list is empty; write a rising list that ends at 100%",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: 5%",
        "26:12: services.web.steps: expected a list, not '5%'; write a rising list that ends at 100%",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: [0.001%, 100%]",
        "26:13: services.web.steps[0]: 0.001 % is finer than 0.01 %; write a rising list that ends at 100%",
    ),
    (
        "steps: [1%, 25%, 100%]",
        "steps: [-1%, 100%]",
        "26:13: services.web.steps[0]: -1 % is below 0 %; write a rising list that ends at 100%",
    ),
    ("hold: {min: 2m", "hold: {min: 120", f"27:17: services.web.hold.min: 120 has no unit; {DURATION}"),
    ("hold: {min: 2m", "hold: {min: 2min", f"27:17: services.web.hold.min: '2min' is not a duration; {DURATION}"),
    (
        "hold: {min: 2m",
        "hold: {min: 31m",
        "27:17: services.web.hold.min: hold.min 31m is longer than hold.max 30m; raise max or lower min",
    ),
    (
        "then: ask",
        "then: asks",
        "27:37: services.web.hold.then: expected ask or rollback, not 'asks'; did you mean ask?",
    ),
    (
        "interval: 1s",
        "interval: 1sec",
        f"19:40: services.accounts.health.interval: '1sec' is not a duration; {DURATION}",
    ),
    (
        "interval: 1s",
        "interval: 100ms",
        "19:56: services.accounts.health.timeout: timeout 500ms is longer than interval 100ms; lower timeout or raise interval",
    ),
    ("http: /healthz", "htp: /healthz", "19:14: services.accounts.health.htp: unknown key; did you mean http?"),
    (
        "http: /healthz",
        "http: /healthz, https: /x",
        "19:13: services.accounts.health: http, https at once; give one of http, https, tcp, command, as in {http: /healthz}",
    ),
    (
        "http: /healthz",
        "http: healthz",
        "19:20: services.accounts.health.http: 'healthz' is not a path; begin with / and use no blanks, as in /healthz",
    ),
    (
        "rise: 2",
        "rise: 0",
        "19:66: services.accounts.health.rise: 0 is not within 1..100; write a number within 1..100",
    ),
    (
        "rise: 2",
        "rise: yes",
        "19:66: services.accounts.health.rise: expected a whole number, not 'yes'; write a number within 1..100",
    ),
    (
        "rise: 2",
        "rise: 2, status: 600-700",
        '19:77: services.accounts.health.status: 600-700 is not a range within 100-599; write it as "200-399"',
    ),
    (
        "rise: 2",
        "rise: 2, keep_alive: yes",
        "19:81: services.accounts.health.keep_alive: expected true or false, not 'yes'; write true or false",
    ),
    (
        "blue: {blue-1: 127.0.0.1:8081}",
        "blue: {}",
        "24:13: services.web.pools.blue: the pool is empty; name at least one server",
    ),
    (
        "blue: {blue-1: 127.0.0.1:8081}",
        "blue:",
        "24:12: services.web.pools.blue: expected a mapping, not nothing; name at least one server",
    ),
    (
        "      blue: {blue-1: 127.0.0.1:8081}\n",
        "",
        "24:7: services.web.pools: the key blue is missing; add blue: {SERVER: ADDRESS:PORT, …}",
    ),
    ("127.0.0.1:8081", "127.0.0.1", f"24:22: services.web.pools.blue.blue-1: '127.0.0.1' has no port; {ADDRESS}"),
    (
        "127.0.0.1:8081",
        "127.0.0.1:80811",
        f"24:22: services.web.pools.blue.blue-1: '80811' is not a port within 1..65535; {ADDRESS}",
    ),
    (
        "127.0.0.1:8081",
        "127.0.0.256:8081",
        f"24:22: services.web.pools.blue.blue-1: '127.0.0.256' is not an IPv4 address; {ADDRESS}",
    ),
    (
        "127.0.0.1:8081",
        "'::1:8081'",
        f"24:22: services.web.pools.blue.blue-1: '::1:8081': an IPv6 address needs brackets; {ADDRESS}",
    ),
    (
        "127.0.0.1:8081",
        "two.example:8081",
        f"24:22: services.web.pools.blue.blue-1: two.example has 2 addresses (10.9.9.1, 10.9.9.2), not one; {ADDRESS}",
    ),
    (
        "127.0.0.1:8081",
        "nobody.example:8081",
        f"24:22: services.web.pools.blue.blue-1: nobody.example cannot be resolved: Name or service not known; {ADDRESS}",
    ),
    (
        "127.0.0.1:8081",
        "127.0.0.1:8091",
        "25:24: services.web.pools.green.green-1: 127.0.0.1:8091 is already the address of blue.blue-1; give each server its own address",
    ),
    (
        "127.0.0.1:8081",
        "127.0.0.1:8080",
        "24:22: services.web.pools.blue.blue-1: 127.0.0.1:8080 is this service's own listen address; write the server's address",
    ),
    (
        "blue-1: 127",
        "green-1: 127",
        "25:24: services.web.pools.green.green-1: green-1 is also a server of pool blue; rename one of them",
    ),
    (
        "blue-1: 127.0.0.1:8081",
        "blue-1: {addr: '127.0.0.1:8081', cookie: green-1}",
        "25:24: services.web.pools.green.green-1: the cookie value green-1 already belongs to blue-1; give each server its own value",
    ),
    (
        "blue-1: 127.0.0.1:8081",
        "Blue_1: 127.0.0.1:8081",
        "24:14: services.web.pools.blue.Blue_1: 'Blue_1' is not a name; use at most 63 of a-z 0-9 . _ - and begin with a letter or digit",
    ),
    (
        "{a-blue-1: 10.0.1.11:8080, a-blue-2: 10.0.1.12:8080}",
        "{a-blue-1: 10.0.1.11:8080, a-blue-1: 10.0.1.12:8080}",
        "16:40: services.accounts.pools.blue: the key 'a-blue-1' twice; it is already in line 16, column 14; keep one of them",
    ),
    (
        "  web:\n    data_plane",
        "  blue:\n    data_plane",
        "20:3: services.blue: a service cannot be named blue: it is a colour; rename it",
    ),
    (
        "  web:\n    data_plane",
        "  '42':\n    data_plane",
        "20:3: services.42: a service cannot be named 42: it would be a release's number; rename it",
    ),
    (
        "data_plane: demo",
        "data_plane: dmo",
        "21:17: services.web.data_plane: no data plane dmo is declared; did you mean demo?",
    ),
    (
        "    haproxy: {form: map, backends: {blue: accounts_blue, green: accounts_green}}\n",
        "",
        "13:5: services.accounts: edge is haproxy, and the key haproxy is missing; add `haproxy: {form: map, backends: {blue: accounts_blue, green: accounts_green}}`",
    ),
    (
        "{form: map, backends: {blue: accounts_blue, green: accounts_green}}",
        "{form: weights, backends: {blue: x, green: y}}",
        "14:40: services.accounts.haproxy.backends: form weights has one backend; write `backend: NAME`",
    ),
    (
        "{form: map, backends: {blue: accounts_blue, green: accounts_green}}",
        "{backend: x}",
        "14:24: services.accounts.haproxy.backend: form map has two backends; write `backends: {blue: NAME, green: NAME}`",
    ),
    (
        "{form: map, backends: {blue: accounts_blue, green: accounts_green}}",
        "{form: weights}\n    protocol: tcp",
        "14:21: services.accounts.haproxy.form: form weights is for http and grpc; write `form: map`, or another protocol",
    ),
    (
        "backends: {blue: accounts_blue, green: accounts_green}",
        "backends: {blue: x, green: x}",
        "14:53: services.accounts.haproxy.backends.green: x is already the backend of accounts's pool blue; give each pool a backend of its own",
    ),
    (
        "    listen: 127.0.0.1:8080\n",
        "",
        "21:5: services.web: demo is envoy, and the key listen is missing; add `listen: 127.0.0.1:8080`",
    ),
    (
        "listen: 127.0.0.1:8080",
        "listen: 10.0.0.5:9000",
        "22:13: services.web.listen: 10.0.0.5:9000 and 10.0.0.5:9000, where accounts listens, cannot both be bound; choose another port",
    ),
    (
        "listen: 127.0.0.1:8080",
        "listen: web.example:80",
        "22:13: services.web.listen: 'web.example' is a name, and only an address can be listened on; write it as 127.0.0.1:8080 or [::1]:8080",
    ),
    (
        "driver: haproxy",
        "driver: haproxi",
        "5:13: data_planes.edge.driver: expected haproxy or envoy, not 'haproxi'; did you mean haproxy?",
    ),
    (
        "driver: haproxy",
        "driver: nginx",
        "5:13: data_planes.edge.driver: nginx is not available in this version; write haproxy or envoy",
    ),
    (
        "lb1: {socket: /run/haproxy/admin.sock, ",
        "lb1: {",
        "7:12: data_planes.edge.instances.lb1: instance lb1 has no socket; add `socket: /run/haproxy/admin.sock`",
    ),
    (
        "socket: /run/haproxy/admin.sock",
        "socket: 127.0.0.1:9999",
        "7:21: data_planes.edge.instances.lb1.socket: '127.0.0.1:9999' is not a path; write the path of a unix socket",
    ),
    (
        "mode: embedded",
        "mode: atached",
        "10:11: data_planes.demo.mode: expected embedded or attached, not 'atached'; did you mean attached?",
    ),
    (
        "mode: embedded",
        "mode: attached\n    envoy: {binary: /usr/bin/envoy}",
        "11:12: data_planes.demo.envoy: an attached Envoy is run by others, whichever binary they took; delete it",
    ),
    (
        "mode: embedded",
        "mode: embedded\n    instances: {lb1: {admin: /run/envoy/admin.sock}}",
        "11:30: data_planes.demo.instances.lb1.admin: a key for mode attached, and this is embedded; delete it",
    ),
    (
        "socket: /run/haproxy/admin.sock, ",
        "socket: /run/haproxy/admin.sock, admin: /a, ",
        "7:53: data_planes.edge.instances.lb1.admin: a key for driver envoy, and this is haproxy; delete it",
    ),
    *(
        (
            "mode: embedded",
            f"mode: attached\n    instances: {{lb1: {{admin: '{admin}'}}}}",
            f"11:30: data_planes.demo.instances.lb1.admin: '{admin}' is not a path; Envoy's admin asks for no password, "
            "so it must be a unix socket: set `admin.address.pipe` in its bootstrap and write that path",
        )
        for admin in ("http://127.0.0.1:9901", "http://127.0.0.1:9901/", "127.0.0.1:9901", "https://lb/")
    ),
    (
        "mode: embedded",
        "mode: attached\n    instances: {a: {directory: /d, admin: /run/a.sock}, b: {directory: /e, admin: /run/a.sock}}",
        "11:83: data_planes.demo.instances.b.admin: /run/a.sock is already admin of demo/a; write this one's own socket",
    ),
    (
        "mode: embedded",
        "mode: embedded\n    instances: {a: {directory: /d}, b: {directory: /d/e}}",
        "11:52: data_planes.demo.instances.b.directory: /d/e overlaps /d, the directory of demo/a; give each instance a directory of its own in `directory`",
    ),
    (
        "exec: /usr/local/bin/page-ops",
        "exec: page-ops",
        "29:23: alerts[0].exec: 'page-ops' is not the path of a program; write the program's path, or a list: [/usr/local/bin/page-ops, --urgent]",
    ),
    (
        "[rollback, held, page]",
        "[rolback]",
        "29:53: alerts[0].on[0]: expected one of started, step, finished, certified, cancelled, rollback, held, paused, drift, instance, health, journal, service, board, config, daemon, page, not 'rolback'; did you mean rollback?",
    ),
    (
        "group: lbctl}",
        "group: lbct1}",
        "31:20: access.observe.group: this host has no group 'lbct1'; correct the name, or create it with groupadd",
    ),
    (
        "group: lbctl}",
        "gid: 65534}",
        "31:18: access.observe.gid: gid 65534 is 65534, the number of everybody who comes from another user namespace: it gets no role; name a user or group of its own, made with useradd or groupadd",
    ),
    (
        "gate: {web: {group: ci-web}}",
        "gate: {web: {user: nobody}}",
        "32:22: access.gate.web.user: user nobody is 65534, the number of everybody who comes from another user namespace: it gets no role; name a user or group of its own, made with useradd or groupadd",
    ),
    ("group: lbctl}", "grop: lbctl}", "31:13: access.observe.grop: unknown key; did you mean group?"),
    ("gate: {web:", "gate: {wep:", "32:10: access.gate.wep: there is no service wep; did you mean web?"),
    (
        "apiVersion: lbctl/v1",
        "apiVersion: lbctl/v2",
        "1:13: apiVersion: expected lbctl/v1, not 'lbctl/v2'; did you mean lbctl/v1?",
    ),
    ("apiVersion: lbctl/v1\n", "", "1:1: the key apiVersion is missing; add apiVersion: lbctl/v1"),
]


@pytest.mark.parametrize(("old", "new", "expected"), BAD, ids=[new.strip()[:40] or "left out" for _, new, _ in BAD])
def test_bad_input_is_named_with_its_place_and_the_next_step(old: str, new: str, expected: str) -> None:
    found = faults(changed((old, new)))
    assert f"lbctl.yaml:{expected}" in found
    assert len(found) == (2 if "access.gate.web:" in found[-1] else 1)


LOG_THEN = "write it as udp://127.0.0.1:5514 or unix:/run/lbctl/requests.sock"
LOGS = [
    ("x", f"expected the address of a request log, not 'x'; {LOG_THEN}"),
    ("5514", f"expected the address of a request log, not '5514'; {LOG_THEN}"),
    ("[]", f"expected the address of a request log, not a list; {LOG_THEN}"),
    ("tcp://127.0.0.1:1", f"expected the address of a request log, not a URL; {LOG_THEN}"),
    ("'unix:'", f"expected the address of a request log, not 'unix:'; {LOG_THEN}"),
    ("udp://127.0.0.1", f"'127.0.0.1' has no port; {LOG_THEN}"),
    ("udp://127.0.0.1:0", f"'0' is not a port within 1..65535; {LOG_THEN}"),
    ("udp://localhost:5514", f"'localhost' is a name, and only an address can be listened on; {LOG_THEN}"),
    ("udp://::1:5514", f"'::1:5514': an IPv6 address needs brackets; {LOG_THEN}"),
    *(
        (
            f"udp://{host}:5514",
            f"{host.strip('[]')} is not a loopback address: anybody on the network could send lines; "
            "use 127.0.0.1 or [::1]; the load balancer is on this host",
        )
        for host in ("0.0.0.0", "10.0.0.5", "[::]", "[2001:db8::1]")
    ),
    (f"unix:/{'x' * 107}", "a unix socket's path has at most 107 bytes in one line; use a shorter directory"),
    (
        "unix:/run/haproxy/master.sock",
        "/run/haproxy/master.sock is already master_socket of edge/lb1; give each data plane an address of its own",
    ),
    (
        "unix:/run/lbctl/control.sock",
        "/run/lbctl/control.sock is already daemon.control_socket; give each data plane an address of its own",
    ),
]


@pytest.mark.parametrize(("value", "expected"), LOGS, ids=[value[:30] for value, _ in LOGS])
def test_a_request_log_comes_in_on_this_host_and_nowhere_else(value: str, expected: str) -> None:
    found = faults(changed(("    driver: haproxy", f"    driver: haproxy\n    request_log: {value}")))
    assert found == [f"lbctl.yaml:6:18: data_planes.edge.request_log: {expected}"]


SCRAPE_THEN = "write it as 127.0.0.1:9464, or as the path of a unix socket"
SCRAPES = [
    ("[]", f"expected where metrics are read, not a list; {SCRAPE_THEN}"),
    ("9464", f"expected where metrics are read, not '9464'; {SCRAPE_THEN}"),
    ("http://127.0.0.1:9464", f"expected where metrics are read, not a URL; {SCRAPE_THEN}"),
    ("localhost:9464", f"'localhost' is a name, and only an address can be listened on; {SCRAPE_THEN}"),
    ("127.0.0.1:99999", f"'99999' is not a port within 1..65535; {SCRAPE_THEN}"),
    *(
        (
            f"'{host}:9464'",
            f"{host.strip('[]')} is not a loopback address: anybody on the network could read names and versions; "
            "use 127.0.0.1 or [::1], and let a proxy that asks who it is forward it",
        )
        for host in ("0.0.0.0", "10.0.0.5", "[::]")
    ),
    (f"/{'x' * 107}", "a unix socket's path has at most 107 bytes in one line; use a shorter directory"),
    ("/run/lbctl/control.sock", "/run/lbctl/control.sock is already daemon.control_socket; write a path of its own"),
]


@pytest.mark.parametrize(("value", "expected"), SCRAPES, ids=[value[:30] for value, _ in SCRAPES])
def test_metrics_are_read_on_this_host_alone(value: str, expected: str) -> None:
    found = faults(
        changed(
            ("control_socket: /run/lbctl/control.sock", f"metrics: {value}, control_socket: CONTROL"),
            ("CONTROL", "/run/lbctl/control.sock"),
        )
    )
    assert found == [f"lbctl.yaml:2:71: daemon.metrics: {expected}"]


DASH_THEN = "write it as 127.0.0.1:8090, or as the path of a unix socket"
DASHES = [
    ("true", f"expected where the dashboard is read, not 'true'; {DASH_THEN}"),
    ("8090", f"expected where the dashboard is read, not '8090'; {DASH_THEN}"),
    ("https://127.0.0.1:8090", f"expected where the dashboard is read, not a URL; {DASH_THEN}"),
    ("dash.sock", f"'dash.sock' has no port; {DASH_THEN}"),
    (
        "'0.0.0.0:8090'",
        "0.0.0.0 is not a loopback address: anybody on the network could read names and versions; "
        "use 127.0.0.1 or [::1], and let a proxy that asks who it is forward it",
    ),
    ("/run/lbctl/control.sock", "/run/lbctl/control.sock is already daemon.control_socket; write a path of its own"),
    ("127.0.0.1:9464", "127.0.0.1:9464 is already daemon.metrics; write a port of its own"),
    ("/run/lbctl/dash.sock", ""),
    ("'[::1]:8090'", ""),
]


@pytest.mark.parametrize(("value", "expected"), DASHES, ids=[value[:30] for value, _ in DASHES])
def test_the_dashboard_is_read_on_this_host_alone(value: str, expected: str) -> None:
    found = faults(
        changed(
            ("control_socket: /run/lbctl/control.sock", f"dashboard: {value}, metrics: M, control_socket: CONTROL"),
            ("M, control_socket: CONTROL", "127.0.0.1:9464, control_socket: /run/lbctl/control.sock"),
        )
    )
    assert [one.partition("daemon.dashboard: ")[2] for one in found] == ([expected] if expected else [])


def test_two_data_planes_have_two_request_logs() -> None:
    second = (
        "  rim: {driver: haproxy, request_log: 'udp://127.0.0.1:5514', instances: {a: {socket: /a, map_dir: /m}}}\n"
    )
    edits = (
        ("driver: haproxy", "driver: haproxy\n    request_log: udp://127.0.0.1:5514"),
        ("  demo:\n", second + "  demo:\n"),
    )
    assert faults(changed(*edits)) == [
        "lbctl.yaml:9:39: data_planes.rim.request_log: 127.0.0.1:5514 is already the request log of edge; "
        "give each data plane an address of its own"
    ]


def test_envoy_needs_no_request_log() -> None:
    found = faults(changed(("mode: embedded", "mode: embedded\n    request_log: udp://127.0.0.1:5514")))
    assert found == [
        "lbctl.yaml:11:18: data_planes.demo.request_log: a key for driver haproxy, and this is envoy; delete it"
    ]


LATER = {
    "[1%, 25%, 100%]": "[1%, 25%, 100%]\n    rest_pin: none",
}
KEYS_LATER = [
    "eject: false", "rest_pin: none",
]  # fmt: skip


@pytest.mark.parametrize("key", KEYS_LATER)
def test_what_is_designed_but_not_built_is_refused_by_name(key: str) -> None:
    found = faults(changed(("    steps: ", f"    {key}\n    steps: ")))
    assert len(found) == 1
    assert "not available in this version; " in found[0]
    assert found[0].startswith("lbctl.yaml:26:")


@pytest.mark.parametrize("old", LATER)
def test_designed_sections_are_refused_by_name(old: str) -> None:
    found = faults(changed((old, LATER[old])))
    assert len(found) == 1
    assert "not available in this version; " in found[0]


def test_one_backend_cannot_belong_to_two_services_in_either_form() -> None:
    shared = "{form: map, backends: {blue: accounts_blue, green: accounts_green}}"
    second = """
  till:
    data_plane: edge
    haproxy: {form: weights, backend: accounts_blue}
    pools: {blue: {t1: 10.0.1.31:80}, green: {t2: 10.0.1.32:80}}
alerts:"""
    for first, owner in ((shared, "accounts's pool blue"), ("{form: weights, backend: accounts_blue}", "accounts")):
        (found,) = faults(changed((shared, first), ("\nalerts:", second)))
        assert f"services.till.haproxy.backend: accounts_blue is already the backend of {owner}; give each" in found


def test_all_faults_come_at_once_in_the_order_of_the_text() -> None:
    found = faults(changed(("driver: haproxy", "driver: haproxi"), ("[1%, 25%, 100%]", "[1%]"), ("rise: 2", "rise: x")))
    assert [line.split(":")[1] for line in found] == ["5", "19", "26"]


def test_an_inline_secret_is_refused_and_never_repeated() -> None:
    hook = "webhook: {url: https://hooks.example/s3cr3t, secret: s3cr3t}"
    found = faults(changed(("exec: /usr/local/bin/page-ops", hook)))
    assert [line.split(": ")[1] for line in found] == ["alerts[0].webhook.url", "alerts[0].webhook.secret"]
    assert "s3cr3t" not in "".join(found)
    assert "write {credential: NAME} or {file: PATH}" in found[0]


@pytest.mark.parametrize(
    "hook",
    [
        "webhook: https://hooks.example/s3cr3t",
        "webhook: {url: {credential: 'https://hooks.example/s3cr3t'}, secret: {file: 'https://hooks.example/s3cr3t'}}",
        "webhook: {url: [https://hooks.example/s3cr3t], secret: {value: s3cr3t}}",
    ],
)
def test_a_secret_in_the_wrong_shape_is_not_repeated_either(hook: str) -> None:
    found = faults(changed(("exec: /usr/local/bin/page-ops", hook)))
    assert found[0].startswith("lbctl.yaml:29:")
    assert "s3cr3t" not in "".join(found)


@pytest.mark.parametrize(
    ("old", "path"),
    [
        ("/var/lib/lbctl,", "2:21: daemon.state_dir"),
        ("/run/haproxy/admin.sock", "7:21: data_planes.edge.instances.lb1.socket"),
    ],
)
def test_a_character_that_no_file_name_can_have_is_a_fault_and_not_a_crash(old: str, path: str) -> None:
    found = faults(changed((old, '"/\\ud800"' + "," * old.endswith(","))))
    assert found == [f"lbctl.yaml:{path}: a control character in a text; delete it"]


def test_a_key_that_nobody_knows_is_answered_with_those_of_this_version() -> None:
    found = faults("shop: {}\n" + VALID)
    assert found == [
        "lbctl.yaml:1:1: shop: unknown key; known are: access, alerts, apiVersion, daemon, data_planes, services, units"
    ]


def test_directories_of_many_instances_are_compared_fast() -> None:
    planes = "".join(
        f"  p{plane}: {{driver: envoy, instances: {{"
        + ", ".join(f"i{one}: {{directory: /d/{plane}/{one}}}" for one in range(16))
        + "}}\n"
        for plane in range(90)
    )
    last = "  last: {driver: envoy, instances: {a: {directory: /d/7}, b: {directory: /d/88/3/x}}}\n"
    began = time.process_time()
    found = faults(changed(("data_planes:\n", "data_planes:\n" + planes + last)))
    assert [line.split("; ")[0] for line in found] == [
        "lbctl.yaml:94:52: data_planes.last.instances.a.directory: /d/7 overlaps /d/7/0, the directory of p7/i0",
        "lbctl.yaml:94:74: data_planes.last.instances.b.directory: /d/88/3/x overlaps /d/88/3, the directory of p88/i3",
    ]
    assert time.process_time() - began < 4


def test_a_hostile_key_cannot_break_a_message_into_lines() -> None:
    found = faults('"a\\nb\\u202e": 1\n' + VALID)
    assert len(found) == 1
    assert found[0].startswith("lbctl.yaml:1:1: a\\nb\\u202e: unknown key")


@pytest.mark.parametrize("text", ["hello", "[1]", "3", "~"])
def test_a_config_that_is_no_mapping_is_refused(text: str) -> None:
    assert faults(text)[0].startswith("lbctl.yaml:1:1: expected a mapping, not ")


POLICIES = {
    "{policy: fast}": "expected wait or {move: N/s}, not 'fast'; write wait, or {move: 20/s}",
    "{policy: 20/s}": "expected wait or {move: N/s}, not '20/s'; write wait, or {move: 20/s}",
    "{policy: [wait]}": "expected wait or {move: N/s}, not a list; write wait, or {move: 20/s}",
    "{policy: }": "expected wait or {move: N/s}, not nothing; write wait, or {move: 20/s}",
    "{policy: {}}": "the key move is missing; add move: rate, as 20/s",
    "{policy: {move: 20}}": "'20' is not a rate; write a whole number of sessions a second, as in 20/s",
    "{policy: {move: 20/m}}": "'20/m' is not a rate; write a whole number of sessions a second, as in 20/s",
    "{policy: {move: -1/s}}": "'-1/s' is not a rate; write a whole number of sessions a second, as in 20/s",
    "{policy: {move: [1]}}": "expected a rate, not a list; write a whole number of sessions a second, as in 20/s",
    "{policy: {move: 0/s}}": "0/s is not within 1/s..10000/s; write a rate within 1/s..10000/s",
    "{policy: {move: 999999999/s}}": "999999999/s is not within 1/s..10000/s; write a rate within 1/s..10000/s",
    "{policy: {move: 1/s, slow: 2/s}}": "unknown key; known are: move",
    "{deadline: 0s}": "0s is not within 1s..30d; write a duration within 1s..30d",
    "{at_deadline: kill}": "expected keep or close, not 'kill'; known are: close, keep",
}


@pytest.mark.parametrize("text", POLICIES)
def test_a_session_policy_says_what_is_wrong_with_it(text: str) -> None:
    (found,) = faults(changed(("    steps: ", f"    sessions: {text}\n    steps: ")))
    assert "services.web.sessions" in found
    assert found.split(": ", 2)[2] == POLICIES[text], found
