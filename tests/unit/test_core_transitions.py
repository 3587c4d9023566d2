"""The table of a release's life, checked as a graph."""

from lbctl.core.transitions import EDGES, may_go
from lbctl.model.record import Phase

TRAFFIC = {Phase.SHIFTING, Phase.BAKING, Phase.DRAINING}


def reachable(start: Phase) -> set[Phase]:
    found, todo = set[Phase](), [start]
    while todo:
        for there in EDGES[todo.pop()] - found:
            found.add(there)
            todo.append(there)
    return found


def test_every_phase_is_in_the_table_and_can_be_reached() -> None:
    assert set(EDGES) == set(Phase)
    assert reachable(Phase.PREFLIGHT) == set(Phase) - {Phase.PREFLIGHT}


def test_no_path_leads_from_going_back_to_more_traffic() -> None:
    assert reachable(Phase.ROLLING_BACK) == {Phase.ROLLED_BACK}


def test_an_end_is_an_end() -> None:
    assert {phase for phase in Phase if not EDGES[phase]} == {phase for phase in Phase if phase.ended}


def test_every_phase_can_end() -> None:
    assert all(any(there.ended for there in reachable(phase)) for phase in Phase if not phase.ended)


def test_every_phase_with_traffic_can_go_back_and_none_can_be_cancelled() -> None:
    assert all(may_go(phase, Phase.ROLLING_BACK) for phase in TRAFFIC)
    assert not any(may_go(phase, Phase.CANCELLED) for phase in TRAFFIC)


def test_only_a_finished_bake_makes_the_candidate_active() -> None:
    assert {phase for phase in Phase if Phase.DRAINING in EDGES[phase]} == {Phase.BAKING}
    assert {phase for phase in Phase if Phase.FINISHED in EDGES[phase]} == {Phase.DRAINING, Phase.RETIRING}


def test_staying_is_always_allowed() -> None:
    assert all(may_go(phase, phase) for phase in Phase)
