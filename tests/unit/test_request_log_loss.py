"""What is missing in a request log, and when that is too much."""

from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.reading import InstanceReading, PoolReading, ServiceReading
from lbctl.model.units import Instant
from lbctl.telemetry.loss import Missing, Unsent, Window

SHOP = ServiceName("shop")


def reading(
    at: int, requests: int, life: str = "1@1", *, in_flight: int = 0, unsent: dict[str, int] | None = None
) -> InstanceReading:
    """A reading of one service with so many requests."""
    pool = PoolReading(servers={}, requests=requests, errors=0, in_flight=in_flight)
    none = PoolReading(servers={}, requests=0, errors=0, in_flight=0)
    seen = ServiceReading({}, None, {Colour.BLUE: pool, Colour.GREEN: none})
    lost = {Generation(name): number for name, number in (unsent or {}).items()}
    return InstanceReading(Instant(at), Generation(life), {SHOP: seen}, unsent_log_lines=lost)


def compared(missing: Missing, lines: int, at: int, requests: int, life: str = "1@1", in_flight: int = 0) -> int:
    """Compare, and return what is missing then."""
    one = reading(at, requests, life, in_flight=in_flight)
    missing.compare(one, one.services[SHOP], lines)
    return missing.count


def test_over_one_percent_of_ten_seconds_is_too_much_and_ten_calm_seconds_are_calm() -> None:
    window = Window()
    assert not window.look(Instant(0), 0, 0)
    assert not window.look(Instant(1_000), 1_000, 10)
    assert window.look(Instant(1_200), 1_100, 20)
    for second in range(2, 11):
        assert window.look(Instant(second * 1_000), 1_100 + second, 20)
    assert not window.look(Instant(12_000), 1_200, 20)


def test_a_window_without_lines_is_calm_and_one_with_nothing_but_loss_is_not() -> None:
    window = Window()
    assert not window.look(Instant(0), 5, 5)
    assert not window.look(Instant(500), 5, 5)
    assert window.look(Instant(600), 5, 6)


def test_a_daemon_that_slept_for_minutes_compares_with_the_last_look() -> None:
    window = Window()
    window.look(Instant(0), 0, 0)
    window.look(Instant(100_000), 1_000, 500)
    assert window.look(Instant(100_100), 1_000, 500)
    assert not window.look(Instant(110_000), 1_000, 500)


def test_requests_that_were_counted_and_have_no_line_are_missing_at_the_next_reading() -> None:
    missing = Missing()
    assert compared(missing, lines=0, at=0, requests=500) == 0
    assert compared(missing, lines=0, at=1, requests=600) == 0
    assert compared(missing, lines=90, at=2, requests=600) == 10
    assert compared(missing, lines=100, at=3, requests=600) == 0


def test_the_same_reading_again_says_nothing_new() -> None:
    missing = Missing()
    compared(missing, lines=0, at=0, requests=0)
    compared(missing, lines=0, at=1, requests=100)
    assert compared(missing, lines=0, at=1, requests=100) == 0


def test_requests_in_flight_are_never_taken_for_missing() -> None:
    missing = Missing()
    compared(missing, lines=0, at=0, requests=0)
    compared(missing, lines=0, at=1, requests=50, in_flight=50)
    assert compared(missing, lines=0, at=2, requests=50, in_flight=50) == 0


def test_a_new_life_begins_a_new_comparison_and_what_was_missing_stays() -> None:
    missing = Missing()
    compared(missing, lines=0, at=0, requests=0)
    compared(missing, lines=0, at=1, requests=10)
    assert compared(missing, lines=0, at=2, requests=10) == 10
    assert compared(missing, lines=0, at=3, requests=2, life="2@2") == 10
    assert compared(missing, lines=20, at=4, requests=5, life="2@2") == 10
    assert compared(missing, lines=20, at=5, requests=30, life="2@2") == 10
    assert compared(missing, lines=20, at=6, requests=30, life="2@2") == 18


def test_unsent_lines_are_summed_over_lives_and_those_before_the_first_look_are_not_ours() -> None:
    unsent = Unsent()
    for at, known in enumerate(({"1@1": 100}, {"1@1": 105}, {"1@1": 106, "2@2": 4}, {"2@2": 4}, {"2@2": 5})):
        unsent.compare(reading(at, 0, unsent=known))
    assert unsent.count == 11
