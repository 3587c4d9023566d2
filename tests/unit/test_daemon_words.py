"""What status and plan say is what the decisions go by: refused, not ready, up and down mean the same everywhere."""

from dataclasses import replace
from typing import Any

import pytest

from lbctl.cli.screens.blocks import pool_rows
from lbctl.core.requests import admit
from lbctl.core.situation import situation
from lbctl.core.state import State
from lbctl.core.wellness import wellness
from lbctl.daemon.preview import plan_view
from lbctl.daemon.views import service_view
from lbctl.model.names import Colour, InstanceName
from lbctl.model.operation import Ability, Capabilities
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.request import Switch
from lbctl.model.sessions import AtDeadline
from lbctl.model.topology import Plan
from lbctl.model.units import Instant
from lbctl.sim.world import SERVERS, SERVICE
from tests.scenarios.stage import Stage

Json = dict[str, Any]
FINE = Capabilities(version="haproxy 2.6")


def after(*lines: str) -> State:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s", *lines):
        stage.do(line)
    assert stage.world.process is not None
    return stage.world.process.state


def planned(state: State, able: Capabilities | str | None = FINE) -> Json:
    names = state.topology.instances_of(SERVICE)
    known = {} if able is None else dict.fromkeys(names, able)
    return plan_view(state, state.topology.services[SERVICE], None, Plan(), "2.0.0", known)


def codes(told: list[Json]) -> list[str]:
    return [one["code"] for one in told]


def reading_of(state: State) -> tuple[InstanceName, InstanceReading]:
    name = state.topology.instances_of(SERVICE)[0]
    reading = state.observed.instances[name]
    assert isinstance(reading, InstanceReading)
    return name, reading


def seeing(state: State, reading: InstanceReading | Unreadable) -> State:
    name, _ = reading_of(state)
    return state.seeing(replace(state.observed, instances={name: reading}))


def without(state: State, server: str) -> State:
    """The load balancer does not know a server of green."""
    _, reading = reading_of(state)
    seen = reading.services[SERVICE]
    green = seen.pools[Colour.GREEN]
    servers = {name: one for name, one in green.servers.items() if name != server}
    pools = {**seen.pools, Colour.GREEN: replace(green, servers=servers)}
    return seeing(state, replace(reading, services={SERVICE: replace(seen, pools=pools)}))


def obstructed(state: State) -> State:
    """Something in the load balancer's config is in the way."""
    _, reading = reading_of(state)
    seen = replace(reading.services[SERVICE], obstacles=("NOT_DURABLE: a reload would bring back the old share",))
    return seeing(state, replace(reading, services={SERVICE: seen}))


def test_a_plan_that_nothing_stops_says_so() -> None:
    plan = planned(after())
    assert (plan["refusals"], plan["unready"]) == ([], [])


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (lambda: without(after(), SERVERS[Colour.GREEN][0]), "candidate"),
        (lambda: seeing(after(), Unreadable(Instant(0), "no right")), "unreachable"),
        (lambda: obstructed(after()), "NOT_DURABLE"),
    ],
)
def test_what_a_switch_waits_for_is_not_called_a_refusal(state: Any, code: str) -> None:
    found = state()
    plan = planned(found)
    assert (plan["refusals"], codes(plan["unready"])) == ([], [code])
    switch = Switch(
        id=1, actor="uid 0", reason="", service=SERVICE, to=None, version="2", plan=Plan(), nonce="ab", wall=""
    )
    change, _ = admit(found, switch, found.changed_at)
    assert change is not None


def test_what_a_switch_is_refused_for_is() -> None:
    state = replace(after(), journal_error="no room")
    assert codes(planned(state)["refusals"]) == ["journal"]
    assert codes(planned(after("maintenance on"))["refusals"]) == ["maintenance"]


def test_an_instance_that_cannot_say_what_it_can_do_is_named_with_the_reason_and_what_it_lacks() -> None:
    name, reading = reading_of(after())
    state = seeing(after(), replace(reading, warnings=("NO_MASTER_SOCKET: old workers are not seen",)))
    plan = planned(state, "the socket /a.sock has level operator")
    assert plan["unready"] == [
        {"code": "not_known", "text": f"{name}: nobody knows what it can do: the socket /a.sock has level operator"}
    ]
    assert {"code": "NO_MASTER_SOCKET", "text": f"{name}: old workers are not seen"} in plan["warnings"]
    assert codes(planned(after(), None)["unready"]) == ["not_known"]


def test_what_no_release_can_do_without_is_not_ready_and_all_else_is_told() -> None:
    able = replace(FINE, cannot=("WRONG_MODE: it speaks http", "NO_FORCED_CLOSE: nothing is cut"))
    plan = planned(after(), able)
    assert codes(plan["unready"]) == ["WRONG_MODE"]
    assert "NO_FORCED_CLOSE" in codes(plan["warnings"])
    assert "WRONG_MODE" not in codes(plan["warnings"])


def test_a_policy_to_close_where_nothing_can_be_closed_is_not_ready_and_says_both_ways_out() -> None:
    found = after()
    able = replace(FINE, services={SERVICE: Ability(no_closing="NO_FORCED_CLOSE: shop: give lbctld CAP_NET_ADMIN")})
    assert not planned(found, able)["unready"]
    one = found.topology.services[SERVICE]
    closing = replace(one, sessions=replace(one.sessions, at_deadline=AtDeadline.CLOSE))
    topology = replace(found.topology, services={**found.topology.services, SERVICE: closing})
    (lack,) = planned(replace(found, topology=topology), able)["unready"]
    assert lack["code"] == "NO_FORCED_CLOSE"
    assert lack["text"].endswith("shop: give lbctld CAP_NET_ADMIN; or write `at_deadline: keep`")


def test_a_lack_is_told_once_although_it_was_asked_and_read() -> None:
    _, reading = reading_of(after())
    lack = "NO_MASTER_SOCKET: old workers are not seen"
    plan = planned(seeing(after(), replace(reading, warnings=(lack,))), replace(FINE, cannot=(lack,)))
    assert codes(plan["warnings"]).count("NO_MASTER_SOCKET") == 1


def test_a_server_is_up_in_the_status_only_where_the_decisions_call_it_well() -> None:
    gone = SERVERS[Colour.GREEN][0]
    state = without(after(), gone)
    service = state.topology.services[SERVICE]
    view = service_view(state, service, situation(state, SERVICE, state.changed_at), state.changed_at)
    name, _ = reading_of(state)
    assert (
        view["pools"]["green"]["up_count"] == wellness(service, Colour.GREEN, state.observed, state.topology).up_count
    )
    assert (view["servers"][gone]["up"], view["servers"][gone]["detail"]) == (False, f"{name} does not know it")
    assert view["pools"]["blue"]["up_count"] == len(SERVERS[Colour.BLUE])


def test_a_server_that_was_not_checked_yet_is_unknown() -> None:
    state = after()
    blind = state.seeing(replace(state.observed, health={}))
    here = situation(blind, SERVICE, state.changed_at)
    view = service_view(blind, state.topology.services[SERVICE], here, state.changed_at)
    assert {one["up"] for one in view["servers"].values()} == {None}


def test_the_write_that_is_planned_honours_the_candidates_sessions_again() -> None:
    state = after()
    name, reading = reading_of(state)
    seen = reading.services[SERVICE]
    runtime = {life: route.with_keep(Colour.GREEN, 0) for life, route in seen.runtime.items()}
    state = seeing(state, replace(reading, services={SERVICE: replace(seen, runtime=runtime)}))
    assert planned(state)["writes"] == [f"{name}: {SERVICE} 0:10000:0 → 100:10000:10000"]


def test_what_is_not_read_is_unknown_and_not_0() -> None:
    state = seeing(after(), Unreadable(Instant(0), "no answer"))
    view = service_view(state, state.topology.services[SERVICE], None, state.changed_at)
    for one in (*view["pools"].values(), *view["servers"].values()):
        assert (one["requests"], one["errors"], one["in_flight"]) == (None, None, None)
    rows = [row[-3:] for row in pool_rows(view)]
    assert rows == [("?", "?", "?"), ("?", "?", "?")]
