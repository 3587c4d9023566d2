"""What a wait ends with: exit codes are what pipelines act on."""

from typing import Any

import pytest

from lbctl.cli.failure import MEANING, Exit, Failure
from lbctl.cli.waiting import GOALS, Reasons, outcome
from lbctl.daemon.why_line import why_line


def release(phase: str, back_by: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "7", "phase": phase, "back_by": back_by, "baked": phase in {"draining", "finished"}, **more}


@pytest.mark.parametrize(
    ("goal", "phase", "ended"),
    [
        ("started", "preflight", None),
        ("started", "shifting", Exit.DONE),
        ("started", "finished", Exit.DONE),
        ("baked", "preflight", None),
        ("baked", "shifting", None),
        ("baked", "baking", None),
        ("baked", "draining", Exit.DONE),
        ("baked", "finished", Exit.DONE),
        ("finished", "draining", None),
        ("finished", "finished", Exit.DONE),
    ],
)
def test_a_goal_is_reached_in_these_phases(goal: str, phase: str, ended: Exit | None) -> None:
    assert outcome(release(phase), goal) is ended


@pytest.mark.parametrize("goal", GOALS)
def test_a_release_that_a_newer_build_ended_is_superseded(goal: str) -> None:
    assert outcome(release("cancelled", "newer"), goal) is Exit.SUPERSEDED


@pytest.mark.parametrize("goal", GOALS)
def test_a_wait_for_approval_has_an_exit_code_of_its_own(goal: str) -> None:
    assert outcome(release("awaiting_approval"), goal) is None
    assert outcome(release("awaiting_approval"), goal, late=True) is Exit.AWAITS_APPROVAL


@pytest.mark.parametrize("goal", GOALS)
def test_the_way_back_is_told_by_who_wanted_it(goal: str) -> None:
    assert outcome(release("rolled_back", "itself"), goal) is Exit.BACK_BY_ITSELF
    assert outcome(release("rolled_back", "person"), goal) is Exit.BACK_BY_PERSON
    assert outcome(release("cancelled"), goal) is Exit.BACK_BY_PERSON


@pytest.mark.parametrize("goal", GOALS)
def test_a_release_that_is_going_back_is_followed_to_its_end_but_never_called_a_time_out(goal: str) -> None:
    assert outcome(release("rolling_back", "itself"), goal) is None
    assert outcome(release("rolling_back", "itself"), goal, late=True) is Exit.BACK_BY_ITSELF
    assert outcome(release("rolling_back", "person"), goal, late=True) is Exit.BACK_BY_PERSON


def test_time_out_is_22_and_only_where_nothing_is_decided() -> None:
    assert outcome(release("baking"), "baked", late=True) is Exit.TIMED_OUT
    assert outcome(release("draining"), "baked", late=True) is Exit.DONE


def test_every_exit_code_has_its_meaning() -> None:
    assert set(MEANING) == set(Exit)


def test_a_failure_is_what_why_next_on_a_line_each() -> None:
    failure = Failure("release 7\nis held", why="paused by uid 0", then="lbctl resume 7", exit_code=Exit.REFUSED)
    assert failure.render() == "error: release 7 is held\n  why   paused by uid 0\n  next  lbctl resume 7"
    assert Failure("short").render() == "error: short"


def line(code: str, needs: str = "", *, by_itself: bool = False) -> dict[str, Any]:
    return why_line(code, "something", 0, needs, by_itself=by_itself)


def test_a_reason_is_told_once_for_each_step_and_only_when_it_stands() -> None:
    reasons = Reasons()
    paused = [line("paused", "lbctl resume 7")]
    assert reasons.fresh("shifting 500", paused, 0.0) == []
    assert reasons.fresh("shifting 500", paused, 1.9) == []
    assert reasons.fresh("shifting 500", paused, 2.0) == paused
    assert reasons.fresh("shifting 500", paused, 3.0) == []
    assert reasons.fresh("shifting 2500", paused, 4.0) == []
    assert reasons.fresh("shifting 2500", paused, 6.0) == paused


def test_missing_traffic_is_no_news_while_time_is_missing() -> None:
    reasons = Reasons()
    both = [line("time", "time", by_itself=True), line("traffic", "traffic, or lbctl promote 7")]
    for now_s in (0.0, 5.0):
        assert reasons.fresh("shifting 500", both, now_s) == []
    assert reasons.fresh("shifting 500", both[1:], 6.0) == []
    assert reasons.fresh("shifting 500", both[1:], 8.0) == both[1:]


def test_what_an_event_said_is_not_said_again() -> None:
    reasons = Reasons()
    reasons.held("paused")
    for now_s in (0.0, 5.0):
        assert reasons.fresh("shifting 500", [line("paused", "lbctl resume 7")], now_s) == []


def test_what_comes_by_itself_is_no_news_and_words_decide_nothing() -> None:
    reasons, news = Reasons(), [line("board", "time"), line("drained", "lbctl undrain web/blue/blue-1")]
    for now_s in (0.0, 5.0):
        told = reasons.fresh("shifting 500", [*news, line("reaching", "the load balancers", by_itself=True)], now_s)
    assert told == news


def test_a_line_of_an_older_daemon_without_a_code_is_told() -> None:
    reasons, old = Reasons(), [{"what": "paused by uid 0", "since_ms": 0, "needs": "lbctl resume 7"}]
    assert [reasons.fresh("shifting 500", old, now_s) for now_s in (0.0, 5.0)] == [[], old]
