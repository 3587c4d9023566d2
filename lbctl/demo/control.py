"""The demo's view of a running lbctld: its control socket."""

import asyncio
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]


class RefusedError(Exception):
    """lbctld said no; the text is its own, `code` one of docs/reference/errors.md."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class Control:
    """A client of one control socket. Use as `async with Control(path) as control:`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.UnixConnector(str(self._socket))
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str) -> Json:
        """Return the JSON of a GET. Raises RefusedError with the daemon's words."""
        return await self._ask("GET", path, None)

    async def post(self, path: str, body: Json) -> Json:
        """Return the JSON of a POST. Raises RefusedError with the daemon's words."""
        return await self._ask("POST", path, body)

    async def service(self, name: str) -> Json:
        """Return the status of one service."""
        status = await self.get(f"/v1/status?service={name}")
        found: Json = status["services"][name]
        return found

    async def wait_up(self, seconds: float) -> None:
        """Wait until the daemon answers. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while True:
                with suppress(aiohttp.ClientError, OSError):
                    await self.get("/v1/version")
                    return
                await asyncio.sleep(0.05)

    async def _ask(self, method: str, path: str, body: Json | None) -> Json:
        assert self._session is not None
        async with self._session.request(method, f"http://lbctl{path}", json=body) as answer:
            found: Json = await answer.json(content_type=None)
            if answer.status >= 400:
                parts = (found.get("title"), found.get("detail"), found.get("then"))
                raise RefusedError("; ".join(str(part) for part in parts if part), str(found.get("code", "")))
            return found
