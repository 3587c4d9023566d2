"""The keys of gates: what they mean, and every way to write them wrongly."""

import pytest

from lbctl.model.attested import VersionCheck, VersionIn
from lbctl.model.names import ServiceName
from tests.unit.config_texts import VALID, changed, config, faults

STEPS = "    steps: [1%, 25%, 100%]"
HOW = "as in {http: /version, json: version}"


def written(key: str) -> str:
    return changed((STEPS, f"    {key}\n{STEPS}"))


@pytest.mark.parametrize(
    ("section", "check"),
    [
        (
            "{http: /version, json: version}",
            VersionCheck(path="/version", tls=False, where=VersionIn.JSON, name="version"),
        ),
        (
            "{https: /v, header: X-Version, port: 9443, host: app.example}",
            VersionCheck(path="/v", tls=True, where=VersionIn.HEADER, name="X-Version", port=9443, host="app.example"),
        ),
        ("{http: /version.txt, text: true}", VersionCheck(path="/version.txt", tls=False, where=VersionIn.TEXT)),
    ],
)
def test_how_servers_are_asked_for_their_version(section: str, check: VersionCheck) -> None:
    found = config(written(f"version: {section}"))
    assert found.topology.services[ServiceName("web")].version == check
    assert found.topology.services[ServiceName("accounts")].version is None


BAD = [
    ("{json: version}", f"26:14: services.web.version: no way to ask; give one of http, https, {HOW}"),
    (
        "{http: /version}",
        f"26:14: services.web.version: no place of the version; give one of json, header, text, {HOW}",
    ),
    (
        "{http: /a, https: /b, text: true}",
        f"26:14: services.web.version: http, https at once; give one of http, https, {HOW}",
    ),
    (
        "{http: /a, json: v, text: true}",
        f"26:14: services.web.version: json, text at once; give one of json, header, text, {HOW}",
    ),
    (
        "{http: /a, text: false}",
        "26:31: services.web.version.text: expected true, not 'false'; write true, or leave the key out",
    ),
    (
        "{http: /a, json: a..b}",
        "26:31: services.web.version.json: 'a..b' is not a field of the answer; "
        "write its name, as in version, or build.version for one inside another",
    ),
    (
        "{http: a, text: true}",
        "26:21: services.web.version.http: 'a' is not a path; begin with / and use no blanks, as in /healthz",
    ),
    ("{http: /a, jsn: version}", "26:25: services.web.version.jsn: unknown key; did you mean json?"),
    (
        "/version",
        "26:14: services.web.version: expected a mapping, not '/version'; "
        "its keys are: http, https, json, header, text, port, host",
    ),
]


@pytest.mark.parametrize(("section", "expected"), BAD)
def test_a_fault_is_told_at_its_place_with_the_next_step(section: str, expected: str) -> None:
    assert faults(written(f"version: {section}")) == [f"lbctl.yaml:{expected}"]


def test_a_config_without_it_shows_no_trace_of_it() -> None:
    assert "version" not in config(VALID).effective["services"]["web"]
