"""lbctl time: pure arithmetic over boots, and a clock that never goes back."""

from lbctl.model.units import Instant
from lbctl.store.clock import Clock, Origin, origin, parsed


def test_time_runs_on_over_a_restart_within_a_boot() -> None:
    assert origin("b1", 9_000, Origin("b1", 500), Instant(4_000)) == Origin("b1", 500)


def test_time_goes_on_from_the_last_recorded_instant_after_a_reboot() -> None:
    found = origin("b2", 100, Origin("b1", 500), Instant(70_000))
    assert found.offset_ms + 100 == 70_000


def test_a_long_uptime_after_a_reboot_is_no_jump() -> None:
    assert origin("b2", 1_000_000, Origin("b1", 0), Instant(5)).offset_ms + 1_000_000 == 5


def test_an_origin_that_lies_before_the_record_is_not_used() -> None:
    assert origin("b1", 100, Origin("b1", 0), Instant(500)).offset_ms + 100 == 500


def test_a_new_installation_starts_at_the_time_of_its_boot() -> None:
    assert origin("b1", 100, None, Instant(0)) == Origin("b1", 0)


def test_an_origin_is_read_back_and_garbage_is_none() -> None:
    assert parsed(str(Origin("b1", -5))) == Origin("b1", -5)
    assert [parsed(text) for text in (None, "", "b1", "b1 x", "b1 1²", " 5", "b1 " + "9" * 40)] == [None] * 7


def test_the_clock_never_goes_back_and_a_restart_continues_it() -> None:
    clock = Clock(Instant(10**12))
    assert clock.now() >= 10**12
    assert clock.now() <= clock.now()
    assert Clock(clock.now(), clock.origin).origin == clock.origin
