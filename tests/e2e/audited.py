"""A daemon over two services of one unit whose journal is read as it lies on the disk, by a process that is not the
daemon: what a `kill -9` leaves. Nobody calls the servers; a release goes on when somebody says so."""

import asyncio
import grp
import os
import pwd
import shutil
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lbctl.demo import ground
from lbctl.demo.control import Control
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import Proxy
from lbctl.model.entry import Entry
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Record
from lbctl.store.codec import decode_entry, decode_record
from tests.e2e.scene import haproxy, until
from tests.integration.test_control_peers import ask

Json = dict[str, Any]

ACCOUNTS, STOREFRONT, UNIT = ServiceName("accounts"), ServiceName("storefront"), "shop"
ROOT = os.geteuid() == 0
"""Only root can be another user: else nobody approves, and no approval is needed."""
OTHER = 1
"""A user, and its group, who approves what the tests' own user began."""
GROUP = grp.getgrgid(OTHER).gr_name
ACCESS = f"""    approvals: {{count: 1, group: {GROUP}}}
access: {{admin: {{user: root}}, observe: {{group: {GROUP}}}}}
"""
SELF = f"uid {os.geteuid()} ({pwd.getpwuid(os.geteuid()).pw_name}) pid {os.getpid()}"


class Journal:
    """The journal's file, read as it is on the disk."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def newest(self) -> int:
        """The number of the last entry."""
        with self._open() as db:
            return int(db.execute("SELECT coalesce(max(id), 0) FROM entries").fetchone()[0])

    def entries(self, after: int, who: str) -> list[tuple[str, Entry]]:
        """What was told since an entry of what somebody asked for, each with its wall time."""
        with self._open() as db:
            rows = db.execute("SELECT wall, payload, crc FROM entries WHERE id>? ORDER BY id", (after,)).fetchall()
        found = [(wall, decode_entry(payload, crc, wall)) for wall, payload, crc in rows]
        return [(wall, one) for wall, one in found if one.actor.startswith(who)]

    def around(self, wall: str) -> tuple[Record, Record]:
        """The record before, and the one that was written at that wall time."""
        query = "SELECT payload, crc, rev, wall FROM records WHERE seq<=? ORDER BY seq DESC LIMIT 2"
        with self._open() as db:
            (last,) = db.execute("SELECT max(seq) FROM records WHERE wall=?", (wall,)).fetchone()
            after, *before = (decode_record(*row) for row in db.execute(query, (last,)).fetchall())
        return (before or [Record()])[0], after

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Open a copy: the daemon lets nobody else read its own."""
        with tempfile.TemporaryDirectory() as copy:
            for one in (self._path, self._path.with_name(f"{self._path.name}-wal")):
                shutil.copy(one, copy)
            with closing(sqlite3.connect(Path(copy) / self._path.name)) as db:
                yield db


@dataclass(frozen=True)
class Audited:
    """A daemon and its journal."""

    directory: Path
    control: Control
    journal: Journal

    async def unit(self) -> Json:
        """The unit's status."""
        found: Json = (await self.control.get("/v1/status"))["units"][UNIT]
        return found

    async def number(self) -> str:
        """The newest release's."""
        return str((await self.control.get("/v1/history"))["releases"][0]["id"])

    async def post(self, path: str, body: Json, *, by_another: bool = False) -> str:
        """Ask; returns how the journal begins to call whoever asked. `{release}` is the newest one's number.

        Raises:
            RefusedError: it was not done.
        """
        path = path.format(release=await self.number()) if "{" in path else path
        if not by_another:
            await self.control.post(path, body)
            return SELF
        socket = str(self.directory / "run" / "control.sock")
        status, answer = await ask(socket, "POST", path, uid=OTHER, sent=body)
        assert status == 200, answer
        return f"uid {OTHER} "

    async def phase_is(self, *wanted: str) -> None:
        """Wait until the newest release is in one of these phases."""

        async def there() -> bool:
            return (await self.unit())["phase"] in wanted

        await until(there)

    async def readable(self) -> bool:
        """Whether every load balancer is read and every server is up."""
        services = (await self.control.get("/v1/status"))["services"].values()
        reached = [one["reachable"] for each in services for one in each["instances"].values()]
        return all((*reached, *(server["up"] for each in services for server in each["servers"].values())))


@asynccontextmanager
async def audited() -> AsyncIterator[Audited]:
    """The daemon on an HAProxy, in a directory that other users reach, once all of it is read."""
    with tempfile.TemporaryDirectory(prefix="lbctl-audit-") as name:
        directory, proxy = Path(name), haproxy()
        directory.chmod(0o755)
        servers = {(service, colour): free_port() for service in (ACCOUNTS, STOREFRONT) for colour in Colour}
        listening = [await asyncio.start_server(_well, "127.0.0.1", port) for port in servers.values()]
        try:
            async with ground.running(directory, proxy, _config(directory, proxy, servers)) as (_, control):
                here = Audited(directory, control, Journal(directory / "state" / "journal.db"))
                await until(here.readable)
                yield here
        finally:
            for one in listening:
                one.close()


def _config(directory: Path, proxy: Proxy, servers: dict[tuple[ServiceName, Colour], int]) -> str:
    ports = ", ".join(f"{colour}: '127.0.0.1:{free_port()}'" for colour in Colour)
    called = f"    consumers: {{{STOREFRONT}: {{pin: listener, {ports}}}}}\n"
    services = _service(ACCOUNTS, proxy, servers) + called + _service(STOREFRONT, proxy, servers)
    return f"""{ground.head(directory, proxy.plane(directory))}{services}units:
  {UNIT}:
    services: [{ACCOUNTS}, {STOREFRONT}]
    rendezvous: all
    steps: [10%, 50%, 100%]
    hold: {{min: 60s, max: 5m, then: ask}}
    bake: 60s
    retain: 0s
{ACCESS if ROOT else ""}"""


def _service(name: ServiceName, proxy: Proxy, servers: dict[tuple[ServiceName, Colour], int]) -> str:
    pools = ", ".join(f"{colour}: {{{name}-{colour}: '127.0.0.1:{servers[name, colour]}'}}" for colour in Colour)
    return f"""  {name}:
    data_plane: edge
    {proxy.binding(name)}
    listen: 127.0.0.1:{free_port()}
    pools: {{{pools}}}
    health: {{http: /, interval: 500ms, timeout: 400ms, rise: 1, fall: 2}}
    drain: {{quiet: 1s, idle: 1s, limit: 60s}}
"""


async def _well(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server that is well, whatever it is asked."""
    with closing(writer), suppress(OSError):
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
