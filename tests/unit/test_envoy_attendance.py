"""Who came back, by Envoy's own counters: what it counted before lbctl met it is no session of now."""

from lbctl.core.seating import Seats, seats
from lbctl.dataplane.envoy.attendance import Attendances
from lbctl.dataplane.envoy.layout import cluster_name
from lbctl.model.names import Colour, Generation
from lbctl.model.units import Instant
from tests.shop import TOPOLOGY, B

FIRST, SECOND_LIFE = Generation("1@1"), Generation("2@9")


def counters(kept: dict[int, int]) -> bytes:
    """Envoy's answer: how often each bucket was kept on blue."""
    pool = cluster_name(B, Colour.BLUE)
    lines = (f"lbctl_sessions.{B}.why.kept.to.{pool}.bucket.{one:03x}: {count}\n" for one, count in kept.items())
    return "".join(lines).encode()


def seen(told: Attendances, at: Instant) -> Seats:
    """The sessions on blue."""
    found = seats([told.look({B: 9}, at)[B]], Colour.BLUE, at)
    assert found is not None
    return found


def test_a_week_of_sessions_before_the_start_of_lbctl_is_none_and_who_comes_now_is_one() -> None:
    told, past = Attendances([TOPOLOGY.services[B]]), dict.fromkeys(range(4_096), 7)
    for second in range(30):
        now = Instant(second * 1_000)
        told.take(counters(past | dict.fromkeys(range(100), 7 + second)), FIRST, now)
        told.look({B: 9}, now)
    assert seen(told, now).occupied == tuple(range(100))
    assert seen(told, now).known


def test_a_life_that_began_after_lbctl_counts_from_nothing() -> None:
    told = Attendances([TOPOLOGY.services[B]])
    told.take(counters({1: 7}), FIRST, Instant(0))
    told.look({B: 7}, Instant(0))
    assert not told.look({B: 8}, Instant(500)), "a request came that no counter told of"
    told.take(counters({2: 1}), SECOND_LIFE, Instant(1_000))
    assert seen(told, Instant(1_000)).occupied == (2,)


def test_an_envoy_that_stands_by_tells_that_nobody_came_until_a_request_comes_that_is_not_counted() -> None:
    told = Attendances([TOPOLOGY.services[B]])
    for second in range(12):
        told.take(counters({}), FIRST, Instant(second * 1_000))
        found = told.look({B: 40}, Instant(second * 1_000))
    stands_by = seats([found[B]], Colour.BLUE, Instant(11_000))
    assert stands_by is not None
    assert (stands_by.known, stands_by.occupied) == (True, ())
    assert told.look({B: 41}, Instant(12_000)) == {}
