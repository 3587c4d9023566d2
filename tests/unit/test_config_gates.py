"""The keys of gates: what they mean, and every way to write them wrongly."""

import pytest

from lbctl.model.attested import VersionCheck, VersionIn
from lbctl.model.hook import Hook, NoAnswer, Point
from lbctl.model.names import ServiceName, UnitName
from lbctl.model.units import Span
from tests.unit.config_texts import SHOP, VALID, changed, config, faults

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


def test_hooks_of_a_service_and_of_a_unit() -> None:
    found = config(
        written("hooks: [{at: before_step, exec: [/gate, -q]}, {at: released, http: 'https://a.example/x'}]")
    )
    hooks = found.topology.services[ServiceName("web")].hooks
    assert hooks == (
        Hook(at=Point.BEFORE_STEP, argv=("/gate", "-q")),
        Hook(at=Point.RELEASED, url="https://a.example/x"),
    )
    assert found.topology.unit_of(ServiceName("web")).hooks == hooks
    steps, hook = "    steps: [1%, 100%]", "{at: preflight, exec: /g, timeout: 5s, no_answer: rollback}"
    shop = config(changed((steps, f"    hooks: [{hook}]\n{steps}"), text=SHOP)).topology
    wanted = (Hook(at=Point.PREFLIGHT, argv=("/g",), timeout=Span(5_000), no_answer=NoAnswer.ROLLBACK),)
    assert shop.units[UnitName("shop")].hooks == shop.services[ServiceName("accounts")].hooks == wanted


def test_a_smoke_hook_needs_a_preview_of_every_service_that_may_carry_the_split() -> None:
    hook, steps = "    hooks: [{at: smoke, exec: /smoke}]", "    steps: [1%, 100%]"
    unit = changed((steps, f"{hook}\n{steps}"), text=SHOP)
    what = "units.shop.hooks: a hook at smoke, and {} has no preview by which it could be asked; "
    then = "add `preview: {{networks: [127.0.0.1]}}` to services.{}, or write `at: preflight`"
    assert [one.partition(": ")[2] for one in faults(unit)] == [
        (what + then).format(name, name) for name in ("accounts", "storefront")
    ]
    listen = "    listen: 10.0.0.5:8000"
    half = unit.replace(listen, f"{listen}\n    preview: {{networks: [127.0.0.1]}}")
    assert ["accounts has no preview" in one for one in faults(half)] == [True]
    whole = half.replace(
        "    listen: 10.0.0.5:9000", "    listen: 10.0.0.5:9000\n    preview: {networks: [10.0.0.0/8]}"
    )
    assert config(whole).topology.units[UnitName("shop")].hooks[0].at is Point.SMOKE
    assert "web has no preview" in faults(written("hooks: [{at: smoke, exec: /smoke}]"))[0]
    assert config(written("preview: {networks: [127.0.0.1]}\n    hooks: [{at: smoke, exec: /smoke}]"))


BAD_HOOKS = [
    ("[{exec: /g}]", "26:13: services.web.hooks[0]: the key at is missing"),
    ("[{at: preflight}]", "26:13: services.web.hooks[0]: nothing to ask; give one of exec, http"),
    ("[{at: preflight, exec: /g, http: 'http://a'}]", "26:13: services.web.hooks[0]: both exec and http; "),
    (
        "[{at: step, exec: /g}]",
        "26:18: services.web.hooks[0].at: expected one of preflight, smoke, before_step, after_step, rolled_back, ",
    ),
    ("[{at: preflight, exec: g}]", "26:35: services.web.hooks[0].exec: 'g' is not the path of a program; "),
    ("[{at: preflight, http: ftp://a}]", "26:35: services.web.hooks[0].http: "),
    ("[{at: preflight, exec: /g, timeout: 30}]", "26:48: services.web.hooks[0].timeout: 30 has no unit; "),
    (
        "[{at: active, exec: /g, no_answer: hold}]",
        "26:47: services.web.hooks[0].no_answer: a hook at active is told and never waited for; delete it, "
        "or write at: preflight or smoke or before_step or after_step",
    ),
]


@pytest.mark.parametrize(("text", "expected"), BAD_HOOKS)
def test_a_fault_of_a_hook_is_told_at_its_place(text: str, expected: str) -> None:
    (found,) = faults(written(f"hooks: {text}"))
    assert found.startswith(f"lbctl.yaml:{expected}")
