"""One line of the request log, taken apart. Whoever reaches the socket can send anything, so nothing is believed.

The time that is counted is what a user waits for: from the end of the request's headers to the last byte of its answer
(HAProxy's `%Ta` less `%TR`: a client that sends slowly is not the pool's fault). The first byte alone would miss a pool
that answers 200 at once and then computes. What has no such time is told apart by its status and its ending:

- status 101 is a tunnel (WebSocket): it lasts as long as its user likes;
- an ending that begins with `-` is a whole answer; `CD` is a user who left in the middle of one (downloads, event
  streams), the others are answers that HAProxy gave itself or that broke off: errors are counted elsewhere;
- `CQ`, `CC` and `CH` are users who gave up waiting (with `option abortonclose`): they waited at least so long.
"""

from lbctl.model.logline import FIELDS, SD_ID, SD_PARAM, SEPARATOR, TIMES

LINE_MAX = 2_048
"""Bytes read of a datagram; the element is within the first few hundred."""
UNTIMED = -1

_PLACE = 6
_ELEMENT = f"[{SD_ID}".encode()
_OPENS = f'{SD_PARAM}="'.encode()
_SEPARATOR = SEPARATOR.encode()
_COUNT = len(FIELDS)
_OLD = len(TIMES)
_UNTOLD = (b"", b"-")
_TUNNEL = b"101"
_GAVE_UP = (b"CQ", b"CC", b"CH")

NO_BUCKET = -1

Line = tuple[bytes, bytes, bytes, int, bytes, int]
"""Instance, backend, server, the time in ms or `UNTIMED`, why this pool (empty: not told), the session's bucket."""


def read(datagram: bytes) -> Line | None:
    """Return what the line says; None: it is another program's, or another kind of line.

    Raises:
        ValueError: it is one of ours and damaged.
    """
    words = datagram.split(b" ", _PLACE + 2)
    if len(words) <= _PLACE + 1 or words[_PLACE] != _ELEMENT:
        return None
    parts = words[_PLACE + 1].split(b'"', 2)
    if len(parts) != 3 or parts[0] != _OPENS[:-1]:
        raise ValueError("the element does not end")
    told = parts[1].split(_SEPARATOR, _COUNT)
    instance, backend, server, status, ending, active, upload, why, bucket = (
        (*told, *_UNTOLD) if len(told) == _OLD else told
    )
    ms = int(active) - max(0, int(upload))
    timed = status != _TUNNEL and (ending[:1] == b"-" or ending[:2] in _GAVE_UP)
    number = NO_BUCKET if bucket == b"-" else int(bucket)
    if status == _TUNNEL:
        # It ends long after its pool was chosen: that says nothing about now.
        why = b""
    return instance, backend, server, max(0, ms) if timed else UNTIMED, why, number
