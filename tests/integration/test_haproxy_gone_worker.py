"""A write to a worker that ends meanwhile is an answer that never came, and not the end of whoever asked."""

import asyncio
from pathlib import Path

import pytest

from lbctl.dataplane.haproxy.client import ask
from lbctl.model.errors import Unreachable


async def test_a_write_that_is_given_up_because_its_worker_ended_is_unreachable(tmp_path: Path) -> None:
    over = asyncio.Event()

    async def silent(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    path = str(tmp_path / "master.sock")
    async with await asyncio.start_unix_server(silent, path):

        def sending(exchange: "asyncio.Task[list[list[str]]]") -> None:
            asyncio.get_running_loop().call_later(0.05, exchange.cancel)

        with pytest.raises(Unreachable, match="the worker ended before it answered"):
            await ask(path, ["set map x y z"], 5.0, sending=sending)
        over.set()
