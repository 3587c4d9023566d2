"""The little of RFC 6455 that an echo needs: the handshake digest and short frames."""

import base64
import hashlib
from typing import NamedTuple

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PAYLOAD_LIMIT = 65_535
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class BadFrame(ValueError):
    """The bytes are no frame this program reads. Close the connection."""


class Frame(NamedTuple):
    """One frame; `size` is how many bytes of the buffer it took."""

    opcode: int
    payload: bytes
    size: int


def accept_key(key: bytes) -> bytes:
    """The value of Sec-WebSocket-Accept that proves the handshake's key was read."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def encode(opcode: int, payload: bytes, mask: bytes = b"") -> bytes:
    """One final frame. A client passes four mask bytes, a server none."""
    flag = 0x80 if mask else 0
    if len(payload) < 126:
        head = bytes((0x80 | opcode, flag | len(payload)))
    else:
        head = bytes((0x80 | opcode, flag | 126)) + len(payload).to_bytes(2, "big")
    return head + mask + _masked(payload, mask)


def decode(buffer: bytes) -> Frame | None:
    """The first frame in the buffer, or None while it is incomplete. Raises BadFrame."""
    if len(buffer) < 2:
        return None
    length, at = buffer[1] & 0x7F, 2
    if not buffer[0] & 0x80 or length == 127:
        raise BadFrame(f"a fragment or a frame over {PAYLOAD_LIMIT} bytes: {buffer[:2]!r}")
    if length == 126:
        length, at = int.from_bytes(buffer[2:4], "big"), 4
    mask_size = 4 if buffer[1] & 0x80 else 0
    size = at + mask_size + length
    if len(buffer) < size:
        return None
    return Frame(buffer[0] & 0x0F, _masked(buffer[at + mask_size : size], buffer[at : at + mask_size]), size)


def _masked(payload: bytes, mask: bytes) -> bytes:
    if not mask:
        return payload
    return bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))
