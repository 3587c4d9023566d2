"""Lives of lbctld that end at a crash point, and what must be true of every death: nobody noticed, nothing is lost."""

import asyncio
import itertools
import json
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import psutil

from lbctl.crash import EXIT, VARIABLE, Point
from lbctl.demo.control import RefusedError
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.outside import routes
from tests.e2e.scene import Json, events, status, until

PLAN = """steps: [10%, 50%, 100%]
hold: {min: 300ms, max: 5m, then: ask}
bake: 300ms
retain: 0s
hooks: [{at: before_step, exec: /bin/true}]
"""
ALERTS = "[{name: told, exec: /bin/true, on: [started, step, finished, rollback, held, paused, daemon, config]}]"
REACHED_S = 30.0
AWAY = (aiohttp.ClientError, OSError, TimeoutError)


@dataclass(slots=True)
class Lives:
    """One stage on which lbctld dies again and again. `problems` is empty at the end, or a promise was broken."""

    here: Stage
    recoveries: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    """What the same cost: seconds of a busy machine are not those of a quiet one."""
    problems: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    seen: dict[int, str] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def end_at(self, point: Point, passings: int, prepare: Callable[[], Awaitable[None]] | None = None) -> None:
        """Live until `point` was passed so often, stay dead for a moment, and come back.

        `prepare` is done while lbctld is dead, before that life.
        """
        name = f"{point}:{passings}"
        await self.here.daemon.stop(signal.SIGKILL)
        if prepare is not None:
            await prepare()
        await self.here.daemon.start(environment={VARIABLE: name})
        working = asyncio.create_task(self._work(stopping=point in {Point.STOP_ASKED, Point.STOP_DONE}))
        try:
            code = await self.here.daemon.ended(REACHED_S)
            self._expect(code == EXIT, f"{name}: ended with {code}")
        except TimeoutError:
            self.problems.append(f"{name}: never passed within {REACHED_S:g} s")
            await self.here.daemon.stop(signal.SIGKILL)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        if not point.startswith("envoy.launch"):
            await self._stay_dead(name)
        await self._come_back(name)

    async def _stay_dead(self, name: str) -> None:
        """What was sent before the end may land at once; after that nothing changes."""
        await asyncio.sleep(0.1)
        first = await routes(self.here)
        await asyncio.sleep(0.3)
        second = await routes(self.here)
        self._expect(first == second, f"{name}: {first} became {second} while lbctld was dead")

    async def _come_back(self, name: str) -> None:
        began = time.monotonic()
        await self.here.daemon.start()
        await until(self._right, 20)
        self.recoveries.append(time.monotonic() - began)
        self.cpu_s.append(sum(psutil.Process(self.here.daemon.pid).cpu_times()[:2]))
        told = {one["id"]: one for one in await events(self.here)}
        texts = json.dumps([*told.values()])
        lost = [reason for reason in self.accepted if reason not in texts]
        self._expect(not lost, f"{name}: accepted and forgotten: {lost}")
        changed = [number for number, text in self.seen.items() if told.get(number, {}).get("text") != text]
        self._expect(not changed, f"{name}: events {changed} were told and are not there any more")

    async def _right(self) -> bool:
        with suppress(*AWAY):
            now = (await status(self.here))["instances"].values()
            return all(one["reachable"] and one["routes"] == [one["boot"]] for one in now)
        return False

    def _expect(self, holds: bool, otherwise: str) -> None:
        if not holds:
            self.problems.append(otherwise)

    async def _work(self, *, stopping: bool) -> None:
        """Do all that has an effect, round after round, until lbctld is dead."""
        await self.here.control.wait_up(20)
        if stopping:
            self.here.daemon.send(signal.SIGTERM)
        for number in itertools.count():
            for act in (*ROUND, *([_back] if number % 2 == 0 else [_end])):
                with suppress(RefusedError, *AWAY):
                    await act(self)
                    await self._look()
                await asyncio.sleep(0.02)

    async def order(self, path: str, **body: object) -> Json:
        """Ask for something; once it is accepted it must never be forgotten."""
        reason = f"life-{next(self.numbers)}."
        answer = await self.here.control.post(path, {**body, "reason": reason})
        self.accepted.append(reason)
        return answer

    async def _look(self) -> None:
        after = max(self.seen, default=0)
        found = (await self.here.control.get(f"/v1/events?after={after}&limit=500"))["events"]
        self.seen |= {one["id"]: one["text"] for one in found}


async def _release(lives: Lives) -> None:
    await lives.order("/v1/releases", service=SERVICE, version="next")
    await lives.order(f"/v1/releases/{SERVICE}/pause")
    await lives.order(f"/v1/releases/{SERVICE}/resume")


async def _resume(lives: Lives) -> None:
    """One that an earlier life paused goes on. What goes on already is accepted and no event."""
    await lives.here.control.post(f"/v1/releases/{SERVICE}/resume", {"reason": "test"})


async def _drain(lives: Lives) -> None:
    await _administer(lives, on=True)


async def _undrain(lives: Lives) -> None:
    await _administer(lives, on=False)


async def _administer(lives: Lives, *, on: bool) -> None:
    """What is so already is accepted and no event: these are not held against it."""
    body = {"pool": "blue", "server": "blue-1", "on": on, "reason": "test"}
    await lives.here.control.post(f"/v1/services/{SERVICE}/drain", body)


async def _hang_up(lives: Lives) -> None:
    lives.here.daemon.send(signal.SIGHUP)
    await asyncio.sleep(0.3)


async def _back(lives: Lives) -> None:
    await asyncio.sleep(0.3)
    await lives.order(f"/v1/releases/{SERVICE}/rollback")
    await _end(lives)


async def _end(lives: Lives) -> None:
    async def over() -> bool:
        return (await status(lives.here))["phase"] in {"finished", "rolled_back", "cancelled"}

    await until(over, 10)


ROUND: Sequence[Callable[[Lives], Awaitable[None]]] = (_release, _drain, _resume, _undrain, _hang_up)


def told(deaths: Sequence[tuple[Point, int]], lives: Lives) -> str:
    """Say how it went."""
    times, cpu = sorted(lives.recoveries), sorted(lives.cpu_s)
    p50, worst = times[len(times) // 2], times[-1]
    of_cpu = f"{cpu[len(cpu) // 2]:.2f} s of CPU, max {cpu[-1]:.2f} s"
    points = len({point for point, _ in deaths})
    return (
        f"\n{len(times)} deaths at {points} points: start to right again p50 {p50:.2f} s, max {worst:.2f} s ({of_cpu})"
    )
