"""Who is taken for a load balancer, or for lbctl itself, among those that are connected to a server."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager

import pytest

from lbctl.model.census import Program
from lbctl.model.topology import Address
from lbctl.model.units import Instant
from lbctl.telemetry.sockets.census import SocketCensus

HOLD = """
import ctypes, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[2].encode())
one = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print("here", flush=True)
sys.stdin.read()
"""
CONTAINED = ("unshare", "--map-root-user", "--pid", "--fork")
"""Its child is number 1 of a pid namespace of its own, as the program of a container is."""


@contextmanager
def program(port: int, name: str, *within: str) -> Iterator[subprocess.Popen[str]]:
    """Another program of this name with one connection."""
    told = [*within, sys.executable, "-c", HOLD, str(port), name]
    child = subprocess.Popen(told, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        if child.stdout.readline() != "here\n":
            pytest.skip("no right to make a pid namespace here")
        yield child
    finally:
        child.communicate("")


async def strangers(port: int, *balancers: int, own: Collection[int] = ()) -> tuple[Program, ...]:
    sockets = SocketCensus(lambda: Instant(0), own=lambda: own)
    return (await sockets.strangers([Address("127.0.0.1", port)], balancers)).programs


async def test_a_load_balancer_in_a_container_is_known_by_its_number_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with program(port, "haproxy", *CONTAINED):
            assert await strangers(port, 1) == ()
            (one,) = await strangers(port, 2)
            assert 1 in one.pids


async def test_another_program_that_has_the_same_number_in_its_container_is_a_stranger() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with program(port, "storefront", *CONTAINED):
            (one,) = await strangers(port, 1)
            assert (one.process, one.inner) == ("storefront", ())


async def test_a_health_check_that_ends_during_the_look_is_no_stranger() -> None:
    """A command of the prober's began after lbctl's own processes were first listed, and has ended before they are
    listed again."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with program(port, "curl") as check:
            assert [one.pid for one in await strangers(port)] == [check.pid]
            asked: list[int] = []

            def own() -> Collection[int]:
                asked.append(os.getpid())
                if len(asked) == 2:
                    check.communicate("")
                return ()

            sockets = SocketCensus(lambda: Instant(0), own=own)
            seen = await sockets.strangers([Address("127.0.0.1", port)], [])
            assert (seen.programs, seen.unnamed, len(asked)) == ((), 0, 2)


LOOK = """
import asyncio, sys
from lbctl.model.topology import Address
from lbctl.model.units import Instant
from lbctl.telemetry.sockets.census import SocketCensus
sockets = SocketCensus(lambda: Instant(0), own=lambda: ())
seen = asyncio.run(sockets.strangers([Address("127.0.0.1", int(sys.argv[1]))], [int(sys.argv[2])]))
print([(one.pid, one.uid) for one in seen.programs], seen.unnamed, flush=True)
"""
OTHER_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all")


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("setpriv") is None, reason="only root can be another user")
def test_without_the_right_to_look_a_number_of_some_container_tells_no_user() -> None:
    """HAProxy calls itself 8 in its container: whoever is number 8 of this host has another user."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with program(port, "haproxy"), subprocess.Popen([*OTHER_USER, "sleep", "60"]) as other:
            try:
                look = [*OTHER_USER, sys.executable, "-c", LOOK, str(port), str(other.pid)]
                said = subprocess.run(look, capture_output=True, text=True, check=True, timeout=30).stdout
            finally:
                other.kill()
    assert said == "[] 1\n"
