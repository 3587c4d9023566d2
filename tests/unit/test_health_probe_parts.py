"""The prober's pure parts: wheel, lateness, answers, frames, targets, words."""

import errno

import pytest

from lbctl.model.names import Colour, PlaneName, ServerName, ServiceName
from lbctl.model.topology import Address, HealthCheck, Pool, Probe, Server, ServerTls, Service
from lbctl.probe.answer import NotHttp, length_of, status_of
from lbctl.probe.frames import FrameError, Lines
from lbctl.probe.port import targets_of
from lbctl.probe.schedule import Lateness, Wheel, first_tick, next_due, patience_ms
from lbctl.probe.target import Target
from lbctl.probe.words import DETAIL_MAX, clean, failure


def test_the_wheel_gives_each_item_once_and_in_order() -> None:
    wheel: Wheel[str] = Wheel(100)
    for tick, item in ((103, "c"), (101, "a"), (101, "b"), (5_000, "late"), (7, "past")):
        wheel.add(tick, item)
    assert wheel.next_tick(120) == 101
    assert wheel.take(102) == ["a", "b", "past"]
    assert wheel.take(4_999) == ["c"]
    assert wheel.next_tick(5_010) == 5_000
    assert wheel.take(1_000_000) == ["late"]
    assert wheel.take(2_000_000) == []


def test_missed_slots_are_skipped_and_the_phase_stays() -> None:
    assert next_due(100, 1_000, 100) == 200
    assert next_due(100, 1_000, 199) == 200
    assert next_due(100, 1_000, 200) == 300
    assert next_due(100, 1_000, 1_234) == 1_300


def test_a_thousand_servers_of_one_host_are_spread_over_the_interval() -> None:
    slots = [first_tick(f"s{i} 127.0.0.1 {i}", 1_000, 777) for i in range(1_000)]
    assert all(778 <= slot < 878 for slot in slots)
    assert max(slots.count(slot) for slot in set(slots)) <= 30
    assert first_tick("s1", 1_000, 777) % 100 == first_tick("s1", 1_000, 5_432) % 100


def test_lateness_beyond_the_allowance_is_counted() -> None:
    lateness = Lateness()
    for planned, woke in ((100.0, 90.0), (100.0, 109.0), (200.0, 260.0), (300.0, 330.0)):
        lateness.woke(planned, woke)
    assert lateness.total_ms == 70.0
    assert (lateness.take_worst(), lateness.take_worst()) == (50.0, 0.0)
    assert (patience_ms(500), patience_ms(100), patience_ms(10_000)) == (100.0, 25.0, 100.0)


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 503 ", 503),
        (b"HTTP/1.1 404\r\n", 404),
        (b"HTTP/1.1 200", None),
        (b"HTTP/1.", None),
        (b"H", None),
    ],
)
def test_the_status_is_in_the_first_thirteen_bytes(start: bytes, status: int | None) -> None:
    assert status_of(start) == status


@pytest.mark.parametrize(
    "start",
    [
        b"h",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.2 200 OK",
        b"HTTP/1.1  200 ",
        b"HTTP/1.1 2x0 ",
        b"HTTP/1.1 2000",
        b"HTTP/1.1 099 ",
        b"HTTP/1.1 600 ",
        b"HTTP/1.1 -20 ",
        b"\r\nHTTP/1.1 200 OK",
        b"HTTP/1.1 200\nX",
        b"HTTP/1.1 \xb2\xb2\xb2 ",
    ],
)
def test_what_is_not_http_is_said_at_the_first_wrong_byte(start: bytes) -> None:
    with pytest.raises(NotHttp):
        status_of(start)


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", 43),
        (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", 33),
        (b"HTTP/1.1 200 OK\r\n\r\n", None),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: Close\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", None),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", None),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 20_000 + b"\r\nContent-Length: 5\r\n\r\n", None),
    ],
)
def test_a_connection_is_kept_only_when_the_answers_end_is_certain(head: bytes, length: int | None) -> None:
    assert length_of(head) == length


def test_lines_are_cut_anywhere_and_bounded() -> None:
    lines = Lines(10)
    assert lines.feed(b"ab") == []
    assert lines.feed(b"c\nde\n\nf") == [b"abc", b"de", b""]
    assert lines.feed(b"\n") == [b"f"]
    with pytest.raises(FrameError, match="longer than 10 bytes"):
        lines.feed(b"x" * 11)


def test_a_target_survives_the_wire() -> None:
    plain = Target(key="s/a", kind=Probe.HTTP, ip="::1", port=80)
    rich = Target(
        key="s/b", kind=Probe.COMMAND, ip="127.0.0.1", port=81, status=(200, 204), command=("a", "b"), keep_alive=True
    )
    import json

    for target in (plain, rich):
        assert Target.from_wire(json.loads(json.dumps(target.to_wire()))) == target
    assert plain.authority == "[::1]:80"


def test_a_services_servers_of_both_colours_become_targets() -> None:
    blue, green = (Pool(colour, (Server(ServerName(f"a-{colour}"), Address("127.0.0.1", 80)),)) for colour in Colour)
    check = HealthCheck(kind=Probe.HTTPS, path="/up", port=8443)
    service = Service(name=ServiceName("a"), plane=PlaneName("edge"), blue=blue, green=green)
    assert targets_of(service) == ()
    watched = Service(
        name=service.name, plane=service.plane, blue=blue, green=green, health=check, tls=ServerTls("/ca.pem", "a.test")
    )
    targets = targets_of(watched)
    assert [target.key for target in targets] == ["a/a-blue@127.0.0.1:8443", "a/a-green@127.0.0.1:8443"]
    assert {(t.port, t.path, t.tls_ca, t.tls_name, t.interval_ms) for t in targets} == {
        (8443, "/up", "/ca.pem", "a.test", 1_000)
    }


def test_details_are_one_printable_line() -> None:
    assert clean("a\x1b[31m\nb\u202e") == "a?[31m?b?"
    assert len(clean("x" * 1_000)) == DETAIL_MAX


def test_own_trouble_is_unknown_and_the_peers_is_down() -> None:
    assert failure(OSError(errno.ECONNREFUSED, "")).ok is False
    own = failure(OSError(errno.EMFILE, ""))
    assert (own.ok, own.detail) == (None, "the checker itself: too many open files")
