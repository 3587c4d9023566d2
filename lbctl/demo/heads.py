"""HTTP/1.1 heads as both the toy servers and the users read them: bounded, strict where it matters, and cheap.

The bytes come from a load balancer or from anybody on the loopback, so every length is checked before it is believed.
"""

from typing import NamedTuple

HEAD_LIMIT = 16 * 1024
BODY_LIMIT = 1024 * 1024
_END = b"\r\n\r\n"


class BadHead(ValueError):
    """The bytes are no HTTP/1.1 head that this program reads. The connection cannot be used any further: close it."""


class RequestHead(NamedTuple):
    """One request as it stands in the buffer; `size` counts head and body, so the next request starts there."""

    method: bytes
    path: bytes
    query: bytes
    raw: bytes
    lowered: bytes
    keep_alive: bool
    size: int


class AnswerHead(NamedTuple):
    """One answer's head. `length` is None where the body is chunked or ends with the connection.

    `refused`: a load balancer would not let this caller through to any pool.
    """

    status: int
    pool: str
    server: str
    fault: bool
    cookies: tuple[str, ...]
    keep_alive: bool
    chunked: bool
    length: int | None
    head_size: int
    version: str = ""
    refused: bool = False


def field(raw: bytes, lowered: bytes, name: bytes) -> bytes | None:
    """The first value of a header field; `name` is lower case, `lowered` is `raw.lower()`."""
    at = lowered.find(b"\r\n" + name + b":")
    if at < 0:
        return None
    start = at + len(name) + 3
    end = raw.find(b"\r\n", start)
    return raw[start : end if end >= 0 else len(raw)].strip()


def _length(raw: bytes, lowered: bytes) -> int | None:
    value = field(raw, lowered, b"content-length")
    if value is None:
        return None
    if not value.isdigit() or len(value) > 9 or int(value) > BODY_LIMIT:
        raise BadHead(f"content-length {value[:40]!r} is not a number of at most {BODY_LIMIT}")
    return int(value)


def _head(buffer: bytes) -> bytes | None:
    end = buffer.find(_END, 0, HEAD_LIMIT)
    if end >= 0:
        return buffer[: end + 2]
    if len(buffer) >= HEAD_LIMIT:
        raise BadHead(f"no end of the head within {HEAD_LIMIT} bytes")
    return None


def read_request(buffer: bytes) -> RequestHead | None:
    """The first request in the buffer, or None while its head or body is incomplete. Raises BadHead."""
    raw = _head(buffer)
    if raw is None:
        return None
    line = raw[: raw.index(b"\r\n")].split(b" ")
    if len(line) != 3 or line[2] not in (b"HTTP/1.1", b"HTTP/1.0") or not line[1].startswith(b"/"):
        raise BadHead(f"not a request line: {raw[:80]!r}")
    lowered = raw.lower()
    if b"\r\ntransfer-encoding:" in lowered:
        raise BadHead("a request body in chunks is not read here; send content-length")
    size = len(raw) + 2 + (_length(raw, lowered) or 0)
    if len(buffer) < size:
        return None
    path, _, query = line[1].partition(b"?")
    keep = line[2] == b"HTTP/1.1" and (field(raw, lowered, b"connection") or b"").lower() != b"close"
    return RequestHead(line[0], path, query, raw, lowered, keep, size)


def read_answer(buffer: bytes) -> AnswerHead | None:
    """The answer head at the start of the buffer, or None while it is incomplete. Raises BadHead."""
    raw = _head(buffer)
    if raw is None:
        return None
    if raw[:7] != b"HTTP/1." or raw[8:9] != b" " or not raw[9:12].isdigit():
        raise BadHead(f"not a status line: {raw[:80]!r}")
    lowered = raw.lower()
    keep = raw[7:8] == b"1" and (field(raw, lowered, b"connection") or b"").lower() != b"close"
    chunked = b"\r\ntransfer-encoding: chunked" in lowered
    return AnswerHead(
        status=int(raw[9:12]),
        pool=(field(raw, lowered, b"x-pool") or b"").decode("latin-1"),
        server=(field(raw, lowered, b"x-server") or b"").decode("latin-1"),
        fault=b"\r\nx-toy-fault:" in lowered,
        cookies=_cookies(raw) if b"\r\nset-cookie:" in lowered else (),
        keep_alive=keep,
        chunked=chunked,
        length=None if chunked else _length(raw, lowered),
        head_size=len(raw) + 2,
        version=(field(raw, lowered, b"x-version") or b"").decode("latin-1"),
        refused=b"\r\nx-lbctl-refused:" in lowered,
    )


def _cookies(raw: bytes) -> tuple[str, ...]:
    lines = (line.partition(b":") for line in raw.split(b"\r\n"))
    return tuple(value.strip().decode("latin-1") for name, _, value in lines if name.lower() == b"set-cookie")


def chunks_end(buffer: bytes, start: int) -> int | None:
    """Where a chunked body that begins at `start` ends, or None while it is incomplete. Trailers are not read."""
    at = start
    while True:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return None
        digits = buffer[at:line_end].split(b";")[0].strip()
        if not digits or len(digits) > 6 or digits.strip(b"0123456789abcdefABCDEF"):
            raise BadHead(f"not a chunk size: {digits[:40]!r}")
        size = int(digits, 16)
        at = line_end + 2 + size + 2
        if len(buffer) < at:
            return None
        if buffer[at - 2 : at] != b"\r\n":
            raise BadHead("a chunk does not end where its size says")
        if size == 0:
            return at
