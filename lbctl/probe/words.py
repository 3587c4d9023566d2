"""Short words for people: why a probe failed, without control characters, bounded, whoever wrote the text."""

import errno
import os
from typing import NamedTuple

from lbctl.model.visible import printable

DETAIL_MAX = 120
"""No detail is longer, in characters."""


class Verdict(NamedTuple):
    """What one probe found. `ok` None = the checker could not tell.

    `excusable`: a checker that was late could have caused this failure, so lateness turns it into unknown.
    """

    ok: bool | None
    detail: str
    excusable: bool = False


PEER = {
    errno.ECONNREFUSED: Verdict(False, "connection refused"),
    errno.EHOSTUNREACH: Verdict(False, "no route to host"),
    errno.ENETUNREACH: Verdict(False, "network unreachable"),
    errno.ECONNRESET: Verdict(False, "connection reset", True),
    errno.ENOTCONN: Verdict(False, "connection reset", True),
    errno.EPIPE: Verdict(False, "connection closed", True),
    errno.ETIMEDOUT: Verdict(False, "timed out", True),
}
"""What the other side, or the way to it, answered. Everything else is this host's own trouble: unknown."""


def failure(error: OSError) -> Verdict:
    """Return the verdict for a socket error: down if the peer caused it, unknown if this host did."""
    number = error.errno or 0
    return PEER.get(number) or Verdict(None, clean(f"the checker itself: {os.strerror(number).lower()}"))


def clean(text: str) -> str:
    """Return foreign text fit for a terminal and a log line: printable, one line, at most DETAIL_MAX characters."""
    shown = printable(text[: DETAIL_MAX + 1])
    return shown if len(shown) <= DETAIL_MAX else shown[: DETAIL_MAX - 1] + "…"
