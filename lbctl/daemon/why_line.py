"""One line of `lbctl why`: what stands, since when, what it needs, by when, and what happens then."""

from typing import Any

Json = dict[str, Any]


def why_line(
    code: str, what: str, since_ms: int, needs: str, *, by_itself: bool = False, deadline: str = "", then: str = ""
) -> Json:
    """Return it as the API tells it. Without a deadline nothing happens then.

    `code` is what programs go by, a hold's own where it is one. `by_itself`: only time is missing, so that it is no
    news to who waits.
    """
    said = {"code": code, "what": what, "since_ms": since_ms, "needs": needs}
    return {**said, "by_itself": by_itself, "deadline": deadline, "then": then}
