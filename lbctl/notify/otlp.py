"""Traces of releases by OTLP over HTTP, an extra: one for each release that has ended.

The libraries of OpenTelemetry are in no process that stays: a child writes the trace in their form, and it is sent
like every alert, with the same pauses, bounds and memory of what was told.
"""

import json
import os
import sys
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from lbctl.config.settings import OtlpAlert
from lbctl.model.errors import LbctlError, StoreError
from lbctl.model.names import ReleaseId
from lbctl.notify.plain import plain
from lbctl.notify.port import Delivery, Manner, Message, Source, Told
from lbctl.notify.post import TIMEOUT_S, Poster, Reply
from lbctl.notify.program import inherited, run
from lbctl.notify.trace import ENDS, spans, trace_id

MANNER = Manner()
ENCODE_S = 15.0
"""It starts an interpreter, at the least priority there is."""
PAGE_ROWS, PAGES_MAX = 1_000, 500
FIRST_MAX, LAST_MAX = 4_000, 1_000
"""Entries of a release that its trace is made of; of more those in the middle are left out, and counted."""
TRACE_BYTES_MAX = 8 << 20
NEEDED = "opentelemetry.sdk"
MISSING = "OpenTelemetry is not installed: install lbctl[otel] where lbctld runs, or delete the alert"
_TEST = "alert.tested"
_ENDS = frozenset(kind.value for kind in ENDS)


def is_there() -> bool:
    """Whether the libraries are installed. They are not imported for it."""
    try:
        return find_spec(NEEDED) is not None
    except ModuleNotFoundError:
        return False


class OtlpSender:
    """Reads what the journal has of a release, and POSTs its trace. What ends no release is taken and dropped."""

    def __init__(self, alert: OtlpAlert, journal: Source, timeout_s: float = TIMEOUT_S) -> None:
        if not is_there():
            raise LbctlError(f"alert {alert.name}: {MISSING}")
        self._poster = Poster(alert.name, alert.url, timeout_s)
        self._authorization = alert.authorization.value if alert.authorization is not None else None
        self._journal = journal

    async def send(self, message: Message) -> Delivery:
        """Try once, at most both time-outs long."""
        if message.kind != _TEST and message.kind not in _ENDS:
            return Delivery(ok=True)
        try:
            past = await self._past(message)
        except StoreError as error:
            return Delivery(ok=False, detail=f"the journal cannot be read: {error}")
        trace = await encoded(request(message, past.told, past.left_out))
        if isinstance(trace, Delivery):
            return trace
        headers = {"Content-Type": "application/x-protobuf"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        reply = await self._poster.post(trace, headers, "v1/traces")
        return reply if isinstance(reply, Delivery) else _judged(reply)

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    async def _past(self, message: Message) -> "Past":
        """Return what the journal has of the release, up to its end; nothing where the end is in memory alone."""
        past, at = Past(), 0
        if message.kind == _TEST or not message.seq:
            return past
        release = ReleaseId(str(message.data["release"]))
        for _ in range(PAGES_MAX):
            # Not until one is short: damaged rows are missing from theirs.
            page = await self._journal.entries(at, PAGE_ROWS, release=release)
            past.take(one for one in page if one.id <= message.seq)
            if not page or page[-1].id >= message.seq:
                return past
            at = page[-1].id
        # A trace ends with the end, however much is left out before it.
        past.take(await self._journal.entries(message.seq - 1, 1, release=release))
        return past


@dataclass(slots=True)
class Past:
    """The first and the last entries of a release, and how many were left out between them. Bounded."""

    first: list[Told] = field(default_factory=list)
    last: deque[Told] = field(default_factory=lambda: deque(maxlen=LAST_MAX))
    left_out: int = 0

    @property
    def told(self) -> list[Told]:
        """What is left, in order."""
        return [*self.first, *self.last]

    def take(self, page: Iterable[Told]) -> None:
        """Add what follows."""
        for one in page:
            if len(self.first) < FIRST_MAX:
                self.first.append(one)
                continue
            self.left_out += len(self.last) == LAST_MAX
            self.last.append(one)


def _judged(reply: Reply) -> Delivery:
    if reply.fine:
        return Delivery(ok=True)
    if reply.status in {401, 403}:
        return reply.refusal("put the right Authorization header into the file", hopeless=False)
    if reply.status in {404, 405}:
        return reply.refusal("no OTLP receiver has /v1/traces below this url", hopeless=False)
    return reply.refusal(plain(reply.body.decode("utf-8", "replace"), 200))


def request(message: Message, told: list[Told], left_out: int) -> dict[str, Any]:
    """Return what the encoder is asked for."""
    data = message.data
    named = {"host": data["host"], "release": data.get("release") or message.id}
    return {
        "trace_id": trace_id(named, told[0].wall if told else message.wall),
        "wall": message.wall,
        "resource": {"service.name": "lbctl", "service.version": data["lbctl"], "host.name": data["host"]},
        "spans": spans(told, data, left_out) if told else [_alone(message)],
    }


def _alone(message: Message) -> dict[str, Any]:
    """Return the span of a message of which the journal knows nothing: a test, or an end that it could not take."""
    name, attributes = plain(str(message.data["summary"]), 200), {"lbctl.text": message.text}
    return {"number": 0, "name": name, "start_ms": 0, "end_ms": 0, "failed": "", "attributes": attributes, "events": []}


async def encoded(asked: dict[str, Any], timeout_s: float = ENCODE_S) -> bytes | Delivery:
    """Return the trace in OTLP's form, or why there is none. A child that hangs or dies is an answer, too."""
    handle = os.memfd_create("lbctl-trace", os.MFD_CLOEXEC)
    with os.fdopen(handle, "rb") as written:
        argv = (sys.executable, "-I", "-m", "lbctl.notify.otlp_child")
        done = await run(argv, json.dumps(asked).encode(), inherited(), timeout_s, stdout=handle)
        if not done.ok:
            return done
        written.seek(0)
        trace = written.read(TRACE_BYTES_MAX + 1)
    if len(trace) > TRACE_BYTES_MAX:
        return Delivery(ok=False, detail=f"a trace of more than {TRACE_BYTES_MAX >> 20} MiB is not sent", hopeless=True)
    return trace
