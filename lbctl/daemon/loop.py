"""The loop: observe → fold → decide → record → plan → apply → read back → tell.

One task owns the state. Everything else (readings, results of writes, requests of people, a new config) arrives in the
inbox, so nothing here is ever locked and nothing that hangs elsewhere delays a decision.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from lbctl.core import machine
from lbctl.core.commit import PATIENCE
from lbctl.core.leaving import leaving_services
from lbctl.core.state import Administered, Applied, Configured, Effect, Recorded, State, Tick
from lbctl.daemon.executor import Executor
from lbctl.daemon.ports import Eyes, Keeping, Now
from lbctl.model.errors import Refused
from lbctl.model.hook import HookAnswer
from lbctl.model.names import InstanceName
from lbctl.model.operation import Status
from lbctl.model.record import Record
from lbctl.model.request import Answer, Request
from lbctl.model.topology import Topology

TICK_BUSY_S = 0.1
"""The longest time between two decisions while a release runs; a new reading decides at once."""
TICK_REST_S = 1.0
INBOX_MAX = 1_000
ANSWER_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Proposed:
    """A config that is looked at and taken within one turn of the loop: nothing is decided between the two."""

    topology: Topology
    refused: Callable[[Record], str]
    take: Callable[[], None]
    outcome: "asyncio.Future[str]"


Arrival = Request | Recorded | Applied | Administered | Proposed | HookAnswer


class Loop:
    """Owns the state. `arrive` and `submit` are the only ways in; `state` may be read by anyone on the event loop."""

    def __init__(self, state: State, keeper: Keeping, now: Now) -> None:
        self.state = state
        self._keeper = keeper
        self._now = now
        self._inbox: asyncio.Queue[Arrival] = asyncio.Queue()
        self._wake = asyncio.Event()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._eyes: Eyes
        self._executor: Executor
        self._ticked: Callable[[float], None]
        self._due = float("inf")

    def connect(self, eyes: Eyes, executor: Executor, *, ticked: Callable[[float], None]) -> None:
        """Give the loop its eyes and hands, before `run`. `ticked` is called after every completed tick with
        the seconds since it was due: the watchdog is fed there and nowhere else."""
        self._eyes = eyes
        self._executor = executor
        self._ticked = ticked

    def arrive(self, arrival: Recorded | Applied | Administered | HookAnswer) -> None:
        """Take a fact. Bounded by what the daemon itself has under way."""
        self._inbox.put_nowait(arrival)
        self.wake()

    async def reconfigure(
        self, topology: Topology, *, refused: Callable[[Record], str], take: Callable[[], None]
    ) -> str:
        """Take a new config, and return "". If `refused` says why the record does not allow it, as it is in the turn in
        which the config would be taken, return that and change nothing. `take` is called in that turn, if it is."""
        outcome: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._inbox.put_nowait(Proposed(topology, refused, take, outcome))
        self._wake.set()
        return await outcome

    def wake(self) -> None:
        """A new reading is there: decide now."""
        self._due = min(self._due, asyncio.get_running_loop().time())
        self._wake.set()

    async def submit(self, request: Request) -> Answer:
        """Return the answer to a request once it is decided, and durable if it was accepted.

        Raises:
            Refused: too many requests wait, or the journal did not answer in time (the outcome is then open).
        """
        if self._inbox.qsize() >= INBOX_MAX:
            raise Refused("busy", "too many requests wait", then="try again", exit_code=1)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._answers[request.id] = future
        self._inbox.put_nowait(request)
        self.wake()
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                return await future
        except TimeoutError:
            raise Refused(
                "slow_journal",
                "the decision is not on disk yet",
                why=f"the journal did not answer within {ANSWER_TIMEOUT_S:g} s",
                then="lbctl status tells whether it was taken",
                exit_code=1,
            ) from None
        finally:
            self._answers.pop(request.id, None)

    def answered(self, answer: Answer) -> None:
        """Hand an answer to whoever waits for it; nobody may be left."""
        future = self._answers.get(answer.request_id)
        if future is not None and not future.done():
            future.set_result(answer)

    async def run(self) -> None:
        """Decide until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            pause_s = TICK_BUSY_S if self._busy() else TICK_REST_S
            by_the_clock = loop.time() + pause_s
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()
            due, self._due = min(self._due, by_the_clock), float("inf")
            self._wake.clear()
            self._drain()
            self._tick()
            self._ticked(loop.time() - due)

    def _busy(self) -> bool:
        record = self.state.record
        return any(not one.phase.ended for one in record.releases.values()) or bool(leaving_services(record))

    def _drain(self) -> None:
        """Take everything that arrived; each arrival is a step of its own."""
        for _ in range(self._inbox.qsize()):
            arrival = self._inbox.get_nowait()
            if isinstance(arrival, Proposed):
                self._propose(arrival)
                continue
            if isinstance(arrival, Recorded | Applied | Administered | HookAnswer):
                self.state, effects = machine.step(self.state, arrival)
            else:
                self.state, effects = machine.ask(self.state, arrival, self._now())
                if any(one.goes_back for one in self.state.answers):
                    # A way back is answered in time although the journal says nothing: look again then.
                    asyncio.get_running_loop().call_later(PATIENCE / 1_000 + 0.001, self.wake)
            self._carry_out(effects)
            if isinstance(arrival, Applied) and any(one.status is not Status.REFUSED for one in arrival.results):
                # What was refused is tried again at the pace of the readings, not as fast as it can be refused.
                self._eyes.poke(arrival.instance)
            if isinstance(arrival, Administered):
                self._eyes.poke(arrival.instance)

    def _propose(self, proposed: Proposed) -> None:
        why = proposed.refused(self.state.record)
        if not why:
            proposed.take()
            self.state, effects = machine.step(self.state, Configured(self._now(), proposed.topology))
            self._carry_out(effects)
        if not proposed.outcome.done():
            proposed.outcome.set_result(why)

    def _tick(self) -> None:
        observed = self._eyes.observed(self.state.record)
        self.state, effects = machine.step(self.state, Tick(self._now(), observed))
        self._carry_out(effects)
        self._eyes.pace(self._instances_in_release())
        self._keeper.keep(self.state, self._now())

    def _carry_out(self, effects: tuple[Effect, ...]) -> None:
        self._executor.carry_out(effects)

    def _instances_in_release(self) -> frozenset[InstanceName]:
        topology: Topology = self.state.topology
        record = self.state.record
        running = [name for one in record.releases.values() if not one.phase.ended for name in one.members]
        return frozenset(
            instance
            for name in (*running, *leaving_services(record))
            if name in topology.services
            for instance in topology.instances_of(name)
        )
