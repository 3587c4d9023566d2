"""What `explain`, `why` and `status` say of latency: judged, not yet, not now, or by the limits of a cold candidate."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from lbctl.core.evidence import WARM_UP
from lbctl.core.judge import Terms
from lbctl.core.situation import Situation, situation
from lbctl.core.state import State
from lbctl.daemon.explain import explained
from lbctl.daemon.timing_view import cold_words
from lbctl.daemon.views import service_view, why_view
from lbctl.model.units import Span, after
from lbctl.sim.world import SERVICE
from tests.scenarios.stage import Stage

COLD = "latency: cold limits for another "


@pytest.fixture(scope="module")
def state() -> State:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s", "switch steps 5%,100% hold 60s", "until reached 5%"):
        stage.do(line)
    stage.do("run 2s")
    assert stage.world.process is not None
    state = stage.world.process.state
    (name,) = state.progress
    progress = state.progress[name]
    timed = replace(progress, account=replace(progress.account, terms=Terms(latency=True)))
    return replace(state, progress={name: timed})


def here(state: State, later: Span = Span(0)) -> Situation:
    found = situation(state, SERVICE, after(state.changed_at, later))
    assert found is not None
    return found


def told(now: Situation, doubts: Sequence[str] = ()) -> list[str]:
    return [line for line in explained(now.release, now, [], doubts)["not"] if line.startswith("latency")]


def test_latency_is_judged_by_cold_limits_first_and_then_in_full(state: State) -> None:
    odds, cold = told(here(state))
    assert odds.startswith("latency judged: odds slow50 ")
    assert cold.startswith(COLD)
    assert told(here(state, Span(2 * WARM_UP)))[1:] == []


def test_what_is_not_judged_now_is_not_called_judged(state: State) -> None:
    assert told(here(state), ["lb1: lines are missing"]) == ["latency not judged now: lb1: lines are missing"]


def test_without_a_request_nothing_is_called_judged(state: State) -> None:
    now = here(state)
    assert now.progress is not None
    account = replace(now.progress.account, step=type(now.progress.account.step)())
    idle = replace(now, progress=replace(now.progress, account=account))
    assert told(idle) == ["latency not judged yet: the candidate got no request at this share"]


def test_status_and_why_say_that_the_limits_are_cold(state: State) -> None:
    now = here(state)
    view = service_view(state, state.topology.services[SERVICE], now, now.at)
    assert cold_words(now) in view["verdict"]["reason"]
    assert cold_words(now) in [line["what"] for line in why_view(state, now.release, now.at)["lines"]]


def test_a_bake_says_when_it_ends_and_an_end_is_written_as_people_write(state: State) -> None:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s", "switch steps 5%,100% hold 1s bake 60s"):
        stage.do(line)
    stage.do("until baking")
    assert stage.world.process is not None
    state = stage.world.process.state
    release = state.record.releases[SERVICE]
    (first, *_) = why_view(state, release, state.changed_at)["lines"]
    assert (first["deadline"], first["then"]) == ("in 1m", "green becomes active, unless it is held")
    stage.do("rollback")
    stage.do("until rolled_back")
    state = stage.world.process.state
    (line,) = why_view(state, state.record.releases[SERVICE], state.changed_at)["lines"]
    assert line["what"].startswith("ended: rolled back. ")
