"""Where a request begins and ends. Pure: bytes in; a whole request, a problem, or "more" out.

The HTTP library behind it only ever sees whole, small and well-formed requests, so nothing waits for a slow peer.
Stricter than HTTP allows on purpose: on a unix socket every client is a program that can send a Content-Length.
"""

import re
from dataclasses import dataclass

from lbctl.control.problem import Problem

HEAD_MAX = 16 * 1_024
BODY_MAX = 64 * 1_024
FIELDS_MAX = 100

_METHOD_START = re.compile(rb"[A-Z]{1,16}(?: |\Z)")
_REQUEST_LINE = re.compile(rb"[A-Z]{1,16} (/[\x21-\x7e]*) HTTP/(\d\.\d)")
_FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_LENGTH = re.compile(rb"[0-9]{1,9}")
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
"""What the HTTP library knows as a word; to others it would answer in its own way."""
_DROPPED = frozenset({b"expect", b"upgrade"})
"""The body is here already, and nothing is spoken here but HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Framed:
    """One whole request. `size` bytes of the buffer are used up; `last`: the peer wants the connection closed."""

    data: bytes
    size: int
    last: bool


@dataclass(frozen=True, slots=True)
class Partial:
    """More must come. `waiting`: the peer wants to hear `100 Continue` before it sends the body. `size`: with fewer
    bytes there is nothing new to be seen; whoever looks at each byte of a slow body does the work of thousands."""

    waiting: bool = False
    size: int = 0


def frame(buffer: bytes) -> Framed | Partial | Problem:
    """Return the first request in `buffer`, or what is wrong with it, or that more must come."""
    if not _METHOD_START.match(buffer[:17]):
        return _bad("not_http", "this is not an HTTP request")
    end = buffer.find(b"\r\n\r\n", 0, HEAD_MAX + 4)
    if _has_bare_ends(buffer[: end if end >= 0 else HEAD_MAX]):
        return _bad("bad_request", "a line of the header does not end with CR LF")
    if end < 0:
        return _too_long() if len(buffer) > HEAD_MAX else Partial()
    lines = buffer[:end].split(b"\r\n")
    if len(lines) > 1 + FIELDS_MAX:
        return _too_long()
    fields = _fields(lines[1:])
    problem = _wrong_line(lines[0]) or (fields if isinstance(fields, Problem) else _wrong_fields(lines[0], fields))
    if problem is not None:
        return problem
    assert not isinstance(fields, Problem)
    return _with_body(buffer, end, lines, fields)


def _has_bare_ends(head: bytes) -> bool:
    """Whether a line of it ends with CR or LF alone; the last CR may still get its LF."""
    pairs = head.count(b"\r\n")
    return head.count(b"\n") > pairs or head.count(b"\r") > pairs + head.endswith(b"\r")


def _with_body(buffer: bytes, end: int, lines: list[bytes], fields: dict[bytes, bytes]) -> Framed | Partial | Problem:
    length = int(fields.get(b"content-length", b"0"))
    if length > BODY_MAX:
        why = f"{length} bytes, at most {BODY_MAX} are taken"
        return Problem(status=413, code="body_too_large", what="the body is too large", why=why, exit_code=2)
    size = end + 4 + length
    if len(buffer) < size:
        return Partial(waiting=fields.get(b"expect", b"").lower() == b"100-continue", size=size)
    kept = [line for line in lines if line.split(b":", 1)[0].lower() not in _DROPPED]
    data = b"\r\n".join(kept) + buffer[end:size]
    wish = fields.get(b"connection", b"").lower()
    last = b"close" in wish or (lines[0].endswith(b"1.0") and b"keep-alive" not in wish)
    return Framed(data, size, last)


def _fields(lines: list[bytes]) -> dict[bytes, bytes] | Problem:
    fields: dict[bytes, bytes] = {}
    for line in lines:
        found = _FIELD.fullmatch(line)
        if not found:
            return _bad("bad_request", "a header field is malformed")
        name = found[1].lower()
        if name in fields and name in {b"content-length", b"host", b"transfer-encoding"}:
            return _bad("bad_request", f"the header field {name.decode()} comes twice")
        fields[name] = found[2].strip()
    return fields


def _wrong_line(line: bytes) -> Problem | None:
    found = _REQUEST_LINE.fullmatch(line)
    if not found:
        return _bad("bad_request", "the request line is malformed")
    if found[2] not in {b"1.0", b"1.1"}:
        return Problem(status=505, code="bad_version", what="only HTTP/1.0 and HTTP/1.1 are spoken here", exit_code=2)
    if line.partition(b" ")[0] not in _METHODS:
        return Problem(
            status=405, code="method_not_allowed", what="method not allowed", why="GET and POST are", exit_code=2
        )
    return None


def _wrong_fields(line: bytes, fields: dict[bytes, bytes]) -> Problem | None:
    if line.endswith(b"1.1") and b"host" not in fields:
        return _bad("bad_request", "an HTTP/1.1 request needs a Host field")
    if b"transfer-encoding" in fields:
        what = "a body needs a Content-Length; chunked bodies are not taken"
        return Problem(status=411, code="length_required", what=what, exit_code=2)
    if fields.get(b"content-encoding", b"identity") != b"identity":
        what = "a body is taken as it is, not compressed"
        return Problem(status=415, code="unsupported_media_type", what=what, exit_code=2)
    if not _LENGTH.fullmatch(fields.get(b"content-length", b"0")):
        return _bad("bad_request", "the Content-Length is not a number")
    return None


def _bad(code: str, what: str) -> Problem:
    then = "curl --unix-socket SOCKET http://lbctl/v1/status"
    return Problem(status=400, code=code, what=what, then=then, exit_code=2)


def _too_long() -> Problem:
    why = f"at most {HEAD_MAX} bytes and {FIELDS_MAX} fields are taken"
    return Problem(status=431, code="header_too_large", what="the header is too large", why=why, exit_code=2)
