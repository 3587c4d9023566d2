"""What status, why and plan say of sessions: what happens to them, until when, and where nobody counts them."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from lbctl.control.plananswers import PlanAnswer
from lbctl.control.sessionanswers import SessionsView
from lbctl.core.state import State
from lbctl.daemon.session_view import sessions
from lbctl.daemon.unit_plan import member_plan_view
from lbctl.model.names import Colour
from lbctl.model.reading import InstanceReading
from lbctl.model.record import PoolState
from lbctl.model.sessions import AtDeadline, Attendance, Leaving, SessionPolicy
from lbctl.model.topology import Plan, Protocol, RequestLog
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
