"""Asks hooks beside everything else: each question is a task of its own, and ends with the daemon."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from lbctl.crash import Point, passing
from lbctl.daemon.ports import Now
from lbctl.model.hook import Ask, Hook, HookAnswer, Word

log = structlog.get_logger("lbctl.hooks")

Asking = Callable[[Hook, Any], Coroutine[Any, Any, tuple[Word, str]]]


class Hooks:
    """Carries out `Ask`; every answer goes back through `arrived`. After a restart the core asks anew."""

    def __init__(self, ask: Asking, now: Now, arrived: Callable[[HookAnswer], None]) -> None:
        self._ask = ask
        self._now = now
        self._arrived = arrived
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, asked: Ask) -> None:
        """Start to ask. The core has at most one question to a hook under way."""
        task = asyncio.create_task(self._asked(asked), name=f"hook {asked.key}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop asking: programs that run are killed."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _asked(self, asked: Ask) -> None:
        passing(Point.HOOK_BEFORE)
        word, text = await self._ask(asked.hook, asked.facts)
        passing(Point.HOOK_AFTER)
        log.info("hook.answered", hook=asked.hook.name, id=str(asked.key), word=word.value, text=text)
        self._arrived(HookAnswer(self._now(), asked.key, word, text))
