"""The part of an HTTP/1 answer that a health check needs, read strictly and within bounds: a server may be hostile."""

HEAD_MAX = 16_384
BODY_MAX = 65_536
_SHAPE = b"HTTP/1.x nnn"
_DIGITS = frozenset(b"0123456789")


class NotHttp(Exception):
    """The bytes are not the start of an HTTP/1.0 or HTTP/1.1 answer."""


def status_of(start: bytes) -> int | None:
    """Return the status code, or None while fewer than 13 bytes are here and all fit so far.

    Raises:
        NotHttp: no continuation could make this an answer.
    """
    if len(start) >= 13 and start[:7] == b"HTTP/1." and start[7] in b"01" and start[8] == 32 and start[12] in b" \r":
        digits = start[9:12]
        if digits.isdigit() and b"1" <= digits < b"6":
            return int(digits)
        raise NotHttp
    if len(start) >= 13 or not _may_become(start):
        raise NotHttp
    return None


def _may_become(start: bytes) -> bool:
    fits = {ord("x"): frozenset(b"01"), ord("n"): _DIGITS}
    return all(byte in fits.get(want, (want,)) for byte, want in zip(start, _SHAPE, strict=False))


def length_of(answer: bytes) -> int | None:
    """Return the length in bytes of the whole answer that starts here, or None if its end cannot be told for sure.

    Sure means: HTTP/1.1, clean lines, one decimal Content-Length of at most BODY_MAX, no transfer coding, and the
    server does not close. Anything else costs only a new connection for the next check.
    """
    end = answer.find(b"\r\n\r\n")
    if not 0 <= end <= HEAD_MAX or not answer.startswith(b"HTTP/1.1"):
        return None
    headers: dict[bytes, bytes] = {}
    for line in answer[:end].split(b"\r\n")[1:]:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip() or not name or name.lower() in headers:
            return None
        headers[name.lower()] = value.strip()
    if b"transfer-encoding" in headers or b"close" in headers.get(b"connection", b"").lower():
        return None
    size = headers.get(b"content-length", b"0" if answer[9:12] in {b"204", b"304"} else b"")
    if not size.isdigit() or len(size) > 6 or int(size) > BODY_MAX:
        return None
    return end + 4 + (0 if answer[9:12] in {b"204", b"304"} else int(size))
