"""One line of `lbctl why`: what stands, since when, what it needs, by when, and what happens then."""

from typing import Any

Json = dict[str, Any]


def why_line(what: str, since_ms: int, needs: str, *, deadline: str = "", then: str = "") -> Json:
    """Return it as the API tells it. Without a deadline nothing happens by itself."""
    return {"what": what, "since_ms": since_ms, "needs": needs, "deadline": deadline, "then": then}
