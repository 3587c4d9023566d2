"""What HAProxy answers, as facts: tables, maps, processes, and all that can be wrong with them."""

import time

import pytest

from lbctl.dataplane.haproxy.client import _blocks
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.statemap import parse_lines
from lbctl.dataplane.haproxy.statistics import WANTED, Pools, Table
from lbctl.dataplane.haproxy.workers import WORKERS_MAX, Worker, batches, generation, parse_processes
from lbctl.model.errors import Garbled, Unreachable
from lbctl.model.names import Generation, InstanceName, ServerName
from lbctl.model.topology import Instance
from lbctl.model.units import Instant

HEADER = "# pxname,svname," + ",".join(WANTED) + ",last_chk,"
ZEROS = dict.fromkeys(WANTED, "0") | {"status": "UP", "weight": "1"}


def line(server: str, check: str = "", **figures: str) -> str:
    """A line of `show stat`."""
    return ",".join(["be", server, *(ZEROS | figures).values(), check, ""])


def table(*lines: str) -> Table:
    return Table("be", [HEADER, *lines, line("BACKEND", hrsp_2xx="7", hrsp_5xx="2", srv_abrt="1", scur="3", qcur="1")])


def test_counters_are_the_newest_workers_and_gauges_are_those_of_all() -> None:
    newest = table(line("s1", stot="19", hrsp_5xx="1", eresp="2", econ="3", wretr="4", wredis="5", scur="6", qcur="7"))
    older = table(line("s1", stot="1000", scur="10", qcur="20"), line("gone", scur="1"))
    pool = Pools().reading("be", [newest, older])
    one = pool.servers[ServerName("s1")]
    assert set(pool.servers) == {"s1"}
    assert (one.requests, one.errors, one.retries, one.in_flight, one.queued) == (19, 11, 5, 16, 27)
    assert (pool.requests, pool.errors, pool.in_flight) == (9, 3, 8)


@pytest.mark.parametrize(
    ("status", "weight", "up", "usable"),
    [
        ("UP", "1", True, True),
        ("UP 1/3", "1", True, True),
        ("UP", "0", True, False),
        ("no check", "1", True, True),
        ("DRAIN", "0", True, False),
        ("NOLB", "1", True, False),
        ("DOWN", "1", False, False),
        ("DOWN 1/2", "1", False, False),
        ("MAINT", "1", False, False),
        ("MAINT (via be/x)", "1", False, False),
        ("", "", False, False),
        ("something new", "1", False, False),
    ],
)
def test_only_what_would_be_given_a_request_is_usable(status: str, weight: str, up: bool, usable: bool) -> None:
    one = Pools().reading("be", [table(line("s1", status=status, weight=weight))]).servers[ServerName("s1")]
    assert (one.up, one.usable) == (up, usable)


def test_a_server_that_is_down_says_what_the_check_said() -> None:
    seen = Pools().reading("be", [table(line("s1", '"Connection refused"', status="DOWN"))])
    assert seen.servers[ServerName("s1")].detail == "DOWN Connection refused"


def test_a_reading_follows_every_change_although_unchanged_servers_are_remembered() -> None:
    pools = Pools()
    for stot in ("1", "1", "2", "0", "2"):
        for status in ("UP", "DOWN", "UP"):
            seen = pools.reading("be", [table(line("s1", stot=stot, status=status), line("s2"))])
            one = seen.servers[ServerName("s1")]
            assert (one.requests, one.up) == (int(stot), status == "UP")
    assert set(pools.reading("be", [table(line("s2"))]).servers) == {"s2"}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "nothing"),
        (["No such proxy."], "No such proxy"),
        ([HEADER], "no backend be"),
        ([HEADER, line("s1")], "no backend be"),
        ([HEADER.replace("stot", "other"), line("BACKEND")], "no column stot"),
        ([HEADER, "be,BACKEND,UP"], "no backend be"),
    ],
)
def test_a_table_that_is_none_is_garbled_and_named(lines: list[str], said: str) -> None:
    with pytest.raises(Garbled, match=said):
        Table("be", lines)


def test_counts_that_are_no_numbers_are_zero() -> None:
    seen = Pools().reading("be", [table(line("s1", stot="", scur="x", qcur="-", econ="٣"))])
    assert seen.servers[ServerName("s1")].requests == 0


def test_a_thousand_servers_take_milliseconds() -> None:
    lines = [HEADER, *(line(f"s{number}") for number in range(1_000)), line("BACKEND")]
    pools = Pools()
    pools.reading("be", [Table("be", lines)])
    best = 1.0
    for _ in range(20):
        began = time.process_time()
        pools.reading("be", [Table("be", lines)])
        best = min(best, time.process_time() - began)
    assert best < 0.015


def test_answers_are_cut_at_their_empty_lines() -> None:
    assert _blocks("p", b"a: 1\nb: 2\n\n\nx\n\n", 3) == [["a: 1", "b: 2"], [], ["x"]]
    with pytest.raises(Garbled, match="1 answers to 2 commands"):
        _blocks("p", b"a\n\n", 2)
    with pytest.raises(Garbled, match="0 answers to 1 commands"):
        _blocks("p", b"a\nb", 1)
    with pytest.raises(Unreachable, match="without an answer"):
        _blocks("p", b"", 1)


def test_no_batch_is_longer_than_haproxy_takes_and_none_is_lost_or_reordered() -> None:
    commands = [f"show stat backend-number-{number} 6 -1" for number in range(1_000)]
    found = batches(commands)
    assert [command for batch in found for command in batch] == commands
    assert all(len(";".join(f"@!4194304 {command}" for command in batch)) < 8_000 for batch in found)
    assert len(found) < 10


def test_the_first_of_two_equal_keys_counts_and_foreign_lines_are_skipped() -> None:
    lines = ["# a remark", "", "shop 1:2:3", "shop 4:5:6", "   till \t 7:8:9  ", "alone", "#till x"]
    assert parse_lines(lines, columns=2) == {"shop": "1:2:3", "till": "7:8:9"}
    assert parse_lines(["0x7f shop 1:2:3", "0x7f alone"], columns=3) == {"shop": "1:2:3"}


def test_processes_are_listed_with_the_newest_worker_first() -> None:
    lines = [
        "#<PID>          <type>          <reloads>       <uptime>        <version>",
        "10              master          1 [failed: 0]   0d00h00m04s     2.6.12",
        "# workers",
        "13              worker          0               0d00h00m01s     2.6.12",
        "# old workers",
        "12              worker          1               0d00h00m04s     2.6.12",
        "# programs",
        "14              program         0               0d00h00m04s     -",
        "nonsense",
        "",
    ]
    assert parse_processes(lines) == [Worker(13, is_old=False), Worker(12, is_old=True)]
    assert parse_processes(["Unknown command"]) == []


def test_a_life_has_a_pid_or_is_garbled() -> None:
    assert generation({"Pid": "7", "Start_time_sec": "99"}) == "7@99"
    with pytest.raises(Garbled, match="no Pid"):
        generation({"Name": "something else"})


@pytest.mark.parametrize("count", [2, WORKERS_MAX])
def test_who_has_more_workers_than_are_asked_says_that_some_are_not_seen(count: int) -> None:
    instance = Instance(name=InstanceName("edge/lb1"), directory="/x", socket="/x/a", master_socket="/x/m")
    driver = HaproxyInstance(instance, (), lambda: Instant(0))
    looks = [Look(Worker(pid, bool(pid)), Generation(f"{pid}@1"), 1, {}, {}) for pid in range(count)]
    assert [one.partition(":")[0] for one in driver._unseen(looks)] == ["OLD_WORKERS_UNSEEN"] * (count == WORKERS_MAX)
