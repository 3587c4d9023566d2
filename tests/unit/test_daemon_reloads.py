"""A reload that breaks: systemd is told that it is over, and the next hang-up is heard."""

import asyncio
from typing import Any

import pytest

from lbctl.daemon.main import _reloads
from lbctl.daemon.running import Running


class Told:
    """What systemd is told."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def reloading(self) -> None:
        self.words.append("reloading")

    def ready(self, status: str) -> None:
        self.words.append(f"ready: {status}")


class Broken(Running):
    """A daemon one of whose rules is broken: what it is made of does not matter here."""

    def __init__(self) -> None:
        self.notify: Any = Told()
        self._turn = asyncio.Lock()

    async def _reloaded(self, asked: Any) -> str:
        raise ZeroDivisionError

    def status_line(self) -> str:
        return "as before"


async def test_systemd_is_told_that_a_reload_that_broke_is_over() -> None:
    daemon = Broken()
    with pytest.raises(ZeroDivisionError):
        await daemon.reload()
    assert daemon.notify.words == ["reloading", "ready: as before"]


async def test_after_a_hang_up_that_broke_the_next_one_is_heard() -> None:
    daemon, asked = Broken(), asyncio.Event()
    reloads = asyncio.create_task(_reloads(daemon, asked))
    for count in (1, 2):
        asked.set()
        async with asyncio.timeout(5):
            while daemon.notify.words.count("reloading") < count:
                await asyncio.sleep(0)
    reloads.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reloads
