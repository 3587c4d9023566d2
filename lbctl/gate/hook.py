"""Asks a hook: a program without a shell, or an address. Bounded in time and output; what it says is foreign."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import Mapping
from typing import Any

import aiohttp

from lbctl.model.hook import Hook, Word
from lbctl.model.visible import printable

OUTPUT_MAX = 4_096
LINE_MAX = 200
EXITS = {0: Word.YES, 1: Word.NO, 2: Word.BACK}
Facts = Mapping[str, Any]
Said = tuple[Word, str]


async def ask(hook: Hook, facts: Facts) -> Said:
    """Return what the hook says and its first line, or why it says nothing. Never raises for what a hook does."""
    timeout_s = hook.timeout / 1000
    try:
        async with asyncio.timeout(timeout_s):
            return await (_run(hook.argv, facts) if hook.argv else _post(hook.url, facts))
    except TimeoutError:
        return Word.NONE, f"no answer within {timeout_s:g} s"
    except aiohttp.ClientError as error:
        return Word.NONE, f"it cannot be reached: {type(error).__name__}"
    except (OSError, ValueError, RuntimeError) as error:
        return Word.NONE, f"it cannot be asked: {getattr(error, 'strerror', None) or type(error).__name__}"


async def _run(argv: tuple[str, ...], facts: Facts) -> Said:
    """Run the program in a process group of its own; the whole group is killed if it does not end in time."""
    with contextlib.ExitStack() as lent:
        given = _as_file(json.dumps(facts).encode())
        lent.callback(os.close, given)
        ours, theirs = os.pipe()
        lent.callback(os.close, theirs)
        _, output = await asyncio.get_running_loop().connect_read_pipe(_FirstWords, os.fdopen(ours, "rb", 0))
        try:
            process = await asyncio.create_subprocess_exec(
                *argv, stdin=given, stdout=theirs, stderr=asyncio.subprocess.DEVNULL, start_new_session=True, cwd="/",
                env=environment(facts),
            )  # fmt: skip
        except BaseException:
            output.close()
            raise
    try:
        code = await process.wait()
        # What it wrote before it ended is in the pipe; whatever it left behind may hold that open for ever.
        await asyncio.wait([output.over], timeout=0.2)
        return EXITS.get(code, Word.NONE), output.line() or ("" if code in EXITS else f"exit code {code}")
    finally:
        output.close()
        await _ended(process)


async def _post(url: str, facts: Facts) -> Said:
    headers = {"Idempotency-Key": str(facts["id"]), "User-Agent": "lbctl"}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
        session.post(url, json=dict(facts), headers=headers, allow_redirects=False) as answer,
    ):
        line = first_line(await _beginning(answer))
        if 200 <= answer.status < 300:
            return Word.YES, line
        if 400 <= answer.status < 500:
            return Word.NO, line or f"HTTP {answer.status}"
        return Word.NONE, f"HTTP {answer.status}"


async def _beginning(answer: aiohttp.ClientResponse) -> bytes:
    found = b""
    while len(found) < OUTPUT_MAX and (piece := await answer.content.read(OUTPUT_MAX - len(found))):
        found += piece
    answer.close()
    return found


def environment(facts: Facts) -> dict[str, str]:
    """Return a program's environment: where programs are, and the facts; nothing of ours."""
    told = {f"LBCTL_{name.upper()}": str(facts[name]) for name in ("id", "release", "unit", "point", "share_bp")}
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", **told, **_preview(facts.get("preview"))}


def _preview(way: Mapping[str, Any] | None) -> dict[str, str]:
    """How the candidate is reached, ready for `curl -H "$LBCTL_PREVIEW_HEADER" $LBCTL_PREVIEW_URL/…`."""
    if way is None:
        return {}
    header = ", ".join(f"{name}: {value}" for name, value in way["headers"].items())
    return {"LBCTL_PREVIEW_URL": str(way["url"]), "LBCTL_PREVIEW_HEADER": header}


def first_line(output: bytes) -> str:
    """Return the first line with anything on it, without what could command a terminal."""
    lines = (line.strip() for line in output[:OUTPUT_MAX].decode("utf-8", "replace").splitlines())
    line = next(filter(None, lines), "")
    return printable(line[:LINE_MAX])


def _as_file(content: bytes) -> int:
    """Return a file to read from: unlike a pipe it needs nobody to feed it, and nobody to read it."""
    fd = os.memfd_create("lbctl-hook")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


class _FirstWords(asyncio.Protocol):
    """The beginning of what a program wrote, however much that was."""

    def __init__(self) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._head = b""
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._head += data[: OUTPUT_MAX - len(self._head)]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def line(self) -> str:
        return first_line(self._head)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


async def _ended(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            await process.wait()
