"""Releases as traces: a real encoder in a child, and a receiver that decodes OTLP's protobuf as any collector does."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lbctl.config.settings import OtlpAlert
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.errors import LbctlError
from lbctl.model.names import ReleaseId
from lbctl.model.record import Phase
from lbctl.model.units import Instant
from lbctl.notify import otlp
from lbctl.notify.message import Composer
from lbctl.notify.outbox import Discreet
from lbctl.notify.port import Delivery, Message
from lbctl.store.journal import Journal
from tests.integration.chat_services import Service, answers, hangs, running
from tests.integration.test_store_journal import SHOP, entry, record, release
from tests.integration.told import CANARY, HOSTILE, outbox, secret, until

ENDED = "2026-05-01T10:00:40.000Z"
ENDED_NS = 1_777_629_640_000 * 1_000_000


@dataclass
class Collector(Service):
    """Takes what is a trace in OTLP's form, and nothing else."""

    authorization: str = f"Bearer {CANARY}"
    taken: list[ExportTraceServiceRequest] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.at_s.append(time.monotonic())
        if self.plans:
            return await self.plans.pop(0)(request)
        if request.headers.get("Authorization") != self.authorization:
            return web.Response(status=401)
        if request.path != "/v1/traces" or request.content_type != "application/x-protobuf":
            return web.Response(status=404)
        self.taken.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(content_type="application/x-protobuf")

    @property
    def spans(self) -> list[Span]:
        (resource,) = self.taken[-1].resource_spans
        (scope,) = resource.scope_spans
        return list(scope.spans)


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    async with running(Collector()) as service:
        assert isinstance(service, Collector)
        yield service


def alert(collector: Collector, key: str = CANARY) -> OtlpAlert:
    on = frozenset({"finished", "cancelled", "rollback"})
    return OtlpAlert(name="traces", url=collector.url, authorization=secret(f"Bearer {key}"), on=on)


def at(seconds: float, kind: Kind, text: str = "a fact", **more: Any) -> Entry:
    return replace(entry(text, kind), at=Instant(int(seconds * 1_000)), **more)


BACK = [
    at(0, Kind.RELEASE_STARTED),
    at(5, Kind.STEP_STARTED, data={"share_bp": 100}),
    at(6, Kind.STEP_REACHED, data={"share_bp": 100}),
    at(10, Kind.STEP_STARTED, "2 % after: nothing speaks against it", data={"share_bp": 2_500, "p": 0.25}),
    at(20, Kind.HOLD_PAGED, "it needs a person", severity=Severity.PAGE, data={"share_bp": 2_500}),
    at(30, Kind.ROLLBACK_STARTED, f"errors: {HOSTILE}", data={"share_bp": 2_500, "code": "errors"}),
    at(40, Kind.ROLLBACK_FINISHED, data={"share_bp": 0}),
]


async def told(journal: Journal, entries: list[Entry]) -> Message:
    """What the outbox makes of the last of these, once the journal has them and a later one."""
    known = record(1, releases={SHOP: release(phase=Phase.ROLLED_BACK, outcome="too many errors", reached_bp=2_500)})
    other = at(1, Kind.STEP_STARTED, release=ReleaseId("6"))
    stored = await journal.append(known, [other, *entries], wall=ENDED)
    await journal.append(None, [at(99, Kind.REASON_GIVEN)], wall=ENDED)
    return Composer("lb1", "1.2.3").alert(stored[-1], known.latest(SHOP))


async def sent(collector: Collector, journal: Journal, message: Message, key: str = CANARY) -> Delivery:
    channel = alert(collector, key)
    sender = Discreet(channel, otlp.OtlpSender(channel, journal, timeout_s=2.0))
    try:
        return await sender.send(message)
    finally:
        await sender.close()


def facts(one: Any) -> dict[str, Any]:
    """The attributes of a span, an event or a resource."""

    def plain(value: Any) -> Any:
        which = value.WhichOneof("value")
        found = getattr(value, which)
        return [plain(part) for part in found.values] if which == "array_value" else found

    return {pair.key: plain(pair.value) for pair in one.attributes}


async def test_a_release_that_went_back_is_one_span_and_one_for_each_step_below_it(
    collector: Collector, journal: Journal
) -> None:
    done = await sent(collector, journal, await told(journal, BACK))
    assert done.ok, done.detail
    whole, *steps = collector.spans
    assert [one.name for one in steps] == ["preflight", "step 1 %", "step 25 %", "rollback"]
    assert {one.parent_span_id for one in steps} == {whole.span_id}
    assert {one.trace_id for one in steps} == {whole.trace_id}
    assert (len(whole.trace_id), len(whole.span_id), whole.parent_span_id) == (16, 8, b"")
    assert len({one.span_id for one in (whole, *steps)}) == 5
    assert (ENDED_NS - whole.end_time_unix_nano, whole.end_time_unix_nano - whole.start_time_unix_nano) == (
        0,
        40 * 10**9,
    )
    assert [(one.end_time_unix_nano - one.start_time_unix_nano) // 10**9 for one in steps] == [5, 5, 20, 10]
    assert (whole.status.code, whole.status.message) == (Status.STATUS_CODE_ERROR, "too many errors")
    assert [one.name for one in whole.events] == ["rollback.started", "rollback.finished"]
    assert [one.name for one in steps[2].events] == ["step.started", "hold.paged"]
    assert facts(steps[2].events[0])["lbctl.p"] == 0.25


async def test_the_whole_says_what_was_deployed_and_how_it_ended(collector: Collector, journal: Journal) -> None:
    assert (await sent(collector, journal, await told(journal, BACK))).ok
    found = facts(collector.spans[0])
    assert found["deployment.id"] == "7"
    assert found["deployment.status"] == "failed"
    assert (found["service.version"], found["lbctl.versions_from"]) == ("4.2.0", ["4.1.0"])
    assert facts(collector.taken[0].resource_spans[0].resource) == {
        "service.name": "lbctl", "service.version": "1.2.3", "host.name": "lb1"
    }  # fmt: skip
    assert "\x1b" not in str(facts(collector.spans[4].events[0]))


async def test_the_same_release_is_the_same_trace_however_often_it_is_sent(
    collector: Collector, journal: Journal
) -> None:
    message = await told(journal, BACK)
    assert (await sent(collector, journal, message)).ok
    assert (await sent(collector, journal, message)).ok
    first, second = collector.taken
    assert first == second


async def test_a_release_that_went_well_succeeded(collector: Collector, journal: Journal) -> None:
    rows = [*BACK[:4], at(50, Kind.BAKE_STARTED), at(60, Kind.DRAIN_STARTED), at(90, Kind.RELEASE_FINISHED)]
    assert (await sent(collector, journal, await told(journal, rows))).ok
    whole, *steps = collector.spans
    assert [one.name for one in steps][-2:] == ["bake", "drain"]
    assert (whole.status.code, facts(whole)["deployment.status"]) == (Status.STATUS_CODE_OK, "succeeded")


async def test_only_an_end_is_sent_and_a_test_is_a_trace_of_its_own(collector: Collector, journal: Journal) -> None:
    message = await told(journal, BACK[:6])
    assert (await sent(collector, journal, message)).ok
    assert collector.taken == []
    assert (await sent(collector, journal, Composer("lb1", "1.2.3").test("traces", ENDED))).ok
    assert [one.name for one in collector.spans] == ["test of the alert channel traces: it works"]


@pytest.mark.parametrize(
    ("plan", "said", "hopeless"),
    [
        (answers(429, "", Retry_After="7"), "HTTP status 429", False),
        (answers(503, f"no: {CANARY}"), "HTTP status 503", False),
        (answers(400, "not understood"), "HTTP status 400: not understood", True),
        (answers(401), "put the right Authorization header", False),
        (answers(404), "no OTLP receiver has /v1/traces", False),
        (answers(301, "", Location="http://127.0.0.1:1/"), "redirects are not followed", False),
        (hangs, "2 s", False),
    ],
)
async def test_a_receiver_on_a_bad_day_is_told_and_tried_again(
    collector: Collector, journal: Journal, plan: Any, said: str, hopeless: bool
) -> None:
    collector.plans = [plan]
    done = await sent(collector, journal, await told(journal, BACK))
    assert (done.ok, done.hopeless) == (False, hopeless)
    assert said in done.detail
    assert CANARY not in done.detail
    assert done.retry_after_s == (7.0 if "429" in said else None)


async def test_the_outbox_sends_a_trace_of_its_own_accord_and_after_a_bad_day(
    collector: Collector, journal: Journal
) -> None:
    box = outbox(journal, alert(collector))
    box.start()
    collector.plans = [answers(503)]
    await told(journal, BACK)
    box.wake()
    await until(lambda: collector.taken, within_s=40)
    assert len(collector.spans) == 5
    assert box.counters()["traces"]["dropped"] == 0
    await box.close()


async def test_an_encoder_that_cannot_is_an_answer_and_says_why() -> None:
    broken = await otlp.encoded({"trace_id": "x"})
    assert isinstance(broken, Delivery)
    assert (broken.ok, "exit code 4; it said: not a trace" in broken.detail) == (False, True)
    slow = await otlp.encoded({}, timeout_s=0.01)
    assert isinstance(slow, Delivery)
    assert "no end within" in slow.detail


def test_without_the_extra_the_alert_is_refused_with_the_next_step(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "is_there", lambda: False)
    with pytest.raises(LbctlError, match=r"alert traces: OpenTelemetry is not installed: install lbctl\[otel\]"):
        otlp.OtlpSender(OtlpAlert(name="traces", url="http://127.0.0.1:1", authorization=None, on=frozenset()), journal)


def test_the_daemon_itself_never_loads_opentelemetry(tmp_path: Path) -> None:
    code = (
        "import sys; import lbctl.daemon.main, lbctl.notify.otlp as o; assert o.is_there();"
        "print([m for m in sys.modules if m.startswith(('opentelemetry', 'google'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "['opentelemetry']", "an empty name: to see whether it is installed"


async def test_of_a_very_long_release_the_begin_and_the_end_are_told_and_what_is_left_out_is_counted(
    collector: Collector, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "PAGE_ROWS", 10)
    monkeypatch.setattr(otlp, "FIRST_MAX", 20)
    monkeypatch.setattr(otlp, "LAST_MAX", 5)
    held = [at(11, Kind.HOLD_STARTED, f"hold {number}") for number in range(60)]
    assert (await sent(collector, journal, await told(journal, [*BACK[:4], *held, *BACK[4:]]))).ok
    whole, *steps = collector.spans
    assert [one.name for one in steps] == ["preflight", "step 1 %", "step 25 %", "rollback"]
    assert (facts(whole)["lbctl.entries_left_out"], facts(whole)["lbctl.end"]) == (42, "rollback.finished")
    assert [one.name for one in whole.events] == ["rollback.started", "rollback.finished"]


async def test_a_trace_ends_with_the_end_however_long_the_release(
    collector: Collector, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp, "PAGE_ROWS", 2)
    monkeypatch.setattr(otlp, "PAGES_MAX", 2)
    assert (await sent(collector, journal, await told(journal, BACK))).ok
    whole, *_ = collector.spans
    assert whole.end_time_unix_nano == ENDED_NS
    assert facts(whole)["lbctl.end"] == "rollback.finished"
