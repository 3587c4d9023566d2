"""gRPC calls of a pool, from two counts that overlap: how calls ended, and which HTTP status came.

A gRPC server says how a call ended in `grpc-status`, with HTTP 200. What Envoy answers itself for a pool (no usable
server, no connection) it counts as HTTP 5xx *and* as the status it makes of that: 14 of 502, 503 and 504, 2 of other
5xx. A plain HTTP server in the pool, or a proxy before it, is counted by its HTTP status only. So the larger of the two
counts is taken where both may mean the same call: never twice the same one, and never falling.
"""

from collections.abc import Mapping
from dataclasses import dataclass

UNKNOWN, UNAVAILABLE = 2, 14
FAULTS = (4, 12, 13, 15)
"""Deadline exceeded, unimplemented, internal, data loss: with those two what Envoy takes for a fault of a server."""
NAMES = ("grpc.total", *(f"grpc.{code}" for code in sorted((UNKNOWN, UNAVAILABLE, *FAULTS))))
STATUSES = ("3xx", "4xx", "5xx", "502", "503", "504")


@dataclass(frozen=True, slots=True)
class Calls:
    """`ended` calls, and the `failed` ones among them. One that broke off without a status is in neither."""

    ended: int
    failed: int


def calls(counted: Mapping[str, int]) -> Calls:
    """Return what `counted` means: the values of NAMES, and those of STATUSES as `upstream_rq_2xx` and so on."""
    unavailable = sum(_status(counted, status) for status in ("502", "503", "504"))
    other = max(0, _status(counted, "5xx") - unavailable)
    unknown_said, unavailable_said = _code(counted, UNKNOWN), _code(counted, UNAVAILABLE)
    doubtful = max(unknown_said, other) + max(unavailable_said, unavailable)
    without = _status(counted, "3xx") + _status(counted, "4xx")
    return Calls(
        ended=counted.get("grpc.total", 0) - unknown_said - unavailable_said + doubtful + without,
        failed=sum(_code(counted, code) for code in FAULTS) + doubtful,
    )


def _code(counted: Mapping[str, int], code: int) -> int:
    return counted.get(f"grpc.{code}", 0)


def _status(counted: Mapping[str, int], status: str) -> int:
    return counted.get(f"upstream_rq_{status}", 0)
