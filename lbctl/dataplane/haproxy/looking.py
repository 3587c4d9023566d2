"""One look at every worker: its life, its map, and the answers to what the services' forms want to know."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lbctl.dataplane.haproxy.client import Blocks
from lbctl.dataplane.haproxy.statemap import map_path, parse_lines
from lbctl.dataplane.haproxy.workers import Worker, ask_worker, batches, facts, generation, workers
from lbctl.model.digits import count
from lbctl.model.errors import DataPlaneError, Unreachable
from lbctl.model.names import Generation
from lbctl.model.topology import Instance

PASSES = 3
"""A reload that falls into a look ends the worker that was asked: then it is looked again."""
ENDING_S = 0.03
"""How long the master may take to notice that a worker has ended."""
NO_MAP = "Unknown map"


@dataclass(frozen=True, slots=True)
class Look:
    """What one worker said. `entries` None: it has not loaded the map, so lbctl does not steer it."""

    worker: Worker
    life: Generation
    uptime_s: int
    entries: Mapping[str, str] | None
    answers: Mapping[str, Sequence[str]]
    """By the command that was asked."""
    unsent_log_lines: int = 0


async def look_at_all(instance: Instance, questions: Iterable[str], timeout_s: float) -> list[Look]:
    """Look at every worker, the newest first. Raises Unreachable, Garbled: never a part for the whole."""
    wanted = tuple(questions)
    for left in reversed(range(PASSES)):
        asked = await workers(instance, timeout_s)
        answers = await asyncio.gather(
            *(look(instance, worker, wanted, timeout_s) for worker in asked), return_exceptions=True
        )
        failed = {worker: one for worker, one in zip(asked, answers, strict=True) if isinstance(one, BaseException)}
        if left and failed and all(one.is_old for one in failed):
            # Most likely it is just ending, and the master has not noticed yet.
            await asyncio.sleep(ENDING_S)
            continue
        if failed:
            await _raise_unless_gone(instance, failed, timeout_s)
        looks = [one for one in answers if isinstance(one, Look)]
        if looks and not looks[0].worker.is_old:
            return looks
    raise Unreachable(f"{instance.name}: HAProxy is being reloaded again and again")


async def _raise_unless_gone(instance: Instance, failed: Mapping[Worker, BaseException], timeout_s: float) -> None:
    """A worker that did not answer because it has ended meanwhile routes nothing any more."""
    if all(isinstance(error, DataPlaneError) for error in failed.values()):
        left = {one.pid for one in await workers(instance, timeout_s)}
        failed = {worker: error for worker, error in failed.items() if worker.pid in left}
    for error in failed.values():
        raise error


async def look(instance: Instance, worker: Worker, questions: Sequence[str], timeout_s: float) -> Look:
    """Ask one worker. Raises Unreachable, Garbled."""
    commands = ["show info", f"show map {map_path(instance)}", *questions]
    answers = [answer for part in batches(commands) for answer in await ask_worker(instance, worker, part, timeout_s)]
    return looked(worker, questions, answers)


def looked(worker: Worker, questions: Sequence[str], answers: Blocks) -> Look:
    """Return what a worker answered to `show info`, `show map` and the questions. Raises Garbled."""
    info, entries, *rest = answers
    about = facts(info)
    return Look(
        worker=worker,
        life=generation(about),
        uptime_s=count(about.get("Uptime_sec", "")),
        entries=None if unloaded(entries) else parse_lines(entries, columns=3),
        answers=dict(zip(questions, rest, strict=True)),
        unsent_log_lines=count(about.get("DroppedLogs", "")),
    )


def unloaded(lines: Sequence[str]) -> bool:
    """Whether this answer to `show map` says that there is no such map."""
    return bool(lines) and lines[0].startswith(NO_MAP)
