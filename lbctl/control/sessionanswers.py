"""Forms of what the API tells of requests' times and of sticky sessions: what a request log knows."""

import msgspec


class LeavingView(msgspec.Struct):
    """How the sessions of a pool leave it. `left`: about how many; `ends_in_ms`: until none is left, by the rate or by
    the measured half-life. `idle_ms`: who has not come for so long has no session any more. `hindered`: why none is
    moved now. `pace`: `rate`; `own_end`: nobody is moved; `equal_parts`: nobody counts them, so they go in equal parts
    that end in `ends_in_ms`, and `uncounted` says why."""

    policy: str
    keep_bp: int
    left: int | None
    ends_in_ms: int | None
    half_life_ms: int | None
    deadline_ms: int
    at_deadline: str
    closing: bool
    since_ms: int
    hindered: str
    text: str
    idle_ms: int = 0
    pace: str = "rate"
    uncounted: str = ""


class SessionsView(msgspec.Struct):
    """The sessions of one pool, of those that came back within the last minute. None: nobody can count them. `kept`:
    they stay on a pool that gets no new ones, for how long; empty: that is not so."""

    count: int | None
    share_bp: int | None
    leaving: LeavingView | None = None
    kept: str = ""


class RequestTimes(msgspec.Struct):
    """What `source` has timed, by pool, missed, and never had; `sampled`, `forged`: too many, so it is not judged."""

    source: str
    timed: dict[str, int]
    lost: int
    sampled: bool
    surplus: int
    forged: bool


class MeasuredView(msgspec.Struct):
    """What one instance gave the candidate since the step is read back: of `requests` that nothing but the split
    decided, and of the sessions that came back within the last minute. None: there were none."""

    requests: int
    request_share_bp: int | None
    session_share_bp: int | None
