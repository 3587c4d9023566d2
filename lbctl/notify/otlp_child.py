"""Runs in a process of its own and writes one trace in OTLP's form: OpenTelemetry's libraries stay out of lbctld.

Reads `{"trace_id", "wall", "resource", "spans"}` from stdin (lbctl.notify.otlp writes it), the trace goes to stdout.
Exit 0: it is all there; else one line on stderr says why.
"""

import hashlib
import json
import os
import sys
from contextlib import suppress
from typing import Any

from lbctl import wall

NOT_UNDERSTOOD, BROKEN = 4, 70
Json = dict[str, Any]


def main() -> None:
    """Write the trace, and end with the exit code."""
    # It may start at the very moment of a way back: everything else on this host goes first.
    with suppress(OSError):  # The unit of systemd does not let it.
        os.nice(19)
    try:
        asked = json.load(sys.stdin)
        trace = _encoded(asked)
    except (ValueError, KeyError, TypeError) as error:
        _end(NOT_UNDERSTOOD, f"not a trace: {type(error).__name__}")
    except Exception as error:  # noqa: BLE001 - a fault of the libraries is an answer too
        _end(BROKEN, f"{type(error).__name__}: {error}")
    else:
        sys.stdout.buffer.write(trace)
        sys.stdout.buffer.flush()
        _end(0, "")


def _end(code: int, why: str) -> None:
    if why:
        os.write(2, " ".join(why.split())[:300].encode("utf-8", "replace") + b"\n")
    os._exit(code)


def _encoded(asked: Json) -> bytes:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans  # noqa: PLC0415 - an extra
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415

    resource = Resource(asked["resource"])
    found = [_span(one, asked, resource) for one in asked["spans"]]
    return bytes(encode_spans(found).SerializeToString())


def _span(one: Json, asked: Json, resource: Any) -> Any:
    from opentelemetry.sdk.trace import Event, ReadableSpan  # noqa: PLC0415
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope  # noqa: PLC0415
    from opentelemetry.trace.status import Status, StatusCode  # noqa: PLC0415

    failed = one["failed"]
    return ReadableSpan(
        name=one["name"],
        context=_context(asked["trace_id"], one["number"]),
        parent=_context(asked["trace_id"], 0) if one["number"] else None,
        resource=resource,
        attributes=one["attributes"],
        events=[Event(event["name"], event["attributes"], _ns(event["at_ms"], asked)) for event in one["events"]],
        status=Status(StatusCode.ERROR, failed) if failed else Status(StatusCode.OK),
        start_time=_ns(one["start_ms"], asked),
        end_time=_ns(max(one["start_ms"], one["end_ms"]), asked),
        instrumentation_scope=InstrumentationScope("lbctl"),
    )


def _context(trace_id: str, number: int) -> Any:
    from opentelemetry.trace import SpanContext, TraceFlags  # noqa: PLC0415

    span_id = int(hashlib.sha256(f"{trace_id}|{number}".encode()).hexdigest()[:16], 16)
    return SpanContext(int(trace_id, 16), span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))


def _ns(at_ms: int, asked: Json) -> int:
    """Return nanoseconds of wall time; 0 stands for the time of the message itself."""
    found = at_ms or wall.unix_ms(asked["wall"])
    return found * 1_000_000


if __name__ == "__main__":
    main()
