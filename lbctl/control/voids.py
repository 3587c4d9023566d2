"""What the API shows of certificates that somebody made void who came after all."""

import msgspec


class VoidedView(msgspec.Struct):
    """A certificate of this pool that somebody made void, `by` a late request or a caller past the load balancers:
    `why` it was, `times` in a row, after how long without one, and for how long nobody may come now. `standing`: there
    is no new certificate yet."""

    since_ms: int
    why: str
    times: int
    unused_ms: int
    quiet_ms: int
    standing: bool
    text: str
    by: str = "a late request"
