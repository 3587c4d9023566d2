"""Writes to the workers of one HAProxy, fenced: an older write never has the last word over a newer one that was done.

A worker that is stopped or overloaded may carry out a batch long after its time-out. So every batch is known from the
moment before it is sent until HAProxy has answered it. A write that finds an older batch under way goes out at once,
waits for the older one's end, and then writes and reads back again. Whoever asks gets `unknown` until that is through.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from lbctl.dataplane.haproxy.client import Blocks, Exchange
from lbctl.dataplane.haproxy.form import Form, Line
from lbctl.dataplane.haproxy.workers import ANYBODY, Worker, ask_worker, facts
from lbctl.model.errors import DataPlaneError, Garbled
from lbctl.model.names import ServiceName
from lbctl.model.operation import Result, SetRoute, Status
from lbctl.model.topology import Instance

UNDER_WAY_MAX = 4
"""So many unanswered batches per worker and service; HAProxy's own queue has about ten places for everybody."""
LANDING_S = 0.1
"""A batch whose connection broke waits in front of a later one that was answered: by then it has been carried out."""
MANY = 32
"""From so many commands on a batch goes straight to the newest worker: the master hands each command on by a
connection of its own, which costs ten times as much."""

Key = tuple[int | None, ServiceName]


class Overtaken(Exception):
    """A newer operation for the same service came in; nothing was sent."""


class Writer:
    """Sets routes in workers, one batch after the other where that matters. How is the service's form's business."""

    def __init__(self, instance: Instance, forms: Mapping[ServiceName, Form]) -> None:
        self._instance = instance
        self._forms = forms
        self._under_way: dict[Key, set[Exchange]] = {}
        self._broken: set[Key] = set()
        self._newest: dict[ServiceName, int] = {}

    def admit(self, operation: SetRoute) -> None:
        """From now on nothing older is sent for this service."""
        self._newest[operation.service] = operation.fence

    def forget(self, alive: Iterable[Worker]) -> None:
        """Drop what was under way to workers that have ended: nothing of it can land."""
        pids = {None, *(worker.pid for worker in alive)}
        self._broken = {key for key in self._broken if key[0] in pids}
        for key in [key for key in self._under_way if key[0] not in pids]:
            for exchange in self._under_way.pop(key):
                exchange.cancel()

    def close(self) -> None:
        """Hang up. What was sent may still be carried out."""
        self.forget(())
        for exchanges in self._under_way.values():
            for exchange in exchanges:
                exchange.cancel()

    async def write(self, worker: Worker, operation: SetRoute, timeout_s: float) -> Result:
        """Write one worker and read it back. Never raises."""
        keys = self._older(worker, operation.service)
        older = {exchange for key in keys for exchange in self._under_way.get(key, ())}
        try:
            full = len(older) >= UNDER_WAY_MAX
            wrong = "" if full else await self._set(worker, operation, timeout_s)
            if older or self._broken & keys:
                await self._landed(older, keys)
                wrong = await self._set(worker, operation, timeout_s)
                # Answered before and after the wait: what was in front of the first answer has had its turn.
                self._broken -= set() if full else keys
        except Overtaken:
            return Result(Status.STALE, f"{self._instance.name}: overtaken by a newer operation")
        except DataPlaneError as error:
            return Result(Status.UNKNOWN, str(error))
        return Result(Status.REFUSED, f"{self._instance.name}: {wrong}") if wrong else Result(Status.DONE)

    def _older(self, worker: Worker, service: ServiceName) -> set[Key]:
        """Nobody knows which worker a batch at the admin socket went to, so it counts for all, and all for it."""
        known = {*self._under_way, *self._broken}
        return {key for key in known if key[1] == service and (None in {worker.pid, key[0]} or key[0] == worker.pid)}

    async def _landed(self, older: set[Exchange], keys: set[Key]) -> None:
        if older:
            await asyncio.wait(older)
        if self._broken & keys:
            await asyncio.sleep(LANDING_S)

    def _sending(self, worker: Worker, operation: SetRoute) -> Callable[[Exchange], None]:
        key = (worker.pid, operation.service)

        def sending(exchange: Exchange) -> None:
            if self._newest.get(operation.service, 0) > operation.fence:
                raise Overtaken
            self._under_way.setdefault(key, set()).add(exchange)
            exchange.add_done_callback(lambda ended: self._ended(key, ended))

        return sending

    def _ended(self, key: Key, exchange: Exchange) -> None:
        left = self._under_way.get(key, set())
        left.discard(exchange)
        if not left:
            self._under_way.pop(key, None)
        if exchange.cancelled() or exchange.exception() is not None:
            self._broken.add(key)

    async def _set(self, worker: Worker, operation: SetRoute, timeout_s: float) -> str:
        async def ask(commands: Sequence[str]) -> Blocks:
            return await ask_worker(self._instance, worker, commands, timeout_s)

        async def change(commands: Sequence[str]) -> Blocks:
            if len(commands) >= MANY and worker.pid is not None and not worker.is_old and self._instance.socket:
                return await self._straight(worker, operation, commands, timeout_s)
            return await ask_worker(self._instance, worker, commands, timeout_s, self._sending(worker, operation))

        return await self._forms[operation.service].bring(Line(worker, ask, change), operation.route)

    async def _straight(self, worker: Worker, operation: SetRoute, commands: Sequence[str], timeout_s: float) -> Blocks:
        """Change by the admin socket, where the newest worker answers, and make sure that it was this one."""
        sending = self._sending(ANYBODY, operation)
        about, *answers = await ask_worker(self._instance, ANYBODY, ["show info", *commands], timeout_s, sending)
        if facts(about).get("Pid") != str(worker.pid):
            raise Garbled(f"{self._instance.socket}: worker {worker.pid} does not answer there: is it being reloaded?")
        return answers
