"""A client that makes calls over one cleartext HTTP/2 connection: just enough of it for HAProxy's answers.

Header fields go out as plain literals, and HAProxy writes its own that way, too (neither Huffman nor a dynamic table),
so what an answer says can be read as it stands in its block.
"""

import asyncio
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """One header field, as text."""
    assert len(name) < 127
    assert len(value) < 127
    return b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


async def calls(host: str, port: int, count: int, path: str) -> list[bytes]:
    """Make so many calls, one after the other, and return the header blocks of their answers.

    Raises:
        AssertionError: a call was reset, or the connection ended.
    """
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(PREFACE + frame(SETTINGS, 0, 0))
        found = []
        for number in range(count):
            fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "shop", "te": "trailers"}
            block = b"".join(literal(name, value) for name, value in fields.items())
            writer.write(frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, block))
            async with asyncio.timeout(10):
                found.append(await _answer(reader, writer))
        return found
    finally:
        writer.transport.abort()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Return the header block of the next answer, when its stream has ended."""
    block = b""
    while True:
        head = await reader.readexactly(9)
        size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        payload = await reader.readexactly(size)
        assert kind not in {RST_STREAM, GOAWAY}, payload
        if kind in {SETTINGS, PING} and not flags & ACK:
            writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind == HEADERS:
            block += payload
        if kind in {DATA, HEADERS} and flags & END_STREAM:
            return block
