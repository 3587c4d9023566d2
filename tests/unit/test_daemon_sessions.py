"""What status, why and plan say of sessions: what happens to them, until when, and where nobody counts them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lbctl.cli.screens.release import plan_screen
from lbctl.control.plananswers import PlanAnswer
from lbctl.control.sessionanswers import SessionsView
from lbctl.core.state import State
from lbctl.daemon.session_view import sessions
from lbctl.daemon.unit_plan import member_plan_view
from lbctl.model.names import Colour
from lbctl.model.reading import InstanceReading
from lbctl.model.record import PoolState
from lbctl.model.sessions import AtDeadline, Attendance, Leaving, SessionPolicy
from lbctl.model.topology import Plan, Protocol, RequestLog, SessionsBack
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span
from lbctl.sim.world import SERVICE
from tests.scenarios.stage import Stage

Json = dict[str, Any]
MOVES = SessionPolicy(per_second=20, deadline=Span(30 * MINUTE))


@pytest.fixture(scope="module")
def rested() -> State:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s"):
        stage.do(line)
    assert stage.world.process is not None
    return stage.world.process.state


def now_of(state: State) -> Instant:
    """When the load balancers were last read."""
    return max(one.taken_at for one in state.observed.instances.values() if isinstance(one, InstanceReading))


def leaving(state: State, **more: Any) -> State:
    """Green drains: its sessions leave it since a minute at 20 a second."""
    now = now_of(state)
    began = Instant(now - MINUTE)
    known: Json = {"per_second": 20, "began_at": began, "paced_at": now, "deadline": Instant(began + 30 * MINUTE)}
    pool = replace(state.record.services[SERVICE].green, state=PoolState.DRAINING, leaving=Leaving(**known | more))
    adopted = state.record.services[SERVICE].with_pool(Colour.GREEN, replace(pool, keep_bp=BP_FULL))
    return replace(state, record=state.record.with_service(SERVICE, adopted))


def counted(state: State, *buckets: int) -> State:
    """Every load balancer has watched for two minutes who comes to blue and green."""
    now = now_of(state)
    here = {Colour.BLUE: buckets, Colour.GREEN: buckets}
    one = Attendance(grain=BP_FULL, since=Instant(now - 2 * MINUTE), buckets=here, remembered=here, taken_at=now)
    found = {(instance, SERVICE): one for instance in state.topology.instances_of(SERVICE)}
    return replace(state, observed=replace(state.observed, sessions=found))


def blind(state: State) -> State:
    return replace(state, observed=replace(state.observed, sessions={}))


def shown(state: State) -> Json:
    view = sessions(state, SERVICE, now_of(state))["green"]
    msgspec.convert(view, SessionsView)
    found = view["leaving"]
    assert isinstance(found, dict)
    return found


def planned(state: State, policy: SessionPolicy = MOVES, plan: Plan | None = None, **more: Any) -> Json:
    service = replace(state.topology.services[SERVICE], sessions=policy, **more)
    state = replace(state, topology=replace(state.topology, services={SERVICE: service}))
    view = member_plan_view(state, service, None, plan or Plan(), "2.0.0", {}, now_of(state))
    msgspec.convert(view, PlanAnswer)
    return view


def logging(state: State) -> State:
    """The same where the load balancers are told to send request lines."""
    planes = {name: replace(one, request_log=RequestLog("/run/x")) for name, one in state.topology.planes.items()}
    return replace(state, topology=replace(state.topology, planes=planes))


def warned(view: Json, code: str) -> list[str]:
    return [one["text"] for one in view["warnings"] if one["code"] == code]


def test_sessions_that_nobody_counts_go_in_equal_parts_and_it_is_said_until_when_and_why(rested: State) -> None:
    view = shown(leaving(blind(rested)))
    assert (view["pace"], view["ends_in_ms"], view["left"]) == ("equal_parts", 29 * MINUTE, None)
    assert view["text"] == (
        "sessions not counted, move 20/s: nobody counts them (data plane edge has no request_log), so in equal parts: "
        "the last at the deadline in 29m; at the deadline in 29m: keep"
    )
    silent = shown(leaving(blind(logging(rested))))["uncounted"]
    assert "(edge/lb1 tells nothing of who comes now)" in silent


def test_at_the_deadline_of_a_closing_the_equal_parts_have_their_own_end(rested: State) -> None:
    now = now_of(rested)
    over: Json = {"deadline": Instant(now - 15 * SECOND), "at_deadline": AtDeadline.CLOSE, "closing": True}
    view = shown(leaving(blind(rested), **over))
    assert (view["pace"], view["ends_in_ms"]) == ("equal_parts", 45 * SECOND)
    assert view["text"].endswith("the last in 45s; the deadline is over: what is connected after that is closed")
    assert "in 0s" not in view["text"]


def test_sessions_that_are_counted_or_wait_are_no_equal_parts(rested: State) -> None:
    view = shown(leaving(counted(rested, *range(0, 4000, 100))))
    assert (view["pace"], view["uncounted"], view["left"], view["ends_in_ms"]) == ("rate", "", 40, 2 * SECOND)
    assert "about 40 sessions left, move 20/s: none in about 2s" in view["text"]
    waits = shown(leaving(blind(rested), per_second=None))
    assert (waits["pace"], waits["uncounted"]) == ("own_end", "")


def test_a_plan_warns_where_nobody_counts_the_sessions_that_a_rate_would_move(rested: State) -> None:
    (text,) = warned(planned(blind(rested)), "SESSIONS_NOT_COUNTED")
    assert text.endswith(
        "with move 20/s they go in equal parts until the deadline, 30m after the bake, and no rate is kept; set "
        "request_log of data plane edge"
    )
    for state, policy, more in (
        (counted(rested, 1), MOVES, {}),
        (blind(rested), SessionPolicy(), {}),
        (blind(rested), MOVES, {"protocol": Protocol.TCP}),
    ):
        assert not warned(planned(state, policy, **more), "SESSIONS_NOT_COUNTED")


def test_a_plan_says_how_many_sessions_there_are_how_they_go_and_how_long_that_takes(rested: State) -> None:
    view = planned(counted(rested, *range(0, 4000, 100)))["sessions"]
    assert (view["pool"], view["policy"], view["count"], view["lasts_ms"]) == ("blue", "move", 40, 2 * SECOND)
    assert view["text"] == (
        "about 40 sessions now; after the bake 20 of them move a second: about 2s, deadline 30m: what is left stays"
    )
    short = SessionPolicy(per_second=1, deadline=Span(30 * SECOND), at_deadline=AtDeadline.CLOSE)
    late = planned(counted(rested, *range(0, 4000, 100)), short)["sessions"]
    assert late["lasts_ms"] == 30 * SECOND
    assert late["text"].endswith(
        "not all by the deadline, deadline 30s: what is left is moved, then its connections are closed"
    )


def test_a_plan_makes_up_no_sessions_and_no_time(rested: State) -> None:
    blindly = planned(blind(rested))["sessions"]
    assert (blindly["count"], blindly["lasts_ms"]) == (None, 30 * MINUTE)
    assert "they go in equal parts until the deadline" in blindly["text"]
    waits = planned(counted(rested, 7), SessionPolicy())["sessions"]
    assert (waits["policy"], waits["lasts_ms"]) == ("wait", None)
    assert waits["text"].startswith("about 1 session now; after the bake each stays until it has not come to blue for ")
    assert planned(blind(rested), protocol=Protocol.GRPC)["sessions"] is None


@pytest.mark.parametrize(
    ("goes", "policy", "words"),
    [
        (SessionsBack.AUTO, MOVES, "move at once if it cannot serve, move at 20/s if it is slow, else stay"),
        (SessionsBack.AUTO, SessionPolicy(), "move at once if it cannot serve, else stay (a person's rollback)"),
        (SessionsBack.DRAIN, MOVES, "the candidate's move at 20/s"),
        (SessionsBack.DRAIN, SessionPolicy(), "the candidate's stay"),
        (SessionsBack.KEEP, MOVES, "the candidate's stay until they end"),
        (SessionsBack.MOVE, MOVES, "the candidate's move at once"),
    ],
)
def test_a_plan_says_what_a_rollback_does_with_sessions(
    rested: State, goes: SessionsBack, policy: SessionPolicy, words: str
) -> None:
    view = planned(blind(rested), policy, Plan(sessions_back=goes))
    assert view["sessions"]["on_rollback"] == goes.value
    screen = plan_screen(view)
    assert "\n  sessions of blue: sessions not counted" in screen
    assert "\n           on a rollback: " in screen
    assert words in screen
