"""The worst day: chats and hooks that hang, no room on the disk, no health checks, all at once, in whatever phase."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.outside import routes
from tests.e2e.scene import adopted, ended, release, share_is, status, until
from tests.e2e.test_crashes import fill, small_disk
from tests.e2e.test_daemon import hanging_receiver

PLAN = """steps: [10%, 50%, 100%]
hold: {min: 60s, max: 5m, then: ask}
bake: 60s
retain: 5m
on_rollback: {sessions: move}
"""
ANSWER_S = 0.1
BACK_S = 1.0


@dataclass(slots=True)
class Figures:
    """How long people waited for the answer, and users for the way back, by phase."""

    answers: dict[str, list[float]] = field(default_factory=dict)
    backs: dict[str, list[float]] = field(default_factory=dict)

    def told(self) -> str:
        """Say all of them."""
        named = (("answered in", self.answers), ("users back from", self.backs))
        return "".join(f"\n{what} {_figures(phase, one[phase])}" for what, one in named for phase in one)

    def worst(self) -> tuple[float, float]:
        """The slowest answer and the slowest way back."""
        return max(map(max, self.answers.values())), max(map(max, self.backs.values()))


def _figures(phase: str, times: list[float]) -> str:
    middle, worst = sorted(times)[len(times) // 2], max(times)
    return f"{phase}: p50 {middle * 1000:.0f} ms, max {worst * 1000:.0f} ms of {len(times)}"


@dataclass(frozen=True, slots=True)
class Day:
    """A stage on which everything beside the load balancer can break."""

    here: Stage
    disk: Path
    hang: Path
    """While this is there, every hook hangs."""
    plan: str

    async def break_all(self) -> None:
        """Chats hang from the beginning."""
        self.hang.touch()
        (self.disk / "journal.ballast").unlink(missing_ok=True)
        await no_room(self.here, self.disk)
        for one in self._checkers():
            one.send_signal(signal.SIGSTOP)

    def mend_all(self) -> None:
        """Everything works again but the chats."""
        for one in self._checkers():
            one.send_signal(signal.SIGCONT)
        (self.disk / "filler").unlink(missing_ok=True)
        self.hang.unlink(missing_ok=True)

    def _checkers(self) -> list[psutil.Process]:
        children = psutil.Process(self.here.daemon.pid).children()
        return [one for one in children if any("probe" in word for word in one.cmdline())]


async def no_room(here: Stage, disk: Path) -> None:
    """Take what room there is, and write until the journal says that it cannot."""
    for number in range(400):
        fill(disk)
        verb = "pause" if number % 2 == 0 else "resume"
        if not await _written(here, verb):
            return
    raise AssertionError("the journal always found room")


async def _written(here: Stage, verb: str) -> bool:
    try:
        await here.control.post(f"/v1/releases/{SERVICE}/{verb}", {"reason": "x" * 400})
    except RefusedError as refused:
        if "journal" not in str(refused):
            raise
        return False
    return True


@asynccontextmanager
async def worst_day(proxy: Proxy, directory: Path) -> AsyncIterator[Day]:
    """A service adopted on blue, with hooks that can hang and chats that do."""
    hang, hook = directory / "hang", directory / "hook"
    hook.write_text(f"#!/bin/sh\nwhile [ -e {hang} ]; do sleep 0.2; done\n")
    hook.chmod(0o755)
    for name, text in (("url", ""), ("key", "0123456789abcdef")):
        (directory / name).write_text(text)
        (directory / name).chmod(0o600)
    plan = PLAN + f"hooks: [{', '.join(f'{{at: {at}, exec: {hook}}}' for at in HOOKS)}]\n"
    async with hanging_receiver() as port, small_disk(directory / "state", 48) as disk:
        (directory / "url").write_text(f"http://127.0.0.1:{port}/hook")
        secrets = f"{{url: {{file: {directory}/url}}, secret: {{file: {directory}/key}}}}"
        alerts = f"[{{name: hook, webhook: {secrets}}}, {{name: ops, exec: [/bin/sleep, '600']}}]"
        async with adopted(proxy, plan, state_dir=disk, alerts=alerts) as here:
            yield Day(here, disk, hang, plan)


HOOKS = ("preflight", "after_step", "rolled_back", "active")


async def _preflight(day: Day) -> None:
    day.hang.touch()
    await release(day.here)


async def _shifting(day: Day) -> None:
    await release(day.here)
    await share_is(day.here, 1_000)


async def _at_half(day: Day) -> None:
    await _shifting(day)
    await _promoted(day, full=False)
    await share_is(day.here, 5_000)


async def _baking(day: Day) -> None:
    await _shifting(day)
    await _promoted(day, full=True)
    await until(lambda: _phase(day, "baking"))


async def _draining(day: Day) -> None:
    await release(day.here, bake="300ms", retain="1h")
    await share_is(day.here, 1_000)
    await _promoted(day, full=True)
    await until(lambda: _phase(day, "draining"))


async def _promoted(day: Day, *, full: bool) -> None:
    async def taken() -> bool:
        try:
            await day.here.control.post(f"/v1/releases/{SERVICE}/promote", {"full": full, "reason": "test"})
        except RefusedError:
            return False
        return True

    await until(taken, 10, 0.1)


async def _phase(day: Day, phase: str) -> bool:
    return bool((await status(day.here))["phase"] == phase)


PHASES: dict[str, Callable[[Day], Awaitable[None]]] = {
    "preflight": _preflight,
    "shifting": _shifting,
    "half": _at_half,
    "baking": _baking,
    "draining": _draining,
}


async def go_back(day: Day, phase: str, figures: Figures) -> None:
    """Bring a release into the phase, break everything, ask for the way back, and see how long it takes."""
    await PHASES[phase](day)
    await day.break_all()
    candidate = day.here.pools["green"]
    began = time.monotonic()
    await day.here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "test"})
    figures.answers.setdefault(phase, []).append(time.monotonic() - began)
    if phase != "preflight":
        await until(lambda: _nobody_goes_to_green(day.here), 10, 0.01)
        read_back = time.monotonic()
        await asyncio.sleep(0.3)
        last = (await candidate.stats()).last_user_monotonic or 0.0
        figures.backs.setdefault(phase, []).append(max(read_back, last) - began)
    day.mend_all()
    await ended(day.here, 30)


async def _nobody_goes_to_green(here: Stage) -> bool:
    found, boot = await routes(here)
    return {*found, boot} == {"0:10000:0"}
