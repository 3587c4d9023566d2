"""The kernel's answers taken apart: ends, errors, interruptions, and what is not ours to read."""

import pytest

from lbctl.model.census import Census, Connections
from lbctl.model.topology import Address
from lbctl.model.units import Instant
from lbctl.telemetry.sockets.answer import Again, Counts, Ended, Unusable
from lbctl.telemetry.sockets.question import destinations, destroy
from tests.netlink_rows import accepted, done, failed, message, socket_row

BLUE = Address("10.0.0.1", 8080)
GREEN = Address("10.0.0.1", 8081)


def counted(chunk: bytes) -> Counts:
    counts = Counts(7)
    counts.take(memoryview(chunk))
    return counts


def test_rows_and_the_end_of_the_list_may_come_in_one_piece() -> None:
    counts = Counts(7)
    assert counts.take(memoryview(socket_row(BLUE) * 3 + done())) is Ended.YES
    assert sum(counts.found.values()) == 3


def test_an_interrupted_list_is_asked_for_again() -> None:
    with pytest.raises(Again, match="changed while it was read"):
        counted(socket_row(BLUE) + message(3, bytes(4), flags=0x12))


def test_a_cut_message_is_asked_for_again() -> None:
    with pytest.raises(Again):
        counted(socket_row(BLUE)[:-20])


def test_answers_to_an_earlier_question_do_not_count() -> None:
    assert not counted(socket_row(BLUE, sequence=6)).found


@pytest.mark.parametrize(
    ("number", "code"),
    [(1, "NO_PERMISSION"), (2, "NO_SOCKET_DIAG"), (95, "NO_SOCKET_DESTROY"), (22, "SOCKET_DIAG_FAILED")],
)
def test_an_error_of_the_kernel_is_told_with_its_code(number: int, code: str) -> None:
    for chunk in (failed(-number), done(code=-number)):
        with pytest.raises(Unusable, match=f"^{code}: ") as raised:
            counted(chunk)
        assert raised.value.number == number


def test_a_port_tells_colours_on_one_host_apart() -> None:
    program = destinations([BLUE])
    assert accepted(program, 2, bytes([10, 0, 0, 1]), 8080)
    assert not accepted(program, 2, bytes([10, 0, 0, 1]), 8081)


def test_an_empty_filter_is_never_made() -> None:
    with pytest.raises(AssertionError):
        destinations([])


def test_a_socket_is_ended_by_its_whole_id_only() -> None:
    with pytest.raises(AssertionError):
        destroy(2, bytes(40), 1)


def test_a_sum_over_a_server_that_was_not_counted_is_unknown() -> None:
    seen = Census(taken_at=Instant(1), servers={BLUE: Connections(established=2, closing=1)})
    assert seen.total([BLUE]) == Connections(established=2, closing=1)
    assert seen.total([BLUE, GREEN]) is None
