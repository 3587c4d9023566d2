"""One table behind everything: what is shown can be loaded again, the page and the JSON Schema know every key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl.config.composite import Items, Named, Section
from lbctl.config.fault import Fault
from lbctl.config.json_schema import json_schema
from lbctl.config.kinds import Kind
from lbctl.config.live import look
from lbctl.config.load import Config
from lbctl.config.quantity import parse_share, parse_span, share_text, span_text, steps_fault
from lbctl.config.reference import reference
from lbctl.config.schema import ROOT
from lbctl.config.show import config_text
from lbctl.model.topology import Address
from tests.unit.config_texts import VALID, changed, config

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "config.md"


@pytest.mark.parametrize(
    "text",
    [
        VALID,
        changed(("127.0.0.1:8081", "{addr: 'app.example:80', cookie: '012'}")),
        changed(("  web:", "  w.e-b:"), ("{web:", "{w.e-b:")),
        changed(("  accounts:", "  acc.ounts:")),
        changed(
            ("    steps:", "    judge: {blind_limit: never}\n    capacity: 1\n    health: {tcp: true}\n    steps:")
        ),
        changed(
            ("127.0.0.1:8081", "{addr: '127.0.0.1:8081', cookie: '1e5'}"),
            ("      blue: {blue-1:", "      blue: {'1e5':"),
            ("ops,", "'2e0',"),
        ),
        changed(("    steps:", "    judge: {slo: 99.9999999%, false_rollback: 0.00001%, dispersion: 1e2}\n    steps:")),
        changed(("    steps:", "    health: {command: [/bin/true, 'yes', '1:30']}\n    steps:")),
    ],
)
def test_the_shown_config_means_the_same(text: str) -> None:
    first = config(text)
    again = config(config_text(first))
    assert again.topology == first.topology
    assert (again.daemon, again.alerts, again.access) == (first.daemon, first.alerts, first.access)
    assert again.effective == first.effective


def test_the_shown_config_has_every_default() -> None:
    shown: Any = yaml.safe_load(config_text(config(VALID)))
    web = shown["services"]["web"]
    assert (web["bake"], web["retain"], web["drift"], web["capacity"]) == ("10m", "1h", "respect", "equal")
    assert web["judge"]["slo"] == "99.9%"
    assert shown["data_planes"]["demo"]["instances"] == {"local": {"directory": "/var/lib/lbctl/envoy/demo/local"}}


def test_the_json_schema_knows_every_key_and_its_meaning() -> None:
    schema = json_schema()
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    service = schema["properties"]["services"]["additionalProperties"]
    assert service["additionalProperties"] is False
    assert set(service["required"]) == {"data_plane", "pools"}
    assert "eject" not in service["properties"]
    assert service["properties"]["bake"]["description"]


def undescribed(kind: Kind, path: str = "") -> list[str]:
    """Return the built keys below `kind` without a sentence that says what they mean."""
    match kind:
        case Section(keys=keys):
            built = {name: key for name, key in keys.items() if key.built}
            below = [found for name, key in built.items() for found in undescribed(key.kind, f"{path}.{name}")]
            return below + [f"{path}.{name}" for name, key in built.items() if not key.doc.endswith(".")]
        case Named(value=inner) | Items(item=inner):
            return undescribed(inner, path)
        case _:
            return []


def test_every_key_that_is_built_says_what_it_means() -> None:
    assert undescribed(ROOT) == []


def test_the_reference_page_is_that_of_the_schema() -> None:
    assert PAGE.read_text() == reference(), "run: python -m lbctl.config.reference > docs/reference/config.md"


@pytest.mark.parametrize("text", ["500ms", "2m", "1h30m", "0s", "1d", "1s500ms", "365d"])
def test_durations_are_written_as_they_are_read(text: str) -> None:
    assert span_text(parse_span(text)) == text


@pytest.mark.parametrize("text", ["", "5", "5x", "5 m", "30m1h", "1s1s", "-1s", "1e3s", "5min", "\u0665s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_span(text)


@pytest.mark.parametrize(("text", "share_bp"), [("25%", 2_500), ("0.01%", 1), ("100 %", 10_000), ("0%", 0)])
def test_shares_are_exact(text: str, share_bp: int) -> None:
    assert parse_share(text) == share_bp
    assert parse_share(share_text(share_bp)) == share_bp


@pytest.mark.parametrize("text", ["25", "101%", "-1%", "0.001%", "%", "1e1%", "\u0665%", "25%%"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_share(text)


def test_steps_rise_and_end_at_full() -> None:
    assert steps_fault([500, 10_000]) is None
    assert steps_fault([]) == (0, "no step")
    assert steps_fault([500, 500, 10_000]) == (1, "5 % is not above the step before it, 5 %")


def looked(loaded: Config, why: str | None) -> list[str]:
    def answer(address: Address) -> str | None:
        return why if address.port == 8081 else None

    return [fault.render("lbctl.yaml") for fault in look(loaded, answer)]


def test_what_is_not_there_now_is_told_with_its_place(tmp_path: Path) -> None:
    text = changed(
        ("/run/haproxy/admin.sock", "none.sock"), ("/run/haproxy/master.sock", "file"),
        ("/var/lib/lbctl/haproxy", "."), ("/usr/local/bin/page-ops", "./file"),
    )  # fmt: skip
    (tmp_path / "file").write_text("")
    (tmp_path / "file").chmod(0o600)
    found = looked(config(text, file=tmp_path / "lbctl.yaml"), "Connection refused")
    assert found == [
        f"lbctl.yaml:7:21: data_planes.edge.instances.lb1.socket: {tmp_path}/none.sock is not there; "
        "start HAProxy, or correct the path as in its global section",
        f"lbctl.yaml:7:47: data_planes.edge.instances.lb1.master_socket: {tmp_path}/file is not a socket; "
        "correct the path as in HAProxy's global section",
        "lbctl.yaml:24:22: services.web.pools.blue.blue-1: nothing answers at 127.0.0.1:8081: Connection refused; "
        "start the server, or correct its address",
        f"lbctl.yaml:29:23: alerts[0].exec: {tmp_path}/file cannot be run; correct the path, or chmod +x",
    ]


def test_the_directory_of_a_request_log_must_be_there(tmp_path: Path) -> None:
    text = changed(("driver: haproxy", "driver: haproxy\n    request_log: unix:none/log.sock"))
    found = looked(config(text, file=tmp_path / "lbctl.yaml"), "Connection refused")
    assert (
        f"lbctl.yaml:6:18: data_planes.edge.request_log: {tmp_path}/none is not there; "
        "make it, open to lbctl's user and to HAProxy's"
    ) in found


def test_what_an_attached_envoy_lacks_on_this_host_is_told(tmp_path: Path) -> None:
    lb1 = f"mode: attached\n    instances: {{lb1: {{directory: {tmp_path}/none, admin: a.sock}}}}"
    found = looked(config(changed(("mode: embedded", lb1)), file=tmp_path / "lbctl.yaml"), "Connection refused")
    place = "lbctl.yaml:11"
    missing = f"{tmp_path}/a.sock is not there; start Envoy, or correct the path"
    assert any(one.startswith(place) and missing in one for one in found)
    assert any(one.startswith(place) and one.endswith("or let `lbctl envoy prepare` do it") for one in found)


def test_faults_are_sorted_by_their_place() -> None:
    loaded = config(VALID)
    found: list[Fault] = look(loaded, lambda _: "no")
    assert found == sorted(found)


def test_the_default_of_the_session_policy_is_named() -> None:
    (row,) = (line for line in reference().splitlines() if line.startswith("| `policy` |"))
    assert "| `wait` |" in row
