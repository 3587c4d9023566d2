"""The boot values: the map file read at every look, all files written in order, never waited for too long.

A boot value of a raise that a disk holds up is given up and never lands: the next order, which may be the way back of
what routes, must not wait for it. One of a way back takes over without the disk.
"""

import asyncio

from lbctl.dataplane.haproxy.alone import alone
from lbctl.dataplane.haproxy.form import Form
from lbctl.dataplane.haproxy.statemap import read_file
from lbctl.dataplane.patience import Patience, Patiences
from lbctl.dataplane.threads import beside
from lbctl.model.names import ServiceName
from lbctl.model.operation import Result, SetRoute, Status
from lbctl.model.route import Route
from lbctl.model.topology import Instance

WAITING_MAX = 64
"""More writes than this do not wait for a disk that hangs."""


class BootFiles:
    """One instance's files. Writes go on in their order even where nobody waits any more; older ones give way."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._order = asyncio.Lock()
        self._newest: dict[ServiceName, int] = {}
        self._running: set[asyncio.Task[Result]] = set()
        self._patiences = Patiences()

    def read(self) -> dict[str, str] | None:
        """Return the map that HAProxy would read at its next start; None if it cannot be read."""
        try:
            return read_file(self._instance)
        except OSError:
            return None

    async def write(self, form: Form, operation: SetRoute) -> Result:
        """Set one service's boot value. A cancellation stops the waiting, not the write."""
        self._newest[operation.service] = operation.fence
        if len(self._running) >= WAITING_MAX:
            return Result(Status.UNKNOWN, f"{_names(form)}: {WAITING_MAX} writes wait: does the disk hang?")
        task = asyncio.create_task(self._raised_or_lowered(form, operation))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _raised_or_lowered(self, form: Form, operation: SetRoute) -> Result:
        """What is bound to what it found gives up in time; the rest, which may be a way back, does not wait."""
        if operation.expect is None and operation.expect_generation is None:
            return await self._write(form, operation, self._patiences.back())
        with self._patiences.out() as patience:
            return await self._write(form, operation, patience)

    async def _write(self, form: Form, operation: SetRoute, patience: Patience) -> Result:
        async with self._order:
            if self._newest[operation.service] > operation.fence:
                return Result(Status.STALE, f"{_names(form)}: overtaken by a newer operation")
            try:
                await beside(self._store, form, operation.route, patience)
            except (OSError, ValueError) as error:
                return Result(Status.REFUSED, f"{_names(form)} cannot be written: {error}")
        return Result(Status.DONE)

    def _store(self, form: Form, route: Route, patience: Patience) -> None:
        with alone(self._instance, patience):
            form.store(route, patience)


def _names(form: Form) -> str:
    return " and ".join(map(str, form.boot_files))
