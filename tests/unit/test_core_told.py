"""What every entry about a release is told with: both pools' numbers, and how long it has run."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.model.entry import Entry, Kind
from lbctl.model.reading import Health, Observed
from lbctl.model.units import Instant
from tests import scenarios
from tests.scenarios.stage import Stage
from tests.shop import A, Shop

SCENARIOS = Path(scenarios.__file__).parent
ENDS_OR_HOLDS = {
    Kind.ROLLBACK_STARTED, Kind.ROLLBACK_BLOCKED, Kind.ROLLBACK_FINISHED, Kind.RELEASE_FINISHED, Kind.RELEASE_CANCELLED,
    Kind.HOLD_STARTED, Kind.HOLD_PAGED, Kind.STEP_RETREATED, Kind.RELEASE_PAUSED,
}  # fmt: skip
AFTER_TRAFFIC = [
    ("errors_roll_back_and_move_sessions", {Kind.ROLLBACK_STARTED, Kind.ROLLBACK_FINISHED}),
    ("a_persons_rollback_keeps_sessions", {Kind.ROLLBACK_STARTED, Kind.ROLLBACK_FINISHED}),
    ("a_dead_candidate_in_draining_goes_back", {Kind.ROLLBACK_STARTED, Kind.ROLLBACK_FINISHED}),
    ("a_rollback_waits_for_a_home_that_lives", {Kind.ROLLBACK_BLOCKED, Kind.ROLLBACK_FINISHED}),
    ("both_pools_failing_is_held_never_moved", {Kind.HOLD_STARTED, Kind.HOLD_PAGED}),
    ("worse_than_active_used_to_be_retreats_once", {Kind.STEP_RETREATED}),
    ("a_pause_holds_and_resume_goes_on", {Kind.RELEASE_PAUSED, Kind.HOLD_STARTED}),
    ("a_whole_release_blue_to_green", {Kind.RELEASE_FINISHED}),
]
BEFORE_TRAFFIC = [
    ("cancel_before_traffic_ends_at_once", {Kind.RELEASE_CANCELLED}),
    ("a_preflight_that_takes_too_long_is_cancelled", {Kind.RELEASE_CANCELLED}),
]


class Listening(Stage):
    """A stage that keeps what is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Entry] = []

    def _log(self, what: str, fact: Any) -> None:
        if what in {"save", "note"}:
            self.told += fact.entries
        super()._log(what, fact)


def told_in(scenario: str) -> Iterator[Entry]:
    """Play a scenario, and yield what ended or held its release."""
    stage = Listening()
    for block in (SCENARIOS / f"{scenario}.txt").read_text().strip().split("\n\n"):
        for line in block.split("\n----", 1)[0].splitlines():
            if line.strip() and not line.startswith("#"):
                stage.do(line)
    yield from (one for one in stage.told if one.kind in ENDS_OR_HOLDS)


@pytest.mark.parametrize(("scenario", "kinds"), AFTER_TRAFFIC, ids=[name for name, _ in AFTER_TRAFFIC])
def test_whatever_ends_or_holds_a_release_is_told_with_both_pools_numbers(scenario: str, kinds: set[Kind]) -> None:
    told = list(told_in(scenario))
    assert kinds <= {one.kind for one in told}
    for one in told:
        assert one.release == "1"
        assert type(one.data["duration_ms"]) is int
        assert isinstance(one.data["candidate_total"], int), one
        assert isinstance(one.data["active_total"], int), one


@pytest.mark.parametrize(("scenario", "kinds"), BEFORE_TRAFFIC, ids=[name for name, _ in BEFORE_TRAFFIC])
def test_before_first_traffic_there_is_nothing_to_count(scenario: str, kinds: set[Kind]) -> None:
    told = list(told_in(scenario))
    assert kinds <= {one.kind for one in told}
    assert not [one for one in told if "candidate_total" in one.data]
    assert all("duration_ms" in one.data for one in told)


def held_for_want_of_checks(ticks: int, health: Health) -> list[str]:
    """Say this of a server of the candidate for so many tenths of a second in mid-step, as a start of lbctld may."""
    shop = Shop()
    assert shop.switch(A, version=2).accepted
    shop.until("shifting")
    seen_before = len(shop.told)

    def blank(seen: Observed) -> Observed:
        servers = {key: health if key[1] == "a-green-0" else one for key, one in seen.health.items()}
        return replace(seen, health=servers)

    shop.alter = blank
    shop.run(ticks)
    shop.alter = lambda seen: seen
    shop.run(3)
    return [one.text for one in shop.told[seen_before:] if one.kind is Kind.HOLD_STARTED]


def test_first_checks_after_a_start_are_no_news_and_what_stays_unknown_is() -> None:
    unknown = Health(None, Instant(0), "1 of 2 good checks in a row")
    assert held_for_want_of_checks(30, unknown) == []
    assert "1 of 2 good checks" in held_for_want_of_checks(45, unknown)[0]
    assert "refused" in held_for_want_of_checks(30, Health(False, Instant(0), "refused"))[0]
