"""What `lbctl plan` says of a plan at the traffic of the moment, as JSON and as a screen."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lbctl.cli.output import clean
from lbctl.cli.screens.release import plan_screen
from lbctl.control.bodies import PlanBody
from lbctl.control.plananswers import PlanAnswer
from lbctl.control.plans import overlaid
from lbctl.core.judge.latency import Speed
from lbctl.core.judge.learned import Bursts, Fading, Learned
from lbctl.core.state import State
from lbctl.daemon.preview import plan_view
from lbctl.model.operation import Capabilities
from lbctl.model.reading import Timing
from lbctl.model.topology import Plan, PlanMode, Service
from lbctl.model.units import MINUTE, SECOND, Instant, Span
from lbctl.sim.world import SERVICE
from tests.scenarios.stage import Stage

Json = dict[str, Any]


@pytest.fixture
def state() -> State:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s"):
        stage.do(line)
    assert stage.world.process is not None
    return stage.world.process.state


def busy(rps: float, known_s: float = 86_400.0, **more: Any) -> Learned:
    """Active watched for a day at that rate, 0.1 % bad."""
    hour = Fading(3_600 * rps, 3.6 * rps, 3_600.0)
    return Learned(
        known_s=known_s, baseline=hour, traffic=Fading(300 * rps, 0.3 * rps, 300.0), error=Bursts(variance=1e3), **more
    )


def planned(
    state: State, learned: Learned | None, *, mode: PlanMode = PlanMode.WARN, plan: Plan | None = None, **more: Any
) -> Json:
    service = configured(state, mode)
    state = replace(state, learned={} if learned is None else {SERVICE: learned})
    return plan_view(state, service, None, plan or Plan(), "2.0.0", more.get("able", {}))


def configured(state: State, mode: PlanMode) -> Service:
    service = state.topology.services[SERVICE]
    return replace(service, judge=replace(service.judge, plan=mode))


def codes(told: list[Json]) -> set[str]:
    return {one["code"] for one in told}


def test_every_answer_has_the_form_the_api_promises(state: State) -> None:
    for learned in (None, busy(5), busy(0), busy(1e-5), busy(5_000)):
        for mode in PlanMode:
            view = planned(state, learned, mode=mode)
            msgspec.convert(view, PlanAnswer)
            msgspec.json.encode(view)
            for line in plan_screen(clean(view)).split("\n"):
                assert line.isprintable(), line


def test_each_step_says_what_it_needs_and_sees(state: State) -> None:
    view = planned(state, busy(5))
    assert [step["share_bp"] for step in view["steps"]] == [100, 500, 2_500, 5_000, 10_000]
    needs = [step["needed_s"] for step in view["steps"]]
    assert needs[:4] == sorted(needs[:4], reverse=True)
    assert needs[4] is None
    assert view["steps"][3]["sees_ratio"] < view["steps"][1]["sees_ratio"]
    assert view["steps"][2]["text"].startswith("5 % → 25 %, hold 2m: to see 2 % it must last ")
    assert view["traffic"]["rps"] == pytest.approx(5)
    assert view["traffic"]["dispersion_from"] == "learned"
    assert "STEP_TOO_SHORT" in codes(view["warnings"])
    assert view["refusals"] == []


def test_the_command_of_the_better_plan_is_a_plan_that_sees_enough(state: State) -> None:
    better = planned(state, busy(50))["better"]
    words = better["command"].split()
    options = dict(zip(words[3::2], words[4::2], strict=True))
    assert words[:3] == ["lbctl", "switch", SERVICE]
    assert options["--version"] == "2.0.0"
    body = PlanBody(SERVICE, steps=options["--steps"].split(","), hold=options["--hold"], bake=options["--bake"])
    taken = overlaid(Plan(), body)
    assert taken.bake == Plan().bake
    again = planned(state, busy(50), plan=taken, mode=PlanMode.STRICT)
    assert (again["better"], again["refusals"]) == (None, [])
    assert "STEP_TOO_SHORT" not in codes(again["warnings"])


def test_unknown_traffic_is_said_and_nothing_is_made_up(state: State) -> None:
    for learned in (None, Learned(known_s=30.0)):
        view = planned(state, learned)
        assert view["traffic"] is None
        assert view["better"] is None
        assert {(step["needed_s"], step["sees_ratio"], step["evidence"]) for step in view["steps"]} == {(None, None, 0)}
        assert {"TRAFFIC_NOT_KNOWN", "BASELINE_OFF", "DISPERSION_ASSUMED"} <= codes(view["warnings"])


def test_strict_refuses_what_warn_only_tells(state: State) -> None:
    assert codes(planned(state, busy(5), mode=PlanMode.STRICT)["refusals"]) == {"plan_too_short"}
    assert codes(planned(state, None, mode=PlanMode.STRICT)["refusals"]) == {"traffic_not_known"}
    assert planned(state, busy(100_000), mode=PlanMode.STRICT)["refusals"] == []


def test_auto_lasts_until_the_planned_requests_are_there(state: State) -> None:
    auto, warn = planned(state, busy(200), mode=PlanMode.AUTO), planned(state, busy(200))
    assert all(step["evidence"] > 500 for step in auto["steps"][:4])
    assert [step["evidence"] for step in warn["steps"]] == [0] * 5
    assert auto["total_min_ms"] > warn["total_min_ms"]
    assert "STEP_TOO_SHORT" not in codes(auto["warnings"])


def test_latency_is_judged_only_where_times_are_known(state: State) -> None:
    assert "LATENCY_NOT_JUDGED" in codes(planned(state, busy(50))["warnings"])
    timed = busy(50, speed=Speed({100: 1_000.0}))
    assert "LATENCY_NOT_JUDGED" not in codes(planned(state, timed)["warnings"])


def test_a_plan_says_where_latency_is_not_judged_now_or_only_by_cold_limits(state: State) -> None:
    lane = (state.topology.instances_of(SERVICE)[0], SERVICE)
    timing = Timing(source="lines", taken_at=Instant(0), pools={}, sampled=True, lost=40)
    lossy = replace(state, observed=replace(state.observed, timing={lane: timing}))
    timed, short = busy(50, speed=Speed({100: 1_000.0})), Plan(hold_min=Span(30 * SECOND))
    told = next(one for one in planned(lossy, timed)["warnings"] if one["code"] == "REQUEST_LOG_SAMPLED")
    assert told["text"].startswith(f"{lane[0]}: over 1 % of the request lines of {SERVICE} are missing (40 so far)")
    assert "LATENCY_COLD" in codes(planned(state, timed, plan=short)["warnings"])
    assert not {"LATENCY_COLD", "REQUEST_LOG_SAMPLED"} & codes(planned(state, timed)["warnings"])


def test_a_plan_in_the_middle_of_a_release_names_no_writes(state: State) -> None:
    assert planned(state, busy(50))["writes"]
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s", "switch", "run 1s"):
        stage.do(line)
    assert stage.world.process is not None
    going = planned(stage.world.process.state, busy(50))
    assert (codes(going["refusals"]), going["writes"]) == ({"in_release"}, [])


def test_a_short_past_leaves_the_baseline_and_the_dispersion_out(state: State) -> None:
    view = planned(state, busy(50, known_s=300.0))
    assert {"BASELINE_OFF", "DISPERSION_ASSUMED"} <= codes(view["warnings"])
    assert view["traffic"]["dispersion_from"] == "assumed"
    assert not {"BASELINE_OFF", "DISPERSION_ASSUMED"} & codes(planned(state, busy(50))["warnings"])


def test_steps_below_the_grain_of_a_load_balancer_are_not_ready_and_others_told(state: State) -> None:
    able = {name: Capabilities(version="x", share_grain_bp=1_000) for name in state.topology.instances_of(SERVICE)}
    view = planned(state, busy(50), able=able, plan=Plan(steps_bp=(500, 2_500, 5_000, 10_000)))
    assert codes(view["unready"]) == {"SHARE_FLOOR"}
    assert "5 % cannot be met" in view["unready"][0]["text"]
    told = next(one for one in view["warnings"] if one["code"] == "SHARE_GRAIN")
    assert told["text"].endswith("in grains of 10 %: 25 % is rounded")


def test_the_screen_shows_the_traffic_and_the_better_plan(state: State) -> None:
    shown = plan_screen(clean(planned(state, busy(5), plan=Plan(hold_min=Span(5 * MINUTE)))))
    assert "\n     at 5 rps, active 0.1 % bad, dispersion 1 (learned); `sees` is with 90 % power\n" in shown
    assert "\n  better by 25 %, 50 %, 100 %, each held 18m" in shown
    assert f"\n         lbctl switch {SERVICE} --steps 25%,50%,100% --hold 18m --bake 10m --version 2.0.0\n" in shown


def test_the_better_plans_command_waits_for_what_refuses_this_one(state: State) -> None:
    view = clean(planned(state, busy(5), plan=Plan(hold_min=Span(5 * MINUTE))))
    command = f"lbctl switch {SERVICE} --steps 25%,50%,100%"
    refused = {**view, "refusals": [{"code": "in_unit", "text": "it goes with its unit"}]}
    assert f"as soon as nothing refuses it: {command}" in plan_screen(refused)
    strict = {**view, "refusals": [{"code": "plan_too_short", "text": "a fault may pass unseen"}]}
    assert f"         {command}" in plan_screen(strict)
