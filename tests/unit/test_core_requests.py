"""What a person is answered and what is told: what was changed, by whom, and why."""

from dataclasses import replace
from typing import Any

import pytest

from lbctl.core.admission import service_of
from lbctl.core.requests import admit
from lbctl.core.state import State
from lbctl.daemon.members import services_of
from lbctl.model.entry import Entry
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.request import Adopt, Cancel, Maintenance, OnRelease, Pause, Promote, Resume, Rollback, Switch
from lbctl.model.topology import Plan
from lbctl.sim.world import SERVICE
from tests.scenarios.stage import Stage
from tests.shop import Shop

WHY = "ticket 12"
WHO = {"id": 1, "actor": "uid 7 (eva)", "reason": WHY, "wall": "", "nonce": "ab"}


def after(*lines: str) -> State:
    stage = Stage()
    for line in ("world 1", "run 100ms", "adopt blue", "run 2s", *lines):
        stage.do(line)
    assert stage.world.process is not None
    return stage.world.process.state


def asked(state: State, request: Any) -> tuple[State, tuple[Entry, ...], dict[str, Any]]:
    change, facts = admit(state, request, state.changed_at)
    return (state, (), facts) if change is None else (replace(state, record=change.record), change.entries, facts)


def on_release(kind: type[OnRelease], state: State) -> tuple[State, tuple[Entry, ...], dict[str, Any]]:
    return asked(state, kind(**WHO, release=state.record.releases[SERVICE].id))


def test_a_rollback_that_comes_after_the_end_names_the_release_that_goes_back() -> None:
    state = after("switch steps 5%,100% hold 1s bake 1s retain 1s", "until finished")
    with pytest.raises(Refused, match="release 1 has ended: finished") as refused:
        on_release(Rollback, state)
    assert refused.value.then == f"lbctl undo {SERVICE}"
    with pytest.raises(Refused) as refused:
        on_release(Pause, state)
    assert refused.value.then == "lbctl explain 1"


@pytest.fixture(scope="module")
def shifting() -> State:
    return after("switch steps 5%,25%,100% hold 60s", "until reached 5%", "run 2s")


@pytest.mark.parametrize(
    ("kind", "did"),
    [
        (Pause, "paused: it stays at this share until `resume`; going back stays possible"),
        (Promote, "promoted: 5 % → 25 % on green"),
        (Rollback, "going back to blue from 5 % on green"),
        (Cancel, "going back to blue from 5 % on green"),
    ],
)
def test_the_answer_says_what_was_changed_and_where_it_is(shifting: State, kind: type[OnRelease], did: str) -> None:
    state, (told,), facts = on_release(kind, shifting)
    assert facts["did"] == did
    assert facts["share_bp"] == state.record.releases[SERVICE].share_bp
    assert told.text.endswith(f": {WHY}")


def test_a_pause_and_its_end_are_told_with_their_reasons(shifting: State) -> None:
    paused, (first,), _ = on_release(Pause, shifting)
    assert first.text == f"paused by {WHO['actor']}: {WHY}"
    assert on_release(Pause, paused)[2]["did"] == "nothing was changed: it is so already"
    _, (second,), facts = on_release(Resume, paused)
    assert second.text == f"resumed: {WHY}"
    assert facts["did"] == "resumed: it goes on by itself"


def test_who_promoted_and_why_is_stored_beside_the_numbers(shifting: State) -> None:
    _, (told,), _ = on_release(Promote, shifting)
    assert told.text.endswith(f"; promoted by {WHO['actor']}: {WHY}")
    assert told.data["reason"] == WHY


@pytest.mark.parametrize(
    "request_",
    [
        Switch(**WHO, service=SERVICE, to=None, version="2", plan=Plan()),
        Maintenance(**WHO, service=SERVICE, on=True),
        Adopt(**WHO, service=SERVICE, active=Colour.BLUE, version="1.0.1", settle=False),
    ],
)
def test_every_other_reason_is_told_too(request_: Any) -> None:
    _, (told,), _ = asked(after(), request_)
    assert told.text.endswith(f": {WHY}")
    assert told.data["reason"] == WHY


def test_a_service_that_a_load_balancer_does_not_route_is_not_adopted_and_the_text_says_how_to_go_on() -> None:
    stage = Stage()
    for line in ("world 1", "run 100ms"):
        stage.do(line)
    assert stage.world.process is not None
    state = stage.world.process.state
    (name, reading), *_ = state.observed.instances.items()
    assert isinstance(reading, InstanceReading)
    unrouted = replace(reading.services[SERVICE], runtime={}, obstacles=("NOT_ROUTED: nobody takes its routes",))
    for services in ({}, {SERVICE: unrouted}):
        seen = replace(state.observed, instances={name: replace(reading, services=services)})
        with pytest.raises(Refused) as refused:
            asked(
                replace(state, observed=seen),
                Adopt(**WHO, service=SERVICE, active=Colour.BLUE, version="1", settle=True),
            )
        assert (refused.value.code, refused.value.then) == ("not_routed", "lbctl config render haproxy")
    assert refused.value.why == "NOT_ROUTED: nobody takes its routes"


@pytest.mark.parametrize(("name", "then"), [("qqq", "lbctl status"), ("storefrnt", "did you mean storefront?")])
def test_a_service_that_there_is_not_is_refused_with_the_next_step(name: str, then: str) -> None:
    state = Shop().state
    with pytest.raises(Refused) as asked:
        services_of(state.topology, name)
    with pytest.raises(Refused) as ordered:
        service_of(state, ServiceName(name))
    assert (asked.value.code, asked.value.then) == ("no_such_service", then)
    assert (ordered.value.code, ordered.value.then) == ("no_such_service", "lbctl status")
