"""From a file to the model: what is written arrives, and what is not written has the documented default."""

import os
import stat
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from lbctl.config.accounts import Principal
from lbctl.config.fault import Mark
from lbctl.config.home import Distrust, directory_mode, home_of, trust_fault
from lbctl.config.hosts import Names
from lbctl.config.load import ConfigError, load
from lbctl.config.reloading import check_reload
from lbctl.config.secret import Secret
from lbctl.config.settings import ExecAlert, WebhookAlert
from lbctl.config.show import config_text
from lbctl.config.words import ALERT_DEFAULT, ALERT_WORDS
from lbctl.model.names import Colour, InstanceName, PlaneName, ServiceName
from lbctl.model.sessions import AtDeadline, SessionPolicy
from lbctl.model.topology import (
    Address,
    Drain,
    Driver,
    EnvoyMode,
    HaproxyBinding,
    HaproxyForm,
    HealthCheck,
    HoldLimit,
    JudgeSettings,
    Plan,
    Probe,
    Protocol,
    RequestLog,
    SessionsBack,
)
from lbctl.model.units import MINUTE, Span
from lbctl.notify import words
from tests.unit.config_texts import VALID, changed, config, faults

WEB, ACCOUNTS = ServiceName("web"), ServiceName("accounts")
SHIPPED = Path(__file__).parents[2] / "config"


@pytest.mark.parametrize(
    ("name", "services"),
    [
        ("one-service.yaml", ["web"]),
        ("one-service-haproxy.yaml", ["web"]),
        ("two-services.yaml", ["accounts", "storefront"]),
    ],
)
@pytest.mark.parametrize("uid", [0, 1000])
def test_the_shipped_configs_load_without_faults_and_warnings(name: str, services: list[str], uid: int) -> None:
    loaded = load(SHIPPED / name, uid=uid, environ={"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/1000"})
    assert list(loaded.topology.services) == services
    assert loaded.warnings == ()
    assert len((SHIPPED / name).read_text().splitlines()) <= 60


@pytest.mark.parametrize(("written", "backend"), [("", "accounts_servers"), (", backend: shop", "shop")])
def test_in_form_weights_both_pools_have_the_one_backend(written: str, backend: str) -> None:
    map_form = "{form: map, backends: {blue: accounts_blue, green: accounts_green}}"
    loaded = config(changed((map_form, f"{{form: weights{written}}}"))).topology.services[ACCOUNTS]
    backends = dict.fromkeys(Colour, backend)
    assert loaded.haproxy == HaproxyBinding(backends, "SRV", "lbctl_accounts", HaproxyForm.WEIGHTS)


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize(("service", "listen"), [(ACCOUNTS, "10.0.0.5:9000"), (WEB, "127.0.0.1:8080")])
def test_the_protocol_arrives_in_the_model_behind_either_driver(
    protocol: Protocol, service: ServiceName, listen: str
) -> None:
    text = changed((f"    listen: {listen}", f"    listen: {listen}\n    protocol: {protocol}"))
    assert config(text).topology.services[service].protocol is protocol


def test_an_attached_envoy_needs_no_listen_and_its_admin_socket_lies_in_its_directory() -> None:
    text = changed(("mode: embedded", "mode: attached"), ("    listen: 127.0.0.1:8080\n", ""))
    plane = config(text).topology.planes[PlaneName("demo")]
    assert plane.envoy_mode is EnvoyMode.ATTACHED
    assert plane.instances[0].directory == "/var/lib/lbctl/envoy/demo/local"
    assert plane.instances[0].socket == "/var/lib/lbctl/envoy/demo/local/admin.sock"
    named = changed(
        ("mode: embedded", "mode: attached\n    instances: {lb1: {admin: /run/envoy/a.sock, directory: /d}}")
    )
    (instance,) = config(named).topology.planes[PlaneName("demo")].instances
    assert (instance.socket, instance.directory) == ("/run/envoy/a.sock", "/d")


def test_sessions_of_a_tcp_service_are_warned_of() -> None:
    text = changed(("    steps: [1%", "    protocol: tcp\n    sessions: {cookie: WHO}\n    steps: [1%"))
    assert "TCP has no cookies: sessions are not used" in config(text).warnings[0]


def test_what_is_written_arrives_in_the_model() -> None:
    topology = config(VALID).topology
    edge = topology.planes[PlaneName("edge")]
    assert (edge.driver, edge.instances[0].name) == (Driver.HAPROXY, "edge/lb1")
    assert edge.instances[0].socket == "/run/haproxy/admin.sock"
    assert edge.instances[0].directory == "/var/lib/lbctl/haproxy"
    accounts = topology.services[ACCOUNTS]
    assert [str(server.address) for server in accounts.green.servers] == ["10.0.1.21:8080", "10.0.1.22:8080"]
    assert accounts.health == HealthCheck(kind=Probe.HTTP, path="/healthz")
    backends = {Colour.BLUE: "accounts_blue", Colour.GREEN: "accounts_green"}
    assert accounts.haproxy == HaproxyBinding(backends, "SRV", "lbctl_accounts")
    assert accounts.protocol is Protocol.HTTP
    assert topology.services[WEB].plan.steps_bp == (100, 2_500, 10_000)
    assert topology.instances_of(WEB) == (InstanceName("demo/local"),)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("udp://127.0.0.1:5514", Address("127.0.0.1", 5514)),
        ("udp://[::1]:5514", Address("::1", 5514)),
        ("unix:/run/lbctl/requests.sock", "/run/lbctl/requests.sock"),
    ],
)
def test_a_request_log_is_read_as_it_is_written(text: str, at: Address | str) -> None:
    loaded = config(changed(("driver: haproxy", f"driver: haproxy\n    request_log: {text}")))
    found = loaded.topology.planes[PlaneName("edge")].request_log
    assert found == RequestLog(at)
    assert str(found) == text
    assert config_text(loaded).count(f"request_log: {text}") == 1


def test_the_path_of_a_request_log_starts_at_the_config(tmp_path: Path) -> None:
    text = changed(("driver: haproxy", "driver: haproxy\n    request_log: unix:log.sock"))
    plane = config(text, file=tmp_path / "lbctl.yaml").topology.planes[PlaneName("edge")]
    assert plane.request_log == RequestLog(f"{tmp_path}/log.sock")


def test_what_is_not_written_has_the_models_defaults() -> None:
    web = config(changed(("    steps: [1%, 25%, 100%]\n    hold: {min: 2m, max: 30m, then: ask}\n", ""))).topology
    service = web.services[WEB]
    assert service.plan == Plan()
    assert service.judge == JudgeSettings()
    assert (service.health, service.tls, service.haproxy, service.cookie) == (None, None, None, "SRV")


def test_every_policy_key_reaches_the_plan_and_the_judge() -> None:
    service = config(
        changed(
            ("{min: 2m, max: 30m, then: ask}", "{min: 1s500ms, max: 1h, then: rollback}"),
            (
                "    steps:",
                """\
    bake: 3m
    retain: 0s
    drift: reassert
    min_healthy: 66.67%
    capacity: 1
    deadlines: {preflight: 1m}
    on_rollback: {sessions: move}
    judge: {slo: 99.5%, false_rollback: 1%, active_limit: 2%, dispersion: 3.5, blind_limit: never}
    listen_tls: true
    sessions: {cookie: WEBSRV}
    tls: {ca: ca.pem, name: app.example}
    health: {https: /h, port: 9443, host: app.example, status: 204, keep_alive: true}
    steps:""",
            ),
        )
    ).topology.services[WEB]
    assert (service.plan.hold_min, service.plan.hold_max, service.plan.hold_then) == (
        1500,
        3_600_000,
        HoldLimit.ROLLBACK,
    )
    assert (service.plan.bake, service.plan.retain, service.plan.preflight) == (180_000, 0, 60_000)
    assert (service.plan.min_healthy_bp, service.plan.capacity) == (6_667, 1)
    assert service.plan.sessions_back is SessionsBack.MOVE
    assert service.judge.slo_ratio == pytest.approx(0.995)
    assert (service.judge.dispersion, service.judge.blind_limit) == (3.5, None)
    assert (service.listen_tls, service.cookie) == (True, "WEBSRV")
    assert service.health == HealthCheck(
        kind=Probe.HTTPS, path="/h", port=9443, host="app.example", status=(204, 204), keep_alive=True
    )
    assert service.tls is not None
    assert service.tls.ca.endswith("/ca.pem")
    assert service.tls.ca.startswith("/")


@pytest.mark.parametrize(
    ("health", "kind", "command"),
    [("{tcp: true}", Probe.TCP, ()), ("{command: [/bin/check, -v, 3]}", Probe.COMMAND, ("/bin/check", "-v", "3"))],
)
def test_checks_may_connect_or_run_a_program(health: str, kind: Probe, command: tuple[str, ...]) -> None:
    found = config(changed(("    steps:", f"    health: {health}\n    steps:"))).topology.services[WEB].health
    assert found == HealthCheck(kind=kind, command=command)


@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("10.1.2.3:80", Address("10.1.2.3", 80)),
        ("'[2001:DB8::0:1]:80'", Address("2001:db8::1", 80)),
        ("app.example:80", Address("10.9.9.9", 80)),
    ],
)
def test_a_server_is_an_address_or_a_name_with_one_address(written: str, address: Address) -> None:
    service = config(changed(("127.0.0.1:8081", written))).topology.services[WEB]
    assert service.blue.servers[0].address == address


def test_a_name_that_is_another_servers_address_is_seen_through() -> None:
    text = changed(("127.0.0.1:8081", "app.example:80"), ("127.0.0.1:8091", "10.9.9.9:80"))
    assert "10.9.9.9:80 is already the address of blue.blue-1" in faults(text)[0]


@pytest.mark.parametrize(
    "written", ["[::ffff:127.0.0.1]:8081", "[::ffff:7f00:1]:8081", "[0:0:0:0:0:FFFF:127.0.0.1]:8081"]
)
def test_an_ipv4_address_that_is_written_as_ipv6_is_the_same_server(written: str) -> None:
    text = changed(("127.0.0.1:8091", f'"{written}"'))
    assert "127.0.0.1:8081 is already the address of blue.blue-1" in faults(text)[0]


def test_the_same_host_with_another_port_is_another_server() -> None:
    assert faults(changed(("127.0.0.1:8091", "127.0.0.1:8082"))) == []


def test_a_name_server_that_hangs_cannot_hold_up_the_load_for_long() -> None:
    def hang(host: str) -> Sequence[str]:
        threading.Event().wait(5)
        return [host]

    names = Names(hang, lookup_s=0.02, total_s=0.05)
    began = time.monotonic()
    for number in range(50):
        with pytest.raises(ValueError, match="no answer in time"):
            names.address(f"h{number}.example")
    assert time.monotonic() - began < 2


def test_a_cookie_of_the_servers_own_is_kept() -> None:
    service = config(changed(("127.0.0.1:8081", "{addr: '127.0.0.1:8081', cookie: web1}"))).topology.services[WEB]
    assert service.blue.servers[0].cookie == "web1"


def test_relative_paths_start_at_the_config(tmp_path: Path) -> None:
    loaded = config(changed(("state_dir: /var/lib/lbctl", "state_dir: ../state")), file=tmp_path / "etc" / "l.yaml")
    assert loaded.daemon.state_dir == str(tmp_path / "state")
    assert loaded.path == str(tmp_path / "etc" / "l.yaml")
    assert loaded.topology.planes[PlaneName("demo")].instances[0].directory == str(
        tmp_path / "state" / "envoy" / "demo" / "local"
    )


def test_files_are_in_system_directories_for_root_and_in_the_users_own_else() -> None:
    assert home_of(0, {"HOME": "/root"}).control_socket == "/run/lbctl/control.sock"
    user = home_of(1000, {"HOME": "/home/ann", "XDG_RUNTIME_DIR": "/run/user/1000"})
    assert (user.state_dir, user.control_socket) == (
        "/home/ann/.local/state/lbctl",
        "/run/user/1000/lbctl/control.sock",
    )
    assert home_of(7, {"TMPDIR": "/t", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "x"}).runtime_dir == "/t/lbctl-7"


def test_a_directory_in_the_temp_folder_must_be_ours_and_closed(tmp_path: Path) -> None:
    environ = {"TMPDIR": str(tmp_path)}
    home = tmp_path / "home"
    assert trust_fault(str(home), 54321, environ) is None
    home.mkdir()
    link = tmp_path / "link"
    link.symlink_to(home)
    assert "is not a directory" in distrusted(link, environ).what
    assert "belongs to user" in distrusted(home, environ).what
    text = changed((", runtime_dir: /run/lbctl, control_socket: /run/lbctl/control.sock", ""))
    squatted = tmp_path / "lbctl-54321"
    squatted.mkdir()
    found = faults(text, uid=54321, environ=environ)
    assert found[0].startswith("lbctl.yaml:2:9: daemon: ")
    assert found[0].endswith("; remove it, or set daemon.runtime_dir")


@pytest.mark.parametrize(("mode", "then"), [(0o755, "chmod 700 {}"), (0o710, "chmod 700 {}"), (0o777, "remove it")])
def test_an_open_directory_is_closed_by_hand_and_removed_only_where_others_could_write(
    mode: int, then: str, tmp_path: Path
) -> None:
    uid = os.getuid() or 54321
    home = tmp_path / "home"
    home.mkdir()
    if os.getuid() == 0:
        os.chown(home, uid, -1)
    home.chmod(mode)
    assert distrusted(home, {}, uid).then == then.format(home)
    home.chmod(0o700)
    assert trust_fault(str(home), uid, {}) is None


def distrusted(directory: Path, environ: dict[str, str], uid: int = 54321) -> Distrust:
    found = trust_fault(str(directory), uid, environ)
    assert found is not None
    return found


def test_the_daemon_makes_the_directory_in_the_temp_folder_so_that_it_is_trusted() -> None:
    assert directory_mode("/t/lbctl-7", 7, {"TMPDIR": "/t"}) == 0o700
    assert directory_mode("/run/lbctl", 0, {}) == 0o755
    assert directory_mode("/run/user/7/lbctl", 7, {"XDG_RUNTIME_DIR": "/run/user/7"}) == 0o755
    assert directory_mode("/srv/lbctl", 7, {}) == 0o755


def test_alerts_know_their_program_and_their_words() -> None:
    assert config(VALID).alerts == (
        ExecAlert(name="ops", argv=("/usr/local/bin/page-ops",), on=frozenset({"rollback", "held", "page"})),
    )
    default = config(changed((", on: [rollback, held, page]", ""))).alerts[0]
    assert default.on == frozenset(ALERT_DEFAULT)


def test_the_words_of_alerts_are_those_of_the_outbox() -> None:
    assert set(ALERT_WORDS) == set(words.WORDS)
    assert set(ALERT_DEFAULT) == set(words.DEFAULT)


HOOK = ("exec: /usr/local/bin/page-ops", "webhook: {url: {credential: hook-url}, secret: {file: key}}")


def write_secret(path: Path, value: str) -> None:
    path.write_text(value)
    path.chmod(0o600)


def test_secrets_come_from_credentials_and_files_and_are_never_shown(tmp_path: Path) -> None:
    write_secret(tmp_path / "hook-url", "https://hooks.example/c4nary\n")
    write_secret(tmp_path / "key", "c4nary\n")
    loaded = config(changed(HOOK), environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, file=tmp_path / "lbctl.yaml")
    alert = loaded.alerts[0]
    assert isinstance(alert, WebhookAlert)
    assert (alert.url.value, alert.secret.value) == ("https://hooks.example/c4nary", "c4nary")
    assert "c4nary" not in f"{loaded} {loaded!r} {alert.secret} {loaded.effective}"
    assert loaded.warnings == ()


@pytest.mark.parametrize(
    ("url", "key", "message"),
    [
        ("ftp://x", "k", "credential hook-url holds no http:// or https:// address; write the whole URL into it"),
        ("https://x", "", "is empty, too long or more than one line; write the secret alone into it"),
        ("https://x", "a\nb", "is empty, too long or more than one line; write the secret alone into it"),
    ],
)
def test_a_broken_secret_is_refused_without_showing_it(tmp_path: Path, url: str, key: str, message: str) -> None:
    write_secret(tmp_path / "hook-url", url)
    write_secret(tmp_path / "key", key)
    with pytest.raises(ConfigError) as caught:
        config(changed(HOOK), environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, file=tmp_path / "lbctl.yaml")
    assert caught.value.render().endswith(message)


def test_a_missing_credential_says_how_to_give_it() -> None:
    found = faults(changed(HOOK))
    assert "29:32: alerts[0].webhook.url: no credential hook-url: $CREDENTIALS_DIRECTORY is not set" in found[0]
    assert "LoadCredential=hook-url:PATH" in found[0]


def test_a_secret_that_everybody_can_read_is_warned_of(tmp_path: Path) -> None:
    write_secret(tmp_path / "hook-url", "https://x")
    write_secret(tmp_path / "key", "k")
    (tmp_path / "key").chmod(stat.S_IRUSR | stat.S_IROTH)
    loaded = config(changed(HOOK), environ={"CREDENTIALS_DIRECTORY": str(tmp_path)}, file=tmp_path / "lbctl.yaml")
    assert len(loaded.warnings) == 1
    assert loaded.warnings[0].endswith(f"; chmod o-r {tmp_path / 'key'}")


def test_a_secret_prints_where_it_is_from() -> None:
    assert str(Secret("x1y2", "credential k")) == "(credential k, hidden)"


def test_roles_are_numbers_of_this_host() -> None:
    access = config(changed(("group: lbctl}", "group: lbctl}\n  operate: [{uid: 7}, {user: root}]"))).access
    assert access.observe == (Principal(is_group=True, id=990, text="group lbctl"),)
    assert [(who.is_group, who.id) for who in access.operate] == [(False, 7), (False, 0)]
    assert access.gate[WEB] == (Principal(is_group=True, id=991, text="group ci-web"),)
    assert access.admin == ()


def test_an_unused_data_plane_is_a_warning() -> None:
    loaded = config(changed(("services:", "  spare: {driver: envoy}\nservices:")))
    assert loaded.warnings == (
        "lbctl.yaml:11:10: data_planes.spare: no service uses this data plane; "
        "delete it, or name it in a service's data_plane",
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "cannot be read: No such file or directory; check the path"),
        (lambda path: path.mkdir(), "cannot be read: "),
        (lambda path: path.write_bytes(b"a" * 1_048_577), "bytes are more than a config's 1 MB"),
        (lambda path: path.write_bytes(b"a: \xff"), ":1:4: not UTF-8; save the file as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path, make: object, message: str) -> None:
    file = tmp_path / "lbctl.yaml"
    assert callable(make)
    make(file)
    with pytest.raises(ConfigError) as caught:
        load(file, uid=0, environ={})
    assert message in caught.value.render()
    assert caught.value.render().startswith(f"{file}:1:")


def test_a_fault_found_later_has_the_place_in_the_text() -> None:
    loaded = config(VALID)
    assert loaded.fault("services.web.pools.blue.blue-1", "x", "y").mark == Mark(24, 22)
    assert loaded.fault("services.web.judge.slo", "x", "y").mark == Mark(21, 5)
    assert loaded.fault("nothing", "x", "y").mark == Mark(1, 1)


def reload_faults(*edits: tuple[str, str], in_release: set[ServiceName]) -> list[str]:
    return [fault.render("lbctl.yaml") for fault in check_reload(config(VALID), config(changed(*edits)), in_release)]


def test_a_reload_may_change_what_is_not_in_release() -> None:
    edits = (("127.0.0.1:8081", "127.0.0.1:8085"), ("exec: /usr/local/bin/page-ops", "exec: /bin/true"))
    assert reload_faults(*edits, in_release={ACCOUNTS}) == []
    assert reload_faults(("min: 2m", "min: 3m"), in_release={WEB}) == []


def test_a_service_in_release_keeps_its_pools() -> None:
    assert reload_faults(("127.0.0.1:8081", "127.0.0.1:8085"), in_release={WEB}) == [
        "lbctl.yaml:24:13: services.web.pools.blue: cannot change while web is in release; "
        "wait for its release, or end it with `lbctl rollback web`"
    ]


def test_a_service_in_release_cannot_vanish() -> None:
    found = reload_faults(("  web:", "  web2:"), ("gate: {web:", "gate: {web2:"), in_release={WEB})
    assert len(found) == 1
    assert "services.web: web is in release and cannot vanish" in found[0]


def test_lbctls_own_directories_need_a_restart() -> None:
    found = reload_faults(("state_dir: /var/lib/lbctl", "state_dir: /srv/lbctl"), in_release=set())
    assert found == [
        "lbctl.yaml:2:21: daemon.state_dir: state_dir cannot change while lbctl runs; restart lbctld, or put it back"
    ]


def test_sessions_wait_unless_a_rate_is_given() -> None:
    assert config(changed()).topology.services[WEB].sessions == SessionPolicy()
    text = "    sessions: {policy: {move: 20/s}, deadline: 10m, at_deadline: close}\n    steps: [1%"
    service = config(changed(("    steps: [1%", text))).topology.services[WEB]
    closing = SessionPolicy(per_second=20, deadline=Span(10 * MINUTE), at_deadline=AtDeadline.CLOSE)
    assert service.sessions == closing


def test_when_a_session_is_over_and_who_may_stay_connected_are_the_services_own() -> None:
    assert config(changed()).topology.services[WEB].drain == Drain()
    text = "    drain: {quiet: 5s, idle: 2m, known: [node_exporter]}\n    steps: [1%"
    service = config(changed(("    steps: [1%", text))).topology.services[WEB]
    assert service.drain == Drain(quiet=Span(5_000), idle=Span(2 * MINUTE), known=("node_exporter",))
