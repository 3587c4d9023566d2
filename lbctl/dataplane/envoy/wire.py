"""One GET of HTTP/1.1 over an open connection, bounded in size. The caller bounds it in time."""

import asyncio

from lbctl.model.errors import Garbled

BODY_MAX_BYTES = 32 * 1024 * 1024
_HEADERS_MAX = 64


async def get(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> bytes:
    """Return the body of the answer to `GET target`.

    Raises:
        OSError, asyncio.IncompleteReadError: the connection broke.
        Garbled: the answer is not 200, no HTTP, or larger than `BODY_MAX_BYTES`.
    """
    writer.write(f"GET {target} HTTP/1.1\r\nhost: admin\r\n\r\n".encode())
    await writer.drain()
    status = await _line(reader)
    body = await _body(reader, await _headers(reader))
    if status.split(" ")[1:2] != ["200"]:
        raise Garbled(
            f"envoy's admin answers {status[:60]!r} to {target.partition('?')[0]}: is it Envoy 1.40 or later?"
        )
    return body


async def _line(reader: asyncio.StreamReader) -> str:
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError as error:
        raise Garbled("envoy's admin sent a line without end") from error
    return line[:-2].decode("latin-1")


async def _headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    for _ in range(_HEADERS_MAX):
        line = await _line(reader)
        if not line:
            return headers
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    raise Garbled("envoy's admin sent too many headers")


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(_size(headers.get("content-length", "-"), 10))
    parts: list[bytes] = []
    left = BODY_MAX_BYTES
    while size := _size((await _line(reader)).partition(";")[0], 16, left):
        parts.append(await reader.readexactly(size))
        left -= size
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(parts)


def _size(text: str, base: int, most: int = BODY_MAX_BYTES) -> int:
    try:
        size = int(text, base)
    except ValueError as error:
        raise Garbled(f"envoy's admin sent no length but {text[:40]!r}") from error
    if not 0 <= size <= most:
        raise Garbled(f"envoy's admin sent more than {BODY_MAX_BYTES} bytes")
    return size
