"""The kernel's list of connections, on real sockets of loopback: exact counts, holders, and ends of single ones."""

import asyncio
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from lbctl.demo.ports import free_port
from lbctl.model.census import Connections
from lbctl.model.topology import Address
from lbctl.model.units import Instant
from lbctl.telemetry.sockets import ending
from lbctl.telemetry.sockets.census import SocketCensus
from lbctl.telemetry.sockets.rows import rows_to

HOLDING = """
import socket, sys
kept = [socket.create_connection((sys.argv[1], int(sys.argv[2]))) for _ in range(int(sys.argv[3]))]
print("connected", flush=True)
sys.stdin.read()
"""


class Ground:
    """Listeners and connections of this test."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def listening(self, host: str = "127.0.0.1", port: int = 0) -> socket.socket:
        """A server that accepts nobody: the kernel connects all the same."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        dual = host == "::"
        return self._stack.enter_context(socket.create_server((host, port), family=family, dualstack_ipv6=dual))

    def connected(self, host: str, port: int, family: int = socket.AF_INET) -> socket.socket:
        """A connection."""
        made = self._stack.enter_context(socket.socket(family))
        made.settimeout(2)
        made.connect((host, port))
        return made

    def held(self, host: str, port: int, count: int) -> int:
        """Connections that another process has; returns its pid."""
        told = [sys.executable, "-c", HOLDING, host, str(port), str(count)]
        child = subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._stack.callback(child.communicate, "")
        assert child.stdout is not None
        assert child.stdout.readline() == "connected\n"
        return child.pid


@pytest.fixture
def ground() -> Iterator[Ground]:
    with ExitStack() as stack:
        yield Ground(stack)


@pytest.fixture
async def foreign() -> SocketCensus:
    """A census that takes this process for somebody else."""
    return SocketCensus(lambda: Instant(5), own=lambda: ())


async def test_connections_are_counted_by_server_in_ipv4_ipv6_and_mapped(ground: Ground, foreign: SocketCensus) -> None:
    port = ground.listening("::").getsockname()[1]
    for _ in range(3):
        ground.connected("127.0.0.1", port)
    ground.connected("::ffff:127.0.0.1", port, socket.AF_INET6)
    ground.connected("::1", port, socket.AF_INET6)
    ground.connected("127.0.0.2", port)
    seen = await foreign.census([Address("127.0.0.1", port), Address("::1", port), Address("127.0.0.3", port)])
    assert seen.taken_at == 5
    assert not seen.cannot
    assert {str(server): one.established for server, one in seen.servers.items()} == {
        f"127.0.0.1:{port}": 4,
        f"[::1]:{port}": 1,
        f"127.0.0.3:{port}": 0,
    }


async def test_colours_that_share_hosts_are_told_apart_by_port(ground: Ground, foreign: SocketCensus) -> None:
    blue, green = (ground.listening().getsockname()[1] for _ in range(2))
    for port in (blue, blue, green):
        ground.connected("127.0.0.1", port)
    seen = await foreign.census([Address("127.0.0.1", blue)])
    assert seen.servers == {Address("127.0.0.1", blue): Connections(established=2)}


async def test_more_servers_than_the_kernel_compares_are_counted_exactly(ground: Ground, foreign: SocketCensus) -> None:
    port = ground.listening("0.0.0.0").getsockname()[1]
    for last in (1, 1, 2, 200):
        ground.connected(f"127.0.0.{last}", port)
    seen = await foreign.census([Address(f"127.0.0.{last}", port) for last in range(1, 101)])
    counted = {server.host: one.count for server, one in seen.servers.items() if one.count}
    assert counted == {"127.0.0.1": 2, "127.0.0.2": 1}


async def test_a_connection_that_one_end_has_ended_is_closing(ground: Ground, foreign: SocketCensus) -> None:
    server = ground.listening()
    port = server.getsockname()[1]
    ground.connected("127.0.0.1", port)
    peer, _ = server.accept()
    with peer:
        peer.shutdown(socket.SHUT_WR)
        seen = await foreign.census([Address("127.0.0.1", port)])
    assert seen.servers[Address("127.0.0.1", port)] == Connections(closing=1)


async def test_connections_of_lbctl_itself_are_left_out(ground: Ground) -> None:
    port = ground.listening().getsockname()[1]
    ground.connected("127.0.0.1", port)
    other = ground.held("127.0.0.1", port, 2)
    server = Address("127.0.0.1", port)
    for own, left in (((os.getpid(),), 2), ((os.getpid(), other), 0), ((), 3)):
        seen = await SocketCensus(lambda: Instant(0), own=lambda own=own: own).census([server])  # type: ignore[misc]
        assert seen.servers[server].count == left


async def test_holders_are_named_with_their_process(ground: Ground, foreign: SocketCensus) -> None:
    port = ground.listening().getsockname()[1]
    pid = ground.held("127.0.0.1", port, 2)
    mine = ground.connected("127.0.0.1", port)
    seen = await foreign.sockets([Address("127.0.0.1", port)])
    assert sorted(one.pid or 0 for one in seen.sockets) == sorted([pid, pid, os.getpid()])
    ours = next(one for one in seen.sockets if one.pid == os.getpid())
    assert ours.local == Address(*mine.getsockname())
    assert ours.remote == Address("127.0.0.1", port)
    assert ours.uid == os.getuid()
    assert ours.state == "established"
    assert ours.process


async def test_what_waits_to_be_read_is_told(ground: Ground, foreign: SocketCensus) -> None:
    server = ground.listening()
    port = server.getsockname()[1]
    ground.connected("127.0.0.1", port)
    peer, _ = server.accept()
    with peer:
        peer.sendall(b"12345")
        (one,) = (await foreign.sockets([Address("127.0.0.1", port)])).sockets
    assert one.unread_bytes == 5


async def test_nobody_is_asked_about_no_servers(foreign: SocketCensus) -> None:
    assert not (await foreign.census([])).servers
    assert not (await foreign.sockets([])).sockets


async def test_without_a_netlink_socket_it_says_so_and_counts_nothing(foreign: SocketCensus) -> None:
    asyncio.get_running_loop().run_in_executor(None, int)  # the thread exists before the limit
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        seen = await foreign.census([Address("127.0.0.1", 1)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert seen.cannot == "NO_NETLINK: no netlink socket: Too many open files"
    assert seen.total([Address("127.0.0.1", 1)]) is None


async def may_end() -> None:
    if why := await ending.why_not():
        pytest.skip(why)


async def test_only_the_connections_named_are_ended_and_only_once(ground: Ground, foreign: SocketCensus) -> None:
    await may_end()
    old, new = (ground.listening("::").getsockname()[1] for _ in range(2))
    doomed = [
        ground.connected("127.0.0.1", old),
        ground.connected("::1", old, socket.AF_INET6),
        ground.connected("::ffff:127.0.0.1", old, socket.AF_INET6),
    ]
    spared = ground.connected("127.0.0.1", new)
    rows = rows_to(frozenset({Address("127.0.0.1", old), Address("::1", old)}))
    assert await ending.end(rows) == 3
    assert await ending.end(rows) == 0
    for one in doomed:
        with pytest.raises(OSError, match=r"abort|reset"):
            one.recv(1)
    spared.sendall(b"x")
    seen = await foreign.census([Address("127.0.0.1", old), Address("127.0.0.1", new)])
    assert [one.count for one in seen.servers.values()].count(0) == 1
    assert seen.servers[Address("127.0.0.1", new)].established == 1


async def test_a_new_connection_at_the_same_ports_is_not_hit(ground: Ground) -> None:
    await may_end()
    port = ground.listening().getsockname()[1]
    with socket.socket() as first:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        first.bind(("127.0.0.1", free_port()))  # one that the kernel gives nobody else in between
        first.connect(("127.0.0.1", port))
        local = first.getsockname()
        rows = rows_to(frozenset({Address("127.0.0.1", port)}))
    with socket.socket() as second:
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        second.bind(local)
        second.connect(("127.0.0.1", port))
        assert await ending.end(rows) == 0
        second.sendall(b"x")


def test_without_the_capability_it_says_what_to_give() -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can give rights up, and only with setpriv")
    code = "import asyncio; from lbctl.telemetry.sockets import ending; print(asyncio.run(ending.why_not()))"
    told = ["setpriv", "--bounding-set=-net_admin", sys.executable, "-c", code]
    said = subprocess.run(told, capture_output=True, text=True, check=True).stdout
    assert said == "NO_PERMISSION: the kernel forbids it: give lbctld CAP_NET_ADMIN\n"


ASKED = """
import asyncio, sys
from lbctl.model.census import Owner
from lbctl.telemetry.sockets.severing import Severing
print(asyncio.run(Severing().why_not(Owner((int(sys.argv[1]),), 0))))
"""


# As in the shipped units: the load balancer may take low ports, and lbctld runs as its user; or as another one.
LOW_PORTS, OTHER_USER = "--bounding-set=-all,+net_bind_service", "--reuid=1"


@pytest.mark.parametrize(
    ("theirs", "ours", "code"),
    [
        (LOW_PORTS, "+net_admin", "NO_OWNER"),
        (LOW_PORTS, "+net_admin,+net_bind_service", ""),
        (OTHER_USER, "+net_admin", "NO_OWNER"),
    ],
)
def test_whether_connections_can_be_told_apart_is_tried_on_the_process_that_has_them(
    theirs: str, ours: str, code: str
) -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can give rights up, and only with setpriv")
    with subprocess.Popen(["setpriv", theirs, "sleep", "30"]) as load_balancer:
        try:
            told = ["setpriv", f"--bounding-set=-all,{ours}", sys.executable, "-c", ASKED, str(load_balancer.pid)]
            said = subprocess.run(told, capture_output=True, text=True, check=True).stdout.strip()
        finally:
            load_balancer.kill()
    if said.startswith("NO_PERMISSION"):
        pytest.skip(said)
    assert said.partition(":")[0] == code
