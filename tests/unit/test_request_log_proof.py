"""Lines that the load balancer did not count: found whatever else happens, and never found where there are none."""

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.names import Colour, Generation, ServerName
from lbctl.model.reading import InstanceReading, PoolReading, ServerReading
from lbctl.model.topology import HaproxyForm
from lbctl.model.units import Instant
from lbctl.telemetry.proof import OLD_WORKERS, Look, Proof

NO_POOL = PoolReading(servers={}, requests=0, errors=0, in_flight=0)


def reading(at: int, life: str = "1@1", *, old: bool = False) -> InstanceReading:
    """A reading taken then."""
    draining = (Generation("0@0"),) if old else ()
    return InstanceReading(Instant(at), Generation(life), {}, draining_generations=draining)


def green(requests: int, attempts: int = 0, *, in_flight: int = 0, at_old: int = 0) -> dict[Colour, PoolReading]:
    """Both pools, with so many requests of green, and so many that came by an old worker."""
    server = ServerReading(up=True, usable=True, weight=1, requests=attempts, errors=0, retries=0, in_flight=0)
    arrived = {Generation("0@0"): at_old}
    pool = PoolReading({ServerName("g1"): server}, requests=requests, errors=0, in_flight=in_flight, arrived=arrived)
    return {Colour.BLUE: NO_POOL, Colour.GREEN: pool}


def came(at: int, lines: int, blue: int = 0) -> Look:
    """So many lines of green have come in by then."""
    return Look(Instant(at), {Colour.BLUE: blue, Colour.GREEN: lines}, {Colour.BLUE: {}, Colour.GREEN: {40: lines}})


def turn(proof: Proof, at: int, counted: int, lines: int, life: str = "1@1", *, old: bool = False) -> bool:
    """A reading, and a look a moment later; returns whether lines are forged."""
    proof.compare(came(at + 10, lines), reading(at, life, old=old), green(counted))
    return proof.forged(Instant(at + 10))


def test_lines_are_shown_when_a_reading_from_after_them_bears_them_out() -> None:
    proof = Proof(HaproxyForm.MAP)
    turn(proof, 0, 100, 100)
    assert proof.proved is None
    turn(proof, 100, 100, 150)
    assert proof.proved is not None
    assert proof.proved.lines[Colour.GREEN] == 100
    turn(proof, 200, 150, 150)
    assert proof.proved.lines[Colour.GREEN] == 150
    assert proof.surplus == 0


def test_a_burst_of_forged_lines_is_never_shown_as_good() -> None:
    proof = Proof(HaproxyForm.MAP)
    for tick in range(20):
        forged = 500 if tick >= 10 else 0
        doubted = turn(proof, tick * 100, tick * 10, tick * 10 + forged)
        shown = 0 if proof.proved is None else proof.proved.lines[Colour.GREEN]
        assert doubted or shown <= tick * 10
    assert doubted
    assert proof.surplus >= 480


def test_ten_seconds_without_surplus_are_trusted_again() -> None:
    proof = Proof(HaproxyForm.MAP)
    said = [turn(proof, tick * 100, tick * 10, tick * 10 + (500 if tick >= 10 else 0)) for tick in range(150)]
    assert not said[10]
    assert all(said[12:100])
    assert not any(said[125:])


def test_one_line_in_a_hundred_may_be_anybodys() -> None:
    proof = Proof(HaproxyForm.MAP)
    assert not any(turn(proof, tick * 100, tick * 200, tick * 201) for tick in range(300))
    assert any(turn(proof, 30_000 + tick * 100, 60_000 + tick * 200, 60_300 + tick * 206) for tick in range(300))


def test_a_few_forged_lines_of_a_pool_with_little_traffic_are_found_beside_a_busy_one() -> None:
    proof = Proof(HaproxyForm.MAP)
    for tick in range(100):
        look = came(tick * 100 + 10, tick // 10 + (3 if tick > 50 else 0), blue=tick * 100)
        blue = PoolReading(servers={}, requests=tick * 100, errors=0, in_flight=0)
        proof.compare(look, reading(tick * 100), {**green(tick // 10), Colour.BLUE: blue})
        found = proof.forged(Instant(tick * 100 + 10))
    assert found


def test_the_rest_of_old_workers_is_no_forgery_and_later_lines_are_looked_at_again() -> None:
    proof = Proof(HaproxyForm.MAP)
    turn(proof, 0, 1_000, 1_000)
    turn(proof, 100, 1_010, 1_010)
    # Old workers end 300 requests that the new one did not count.
    for tick in range(100):
        assert not turn(proof, 200 + tick * 100, tick, 1_010 + tick + min(300, tick * 10), "2@2", old=tick < 90)
    quiet = 200 + OLD_WORKERS
    for tick in range(20):
        turn(proof, quiet + tick * 100, 100 + tick, 1_410 + tick, "2@2", old=True)
    turn(proof, quiet + 2_000, 120, 1_480, "2@2", old=True)
    assert turn(proof, quiet + 2_100, 120, 1_480, "2@2", old=True)


def test_what_an_old_worker_ends_long_after_a_reload_is_no_forgery_and_what_is_more_than_that_is() -> None:
    proof = Proof(HaproxyForm.MAP)
    turn(proof, 0, 100, 100)

    def at(second: int, lines: int, *, at_old: int = 40) -> bool:
        pools = green(second, in_flight=2, at_old=at_old)
        proof.compare(came(second * 1_000 + 10, 100 + lines), reading(second * 1_000, "2@2", old=True), pools)
        return proof.forged(Instant(second * 1_000 + 10))

    # A WebSocket and a download go on by the old worker, and kept connections bring it a request now and then.
    assert not any(at(second, second) for second in range(1, 90))
    assert not any(at(second, second + 2) for second in range(90, 120))
    assert not any(at(second, second + 7, at_old=45) for second in range(120, 150))
    assert proof.surplus == 0
    assert any(at(second, second + 10, at_old=45) for second in range(150, 160))
    assert 0 < proof.surplus <= 3


def test_in_form_weights_a_user_who_gave_up_has_a_line_and_an_attempt_but_no_answer() -> None:
    proof = Proof(HaproxyForm.WEIGHTS)
    for tick in range(50):
        pools = green(requests=tick * 5, attempts=tick * 10)
        proof.compare(came(tick * 100 + 10, tick * 10), reading(tick * 100), pools)
        assert not proof.forged(Instant(tick * 100 + 10))
    assert proof.surplus == 0


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 5), st.integers(0, 50)), max_size=40))
def test_without_a_forger_nothing_is_surplus_whatever_is_lost_or_late(ticks: list[tuple[int, int, int]]) -> None:
    proof = Proof(HaproxyForm.MAP)
    ended = lost = lines = 0
    for number, (fresh, gone, waiting) in enumerate(ticks):
        now = reading(number * 100)
        pools = green(ended)
        ended, lost = ended + fresh, lost + gone
        # The first look is the base; what waits in the socket at later ones comes in afterwards.
        lines = max(lines, ended - lost - waiting) if number else ended
        proof.compare(came(number * 100 + 10, lines), now, pools)
        assert proof.surplus == 0
