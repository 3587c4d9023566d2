"""What the API shows of certificates that a late request made void."""

import msgspec


class VoidedView(msgspec.Struct):
    """A certificate of this pool that a late request made void: `why` it was, `times` in a row, after how long without
    one, and for how long nobody may come now. `standing`: there is no new certificate yet."""

    since_ms: int
    why: str
    times: int
    unused_ms: int
    quiet_ms: int
    standing: bool
    text: str
