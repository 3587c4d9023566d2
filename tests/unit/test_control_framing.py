"""Where a request begins and ends, and what is refused before anybody parses it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.control.framing import BODY_MAX, HEAD_MAX, Framed, Partial, frame
from lbctl.control.problem import Problem

GET = b"GET /v1/status HTTP/1.1\r\nHost: lbctl\r\n\r\n"
POST = b"POST /v1/plan HTTP/1.1\r\nHost: lbctl\r\nContent-Length: 2\r\n\r\n{}"


@pytest.mark.parametrize("whole", [GET, POST])
def test_a_request_is_whole_at_its_last_byte_and_not_before(whole: bytes) -> None:
    for size in range(1, len(whole)):
        assert isinstance(frame(whole[:size]), Partial), whole[:size]
    assert frame(whole) == Framed(whole, len(whole), last=False)


def test_what_follows_a_request_stays_in_the_buffer() -> None:
    assert frame(POST + GET) == Framed(POST, len(POST), last=False)


@pytest.mark.parametrize(
    ("head", "last"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close", True),
        (b"GET / HTTP/1.0", True),
        (b"GET / HTTP/1.0\r\nConnection: Keep-Alive", False),
        (b"GET / HTTP/1.1\r\nHost: x", False),
    ],
)
def test_the_peers_wish_to_close_is_seen(head: bytes, last: bool) -> None:
    framed = frame(head + b"\r\n\r\n")
    assert isinstance(framed, Framed)
    assert framed.last is last


def test_upgrades_and_expectations_are_not_handed_on() -> None:
    framed = frame(b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nExpect: 100-continue\r\n\r\n")
    assert isinstance(framed, Framed)
    assert framed.data == b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def test_who_sends_a_body_byte_by_byte_is_looked_at_again_only_when_it_is_whole() -> None:
    whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"
    assert frame(whole) == Partial(size=len(whole) + 60_000)
    assert frame(whole[:-1]) == Partial()


@pytest.mark.parametrize(
    ("field", "status"),
    [(b"Content-Encoding: gzip", 415), (b"Content-Encoding: identity", 0), (b"Content-Encoding: gzip, identity", 415)],
)
def test_a_compressed_body_is_never_unpacked(field: bytes, status: int) -> None:
    found = frame(POST.replace(b"Host: lbctl", b"Host: lbctl\r\n" + field))
    assert getattr(found, "status", 0) == status


@pytest.mark.parametrize("method", [b"PROPFIND", b"POSTTTTT", b"CONNECT", b"PRI", b"TRACE"])
def test_no_method_gets_past_that_the_library_behind_would_answer_in_its_own_words(method: bytes) -> None:
    found = frame(GET.replace(b"GET", method))
    assert isinstance(found, Problem)
    assert (found.status, found.code) == (405, "method_not_allowed")


def test_the_limits_are_exact() -> None:
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
    assert isinstance(frame(head % BODY_MAX), Partial)
    found = frame(head % (BODY_MAX + 1))
    assert isinstance(found, Problem)
    assert found.status == 413
    start = b"GET / HTTP/1.1\r\nA: "
    assert isinstance(frame(start.ljust(HEAD_MAX, b"a")), Partial)
    found = frame(start.ljust(HEAD_MAX + 1, b"a"))
    assert isinstance(found, Problem)
    assert found.status == 431


def test_more_fields_than_the_library_behind_takes_are_refused_before_it() -> None:
    start = b"GET / HTTP/1.1\r\nHost: x\r\n"
    assert isinstance(frame(start + b"a: b\r\n" * 99 + b"\r\n"), Framed)
    found = frame(start + b"a: b\r\n" * 100 + b"\r\n")
    assert isinstance(found, Problem)
    assert found.status == 431


@given(st.binary(min_size=1, max_size=400))
def test_any_bytes_get_an_answer_and_never_an_exception(data: bytes) -> None:
    assert isinstance(frame(data), Framed | Partial | Problem)


@given(st.binary(max_size=200), st.integers(0, len(POST)))
def test_damage_inside_a_request_never_yields_more_than_was_sent(damage: bytes, at: int) -> None:
    buffer = POST[:at] + damage + POST[at:]
    found = frame(buffer)
    if isinstance(found, Framed):
        assert len(found.data) <= found.size <= len(buffer)


def test_a_problem_is_a_whole_answer_that_closes_the_connection() -> None:
    message = Problem(status=408, code="too_slow", what="late", why='a "quote"').message()
    head, _, body = message.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert b"Connection: close" in head
    assert b"Content-Length: %d" % len(body) in head
