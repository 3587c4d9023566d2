"""Receivers of request logs on real sockets: opened, drained, overrun, cut off, changed while they run."""

import asyncio
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from lbctl.model.names import Colour, Generation, InstanceName
from lbctl.model.reading import InstanceReading, PoolReading, ServiceReading, Timing, Unreadable
from lbctl.model.sketch import count
from lbctl.model.topology import Address, Plane, Protocol, RequestLog, Topology
from lbctl.model.units import Instant
from lbctl.telemetry.logs import RequestLogs
from lbctl.telemetry.mailbox import Unbound, opened
from lbctl.telemetry.receiver import BURST_MAX, Receiver
from tests.unit.test_request_log_lines import LB1, PLANE, SHOP, line, service


def udp() -> RequestLog:
    """A UDP address that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return RequestLog(Address("127.0.0.1", probe.getsockname()[1]))


@pytest.fixture(name="log", params=["udp", "unix"])
def _log(request: pytest.FixtureRequest, tmp_path: Path) -> RequestLog:
    return udp() if request.param == "udp" else RequestLog(str(tmp_path / "log.sock"))


@pytest.fixture(name="logs")
def _logs() -> Iterator[RequestLogs]:
    made = RequestLogs()
    yield made
    made.close()


def topology(log: RequestLog | None, *, served: bool = True) -> Topology:
    """The plane of the line tests, logging there."""
    plane: Plane = replace(PLANE, request_log=log)
    return Topology({PLANE.name: plane}, {SHOP: service()} if served else {})


def take(logs: RequestLogs, config: Topology, at: int = 0) -> None:
    """Go over to a config, as the daemon does."""
    logs.take(config, logs.opened_for(config), Instant(at))


def send(log: RequestLog, *datagrams: bytes) -> int:
    """Send lines; returns how many were not refused."""
    where: str | tuple[str, int] = log.at if isinstance(log.at, str) else (log.at.host, log.at.port)
    family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET
    sent = 0
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        for datagram in datagrams:
            try:
                sender.sendto(datagram, where)
                sent += 1
            except (BlockingIOError, FileNotFoundError, ConnectionRefusedError):
                continue
    return sent


async def drained(logs: RequestLogs, lines: int, at: int = 1) -> Timing:
    """Wait until so many times came in for blue."""
    async with asyncio.timeout(5):
        while count((found := logs.timing({}, Instant(at))[LB1, SHOP]).pools.get(Colour.BLUE, {})) < lines:
            await asyncio.sleep(0.005)
    return found


async def test_lines_are_counted_as_they_come(log: RequestLog, logs: RequestLogs) -> None:
    take(logs, topology(log))
    send(log, *[line()] * 5, line("shop_green"), b"\xff\x00 rubbish")
    timing = await drained(logs, 5)
    assert {colour: count(times) for colour, times in timing.pools.items()} == {Colour.BLUE: 5, Colour.GREEN: 1}
    assert (timing.source, timing.lost, timing.sampled) == (f"{log} since 0", 0, False)


def counted(at: int, requests: int) -> dict[InstanceName, InstanceReading | Unreadable]:
    """What the load balancer counted."""
    pool = PoolReading(servers={}, requests=requests, errors=0, in_flight=0)
    none = PoolReading(servers={}, requests=0, errors=0, in_flight=0)
    seen = ServiceReading({}, None, {Colour.BLUE: pool, Colour.GREEN: none})
    return {LB1: InstanceReading(Instant(at), Generation("1@1"), {SHOP: seen})}


async def watched_since(logs: RequestLogs, at: int, requests: int) -> int:
    """Since when it is watched who comes, after a reading."""
    logs.timing(counted(at, requests), Instant(at))
    return logs.sessions(Instant(at))[LB1, SHOP].since


async def test_lines_that_are_late_do_not_begin_the_watch_of_sessions_anew_and_lost_ones_do(logs: RequestLogs) -> None:
    log = udp()
    take(logs, topology(log))
    send(log, line(upload="0|kept|7"))
    await drained(logs, 1)
    assert await watched_since(logs, 1_000, 1) == 1_000
    for at, requests in ((1_100, 60), (1_200, 60), (2_900, 60)):
        assert await watched_since(logs, at, requests) == 1_000, "fifty-nine are late"
    send(log, *[line(upload="0|kept|7")] * 59)
    await asyncio.sleep(0.1)
    assert await watched_since(logs, 3_100, 90) == 1_000
    for at in (3_200, 4_200, 5_300):
        began = await watched_since(logs, at, 90)
    assert began == 5_300


async def test_a_load_balancer_that_stands_by_tells_that_nobody_came_until_it_serves_what_no_line_tells(
    logs: RequestLogs,
) -> None:
    take(logs, topology(udp()))
    logs.timing(counted(1_000, 40), Instant(1_000))
    assert logs.sessions(Instant(1_000))[LB1, SHOP].since == 1_000
    logs.timing(counted(9_000, 40), Instant(9_000))
    assert logs.sessions(Instant(9_000))[LB1, SHOP].since == 1_000
    for at, requests in ((9_500, 41), (20_000, 41)):
        logs.timing(counted(at, requests), Instant(at))
        assert logs.sessions(Instant(at)) == {}, "are its lines written at all?"


async def test_an_address_that_is_taken_is_refused_by_name(log: RequestLog) -> None:
    first = opened(log)
    with pytest.raises(Unbound, match=f"the request log {log} cannot be opened: .*(in use|reads there).*: "):
        opened(log)
    first.close()
    opened(log).close()


def test_a_directory_that_is_not_there_and_a_file_in_the_way_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unbound, match=f"{tmp_path}/none is not there: make it"):
        opened(RequestLog(f"{tmp_path}/none/log.sock"))
    (tmp_path / "file").write_text("precious")
    with pytest.raises(Unbound, match="no socket"):
        opened(RequestLog(f"{tmp_path}/file"))
    assert (tmp_path / "file").read_text() == "precious"


def test_what_a_dead_daemon_left_is_replaced_and_any_user_may_send(tmp_path: Path) -> None:
    path = tmp_path / "log.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    mailbox = opened(RequestLog(str(path)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    mailbox.close()
    assert not path.exists()


async def test_a_path_that_somebody_removed_is_opened_again(tmp_path: Path, logs: RequestLogs) -> None:
    log = RequestLog(str(tmp_path / "log.sock"))
    take(logs, topology(log))
    send(log, line())
    await drained(logs, 1)
    os.unlink(str(log.at))
    assert send(log, line()) == 0
    logs.timing({}, Instant(2_000))
    assert send(log, line()) == 1
    await drained(logs, 2, at=2_001)


async def test_a_path_that_cannot_be_opened_again_is_sampled_until_it_can(tmp_path: Path, logs: RequestLogs) -> None:
    log = RequestLog(str(tmp_path / "place" / "log.sock"))
    (tmp_path / "place").mkdir()
    take(logs, topology(log))
    os.unlink(str(log.at))
    (tmp_path / "place").rename(tmp_path / "elsewhere")
    for at in (2_000, 4_000):
        assert logs.timing({}, Instant(at))[LB1, SHOP].sampled
    (tmp_path / "place").mkdir()
    assert not logs.timing({}, Instant(6_000))[LB1, SHOP].sampled
    send(log, line())
    await drained(logs, 1, at=6_001)


async def test_lines_that_were_not_fetched_in_time_are_lost_by_count_and_ten_calm_seconds_heal() -> None:
    log = udp()
    mailbox = opened(log)
    mailbox.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    logs = RequestLogs()
    try:
        logs.take(topology(log), {log: mailbox}, Instant(0))
        assert not logs.timing({}, Instant(0))[LB1, SHOP].sampled
        # Nobody reads while this runs: the event loop has no turn.
        send(log, *[line()] * 2_000)
        for _ in range(3):
            await asyncio.sleep(0)
        timing = await drained(logs, 1)
        came = count(timing.pools[Colour.BLUE])
        assert 0 < came < 2_000
        assert (came + timing.lost, timing.sampled) == (2_000, True)
        assert logs.timing({}, Instant(9_000))[LB1, SHOP].sampled
        assert not logs.timing({}, Instant(21_000))[LB1, SHOP].sampled
        assert logs.timing({}, Instant(21_000))[LB1, SHOP].lost == timing.lost
    finally:
        logs.close()


async def test_after_a_full_burst_others_have_their_turn() -> None:
    log = udp()
    taken: list[bytes] = []
    receiver = Receiver(opened(log), taken.append)
    receiver.start()
    try:
        sent = send(log, *[b"x"] * (3 * BURST_MAX))
        turns = [len(taken)]
        async with asyncio.timeout(5):
            while len(taken) + receiver.refused < sent:
                await asyncio.sleep(0)
                turns.append(len(taken))
        assert max(after - before for before, after in pairwise(turns)) <= BURST_MAX
    finally:
        receiver.close()


async def test_a_config_that_keeps_the_address_keeps_the_counts(logs: RequestLogs) -> None:
    log = udp()
    take(logs, topology(log))
    send(log, line())
    await drained(logs, 1)
    take(logs, topology(log), at=5_000)
    send(log, line())
    assert (await drained(logs, 2, at=5_001)).source == f"{log} since 0"


async def test_a_config_with_another_address_begins_anew_and_lets_the_old_one_go(logs: RequestLogs) -> None:
    first, second = udp(), udp()
    take(logs, topology(first))
    take(logs, topology(second), at=7)
    opened(first).close()
    send(second, line())
    assert (await drained(logs, 1, at=8)).source == f"{second} since 7"
    take(logs, topology(None), at=9)
    assert logs.timing({}, Instant(9)) == {}
    opened(second).close()


async def test_an_address_that_cannot_be_had_changes_nothing(logs: RequestLogs) -> None:
    first, taken, free = udp(), udp(), udp()
    take(logs, topology(first))
    somebody = opened(taken)
    planes = {
        name: replace(PLANE, name=name, request_log=log) for name, log in {"a": free, "b": taken, "c": first}.items()
    }
    with pytest.raises(Unbound):
        logs.opened_for(Topology(planes, {}))  # type: ignore[arg-type]
    somebody.close()
    opened(free).close()
    send(first, line())
    await drained(logs, 1)


async def test_a_service_that_leaves_the_config_has_no_times_any_more(logs: RequestLogs) -> None:
    log = udp()
    take(logs, topology(log))
    take(logs, topology(log, served=False))
    assert logs.timing({}, Instant(1)) == {}


async def test_connections_have_no_lines_and_nobody_waits_for_them(logs: RequestLogs) -> None:
    found = topology(udp())
    tcp = Topology(found.planes, {SHOP: replace(service(), protocol=Protocol.TCP)})
    take(logs, tcp)
    assert logs.timing({}, Instant(1)) == {}


async def test_hostile_lines_are_told_once_a_minute_and_never_more(
    logs: RequestLogs, capsys: pytest.CaptureFixture[str]
) -> None:
    log = udp()
    take(logs, topology(log))
    for second in range(120):
        send(log, *[os.urandom(30)] * 20)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        logs.timing({}, Instant(second * 1_000))
    assert 1 <= capsys.readouterr().out.count("useless_lines") <= 3
