"""The lines `lbctl judge` reads may hold anything: each is judged or refused with its field and the next step."""

import json
from contextlib import suppress
from dataclasses import fields
from math import isfinite
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.cli.counterlines import EXAMPLE, Fault, Opening, Tick, line_of
from lbctl.cli.judging import Judging
from lbctl.core.judge import Account, Counts, Sample, Settings, judge, new_step

Json = dict[str, Any]


def tick(t: float = 1.0, candidate: tuple[int, int] = (10, 0), active: tuple[int, int] = (90, 0), **more: Any) -> Json:
    error = {"candidate": list(candidate), "active": list(active)}
    return {"t": t, "dt": 1.0, "share_bp": 1000, "streams": {"error": error}, **more}


def read(value: Json, *, first: bool = False) -> Opening | Tick:
    return line_of(json.dumps(value).encode(), first=first)


def verdicts(opening: Json | None, *ticks: Json) -> list[Json]:
    judging = Judging()
    if opening is not None:
        found = read(opening, first=True)
        assert isinstance(found, Opening)
        judging.open(found)
    told = []
    for one in ticks:
        line = read(one)
        assert isinstance(line, Tick)
        told.append(judging.verdict(line))
    return told


def refused(value: Json | str, *, first: bool = False) -> tuple[str, str]:
    raw = value.encode() if isinstance(value, str) else json.dumps(value).encode()
    with pytest.raises(Fault) as fault:
        taken(raw, first=first)
    assert fault.value.then
    return str(fault.value), fault.value.then


def taken(raw: bytes, *, first: bool) -> None:
    found = line_of(raw, first=first)
    if isinstance(found, Opening):
        Judging().open(found)


ERROR = {"candidate": [10, 0], "active": [90, 0]}


@pytest.mark.parametrize(
    ("line", "what", "then"),
    [
        ({"t": 1}, "object missing required field `dt`", EXAMPLE),
        (tick(share_bp=10_001), "share_bp: expected `int` <= 10000", EXAMPLE),
        (tick(share_bp=99.5), "share_bp: expected `int`, got `float`", EXAMPLE),
        (tick(dt=-1), "dt: expected `float` >= 0.0", EXAMPLE),
        (tick(t="1"), "t: expected `float`, got `str`", EXAMPLE),
        (tick(candidate=(-1, 0)), "streams.error.candidate[0]: expected `int` >= 0", "write [total, bad]"),
        (tick(candidate=(10**13, 0)), "streams.error.candidate[0]: expected `int` <= 1000000", "write [total, bad]"),
        (tick(candidate=(10**40, 0)), "streams.error.candidate[0]: ", "write [total, bad]"),
        (tick(active=(3, 90)), "streams.error.active: 90 bad of 3 requests", "write [total, bad], as in [120, 3]"),
        (tick(streams={"error": {"candidate": [1]}}), "streams.error.candidate: expected `array` of length 2", EXAMPLE),
        (tick(streams={"error": ERROR, "slow90": ERROR}), "streams: there is no slow90", "did you mean slow9"),
        (tick(streams={"slow50": ERROR}), "streams: object missing required field `error`", EXAMPLE),
        (tick(streams={"error": {**ERROR, "activ": [1, 0]}}), "streams.error: there is no activ", "mean active?"),
        (tick(servers={"a-1": [1, 2]}), "servers.a-1: 2 bad of 1 requests", "write [total, bad]"),
        (tick(candidat_down=True), "there is no candidat_down", "did you mean candidate_down?"),
        (tick(candidate_down="no"), "candidate_down: expected `bool`, got `str`", EXAMPLE),
        ('{"t": NaN}', "not JSON", "numbers as 12 or 0.5"),
        ('{"t": 1e999, "dt": 1, "share_bp": 1, "streams": null}', "t: number out of range", EXAMPLE),
        ("[1, 2]", "expected `object`, got `array`", EXAMPLE),
        ("t=12.0 dt=1", "not JSON", EXAMPLE),
        ("[" * 100_000, "", ""),
        ("\x00\xff", "not JSON", EXAMPLE),
    ],
)  # fmt: skip
def test_a_line_that_is_no_tick_is_refused_with_its_field_and_the_next_step(
    line: Json | str, what: str, then: str
) -> None:
    told = refused(line)
    assert told[0].startswith(what)
    assert then in told[1]


@pytest.mark.parametrize(
    ("line", "what", "then"),
    [
        ({"baselin": {}}, "there is no baselin", "did you mean baseline?"),
        ({"baseline": {"eror": [1, 0]}}, "baseline: there is no eror", "did you mean error?"),
        ({"baseline": {"error": [10, 20]}}, "baseline.error: 20 bad of 10 requests", "write [total, bad]"),
        ({"dispersion": {"error": 0.5}}, "dispersion.error: expected `float` >= 1.0", ""),
        ({"horizon_s": -1}, "horizon_s: expected `float` >= 0.0", ""),
        ({"settings": {"false_rolback": 0.1}}, "settings.false_rolback: there is no such", "mean false_rollback?"),
        ({"settings": {"false_rollback": 2}}, "settings.false_rollback: 2.0 is out of range", "0.5"),
        ({"settings": {"margin_rel": 0}}, "settings.margin_rel: 0.0 is out of range", "0.01..100"),
        ({"settings": {"blind_limit_s": "1m"}}, "settings.blind_limit_s: Expected `float | null`", "default"),
        ({"settings": {"evidence_min": True}}, "settings.evidence_min: Expected `int`, got `bool`", "default"),
        ({"settings": {"retreat_above_bp": 20_000}}, "settings.retreat_above_bp: 20000 is out of range", "0..10000"),
    ],
)  # fmt: skip
def test_an_opening_that_cannot_be_is_refused_at_once(line: Json, what: str, then: str) -> None:
    told = refused(line, first=True)
    assert told[0].startswith(what)
    assert then in told[1]


def test_only_the_first_line_may_open() -> None:
    assert isinstance(read({"settings": {}}, first=True), Opening)
    assert isinstance(read({}, first=True), Opening)
    assert isinstance(read(tick(), first=True), Tick)
    assert refused({"settings": {}})[0].startswith("there is no settings")


def test_every_setting_of_the_judge_can_be_set() -> None:
    for field in fields(Settings):
        value = getattr(Settings(), field.name)
        judging = Judging()
        found = read({"settings": {field.name: value}}, first=True)
        assert isinstance(found, Opening)
        judging.open(found)


def test_the_verdicts_are_those_of_the_judge() -> None:
    settings = Settings(horizon_s=600.0, dispersion=1.0)
    account = new_step(Account.fresh(settings), settings, share_bp=1000)
    ticks = [tick(float(t), (10, int(t > 5)), (90, 0)) for t in range(12)]
    told = verdicts({"horizon_s": 600, "dispersion": {"error": 1.0}}, *ticks)
    for one, said in zip(ticks, told, strict=True):
        error = one["streams"]["error"]
        sample = Sample(1.0, 1000, Counts(*error["candidate"]), Counts(*error["active"]), active_probed_healthy=True)
        account, expected = judge(account, sample, settings)
        assert (said["verdict"], said["code"], said["reason"]) == (
            expected.word.value,
            expected.code,
            expected.reason,
        )
        assert said["odds"] == expected.odds


def test_another_share_begins_a_new_step() -> None:
    told = verdicts(None, tick(1.0), tick(2.0), tick(3.0, (2, 0), (8, 0), share_bp=2000))
    assert [one["code"] for one in told] == ["ok", "ok", "not_enough_evidence"]


def test_counters_that_cannot_be_read_hold_and_then_go_back_by_the_limit_that_was_set() -> None:
    blind = [tick(float(t), dt=1.0) | {"streams": None} for t in range(8)]
    told = verdicts({"settings": {"blind_limit_s": 6, "blind_alert_s": 5}}, *blind)
    assert [one["verdict"] for one in told[3:]] == ["hold", "hold", "rollback", "rollback", "rollback"]
    told = verdicts({"settings": {"blind_limit_s": 6}}, *(one | {"active_down": True} for one in blind))
    assert {one["verdict"] for one in told[3:]} == {"hold"}


def test_a_dead_candidate_goes_back_at_once() -> None:
    assert verdicts(None, tick(candidate_down=True))[0]["code"] == "candidate_dead"


def test_a_baseline_lets_a_candidate_at_a_high_share_retreat() -> None:
    ticks = [tick(float(t), (500, 30), (5, 0), share_bp=9900) for t in range(3)]
    told = verdicts({"baseline": {"error": [1_000_000, 1_000]}}, *ticks)
    assert "retreat" in {one["verdict"] for one in told}
    assert "retreat" not in {one["verdict"] for one in verdicts(None, *ticks)}


def test_slow_requests_are_judged_where_the_first_tick_has_them() -> None:
    slow = {"candidate": [100, 60], "active": [900, 0]}
    timed = [tick(float(t), (100, 0), (900, 0)) for t in range(6)]
    for one in timed:
        one["streams"]["slow50"] = slow
    assert "latency" in {one["code"] for one in verdicts(None, *timed)}
    judging = Judging()
    first, later = read(tick()), read({**timed[2]})
    assert isinstance(first, Tick)
    assert isinstance(later, Tick)
    judging.verdict(first)
    assert judging.unjudged(later)
    assert not judging.unjudged(later)


def test_time_never_runs_backwards() -> None:
    with pytest.raises(Fault, match=r"t: 1 is before 2 of the line before"):
        verdicts(None, tick(2.0), tick(2.0), tick(1.0))


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_taken_or_refused(raw: bytes, first: bool) -> None:
    with suppress(Fault):
        taken(raw, first=first)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats() | st.text(max_size=5),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=5), below, max_size=3),
    max_leaves=8,
)
names = st.sampled_from(
    ["t", "dt", "share_bp", "streams", "servers", "baseline", "dispersion", "horizon_s", "settings"]
)


@given(st.dictionaries(names, values, max_size=6), st.booleans())
def test_any_object_is_taken_or_refused(value: Json, first: bool) -> None:
    with suppress(Fault):
        taken(json.dumps(value).encode(), first=first)


counted = st.integers(0, 10**12).flatmap(lambda total: st.tuples(st.just(total), st.integers(0, total)))
colours = st.fixed_dictionaries({"candidate": counted, "active": counted})
SLOW = ("slow50", "slow95", "slow99")
any_ticks = st.lists(
    st.fixed_dictionaries(
        {
            "dt": st.floats(0, 1e9),
            "share_bp": st.integers(0, 10_000),
            "streams": st.none()
            | st.fixed_dictionaries({"error": colours}, optional=dict.fromkeys(SLOW, colours)),
        },
        optional={
            "servers": st.dictionaries(st.sampled_from("abc"), counted),
            "candidate_down": st.booleans(),
            "active_down": st.booleans(),
            "panic": st.booleans(),
        },
    ),
    min_size=1,
    max_size=8,
)  # fmt: skip
openings = st.fixed_dictionaries(
    {},
    optional={
        "baseline": st.fixed_dictionaries({"error": counted}),
        "dispersion": st.fixed_dictionaries({"error": st.floats(1, 1_000), "slow95": st.floats(1, 1_000)}),
        "horizon_s": st.floats(0, 1e9),
        "settings": st.fixed_dictionaries(
            {},
            optional={
                "false_rollback": st.floats(1e-9, 0.5),
                "margin_abs": st.floats(0, 0.9),
                "margin_rel": st.floats(0.01, 100),
                "active_limit": st.floats(1e-6, 0.9),
                "blind_limit_s": st.none() | st.floats(0, 1e9),
                "evidence_min": st.integers(0, 10**9),
                "retreat_above_bp": st.integers(0, 10_000),
            },
        ),
    },
)


@given(openings, any_ticks)
def test_whatever_is_accepted_is_judged_with_finite_numbers(opening: Json, ticks: list[Json]) -> None:
    for said in verdicts(opening, *({"t": float(index), **one} for index, one in enumerate(ticks))):
        assert isfinite(said["odds"])
        assert said["verdict"] in {"advance", "hold", "retreat", "rollback"}
        assert said["reason"]
