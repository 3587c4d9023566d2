"""A real Chromium in front of the dashboard's socket, through a forward as `ssh -L` makes one."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@asynccontextmanager
async def forwarded(path: str) -> AsyncIterator[int]:
    """Give the port of the loopback that leads to the unix socket, as `ssh -L PORT:PATH` does."""
    open_now: set[asyncio.Task[None]] = set()

    async def through(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(path)
        try:
            await asyncio.gather(_copied(reader, back), _copied(there, writer))
        finally:
            back.close()
            writer.close()

    def arrived(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(through(reader, writer))
        open_now.add(task)
        task.add_done_callback(open_now.discard)

    server = await asyncio.start_server(arrived, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in open_now:
            task.cancel()
        if open_now:
            await asyncio.wait(open_now)


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


@asynccontextmanager
async def opened(directory: Path, port: int, **more: Any) -> AsyncIterator[tuple[Any, list[str]]]:
    """Give the opened page, and everything its console has complained of; or skip with the reason."""
    api = pytest.importorskip("playwright.async_api", reason="Playwright is missing: pip install '.[dev]'")
    binary = shutil.which("chromium") or shutil.which("chromium-browser")
    if binary is None:
        pytest.skip("no chromium on PATH: apt-get install chromium")
    async with api.async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            str(directory / "browser"), executable_path=binary, args=list(SWITCHES), chromium_sandbox=False, **more
        )
        try:
            page = context.pages[0] if context.pages else await context.new_page()
            complaints: list[str] = []
            page.on("console", lambda one: complaints.append(one.text) if one.type in {"error", "warning"} else None)
            page.on("pageerror", lambda error: complaints.append(str(error)))
            await page.goto(f"http://localhost:{port}/")
            yield page, complaints
        finally:
            await context.close()
