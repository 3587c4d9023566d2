"""Alerts over a real journal to real receivers: an HTTP server that misbehaves, and real child processes."""

import asyncio
import hashlib
import hmac
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.errors import LbctlError
from lbctl.model.units import Instant
from lbctl.notify import lane
from lbctl.notify.outbox import Outbox
from lbctl.notify.port import Channel, ExecChannel, WebhookChannel
from lbctl.store.journal import Journal
from tests.integration.test_store_journal import WALL, entry, record

SECRET = "s3cret"


class Receiver:
    """A local HTTP server that does what `replies` says, in turn, then 200."""

    def __init__(self) -> None:
        self.seen: list[tuple[dict[str, str], bytes, float]] = []
        self.replies: list[Callable[[web.Request], Any]] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((dict(request.headers), await request.read(), time.monotonic()))
        if self.replies:
            reply = self.replies.pop(0)(request)
            return await reply if asyncio.iscoroutine(reply) else reply
        return web.Response(text="ok")

    def kinds(self) -> list[str]:
        return [json.loads(body)["type"] for _, body, _ in self.seen]

    def texts(self) -> list[str]:
        return [json.loads(body)["data"]["summary"] for _, body, _ in self.seen]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    here = Receiver()
    app = web.Application()
    app.router.add_post("/{any:.*}", here.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    here.url = f"http://127.0.0.1:{runner.addresses[0][1]}/private-path"
    yield here
    await runner.cleanup()


def outbox(journal: Journal, *channels: Channel, now: Callable[[], Instant] = lambda: Instant(1)) -> Outbox:
    return Outbox(journal, channels, record=journal.latest, now=now, version="1.2.3", host="lb1", jitter=lambda: 0.0)


async def until(condition: Callable[[], object], within_s: float = 10.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def back(text: str = "green 5 of 40 failed, blue 0 of 400", **changes: object) -> Entry:
    return replace(entry(text, Kind.ROLLBACK_STARTED, severity=Severity.PAGE, data={"green_errors": 5}), **changes)  # type: ignore[arg-type]


async def test_a_webhook_gets_a_signed_event_with_all_a_person_needs(journal: Journal, receiver: Receiver) -> None:
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.start()
    await journal.append(record(1), [back()], wall=WALL)
    box.wake()
    await until(lambda: receiver.seen)
    headers, body, _ = receiver.seen[0]
    signed = hmac.new(SECRET.encode(), headers["X-Lbctl-Timestamp"].encode() + b"." + body, hashlib.sha256)
    assert headers["X-Lbctl-Signature"] == "sha256=" + signed.hexdigest()
    assert abs(int(headers["X-Lbctl-Timestamp"]) - time.time()) < 60
    event = json.loads(body)
    assert (event["type"], event["subject"], event["id"]) == ("lbctl.rollback.started", "storefront/7", "entry-1")
    assert event["data"]["numbers"] == {"green_errors": 5}
    for part in ("4.1.0 (green) -> 4.2.0 (blue)", "green 5 of 40", "lb1, lbctl 1.2.3", "next: ", "lbctl explain 7"):
        assert part in event["data"]["text"]
    await box.close()


async def test_an_unwell_receiver_is_tried_again_in_order_until_it_takes_them(
    journal: Journal, receiver: Receiver
) -> None:
    async def big(request: web.Request) -> web.StreamResponse:
        return web.Response(body=b"x" * (1 << 20))

    async def cut(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    receiver.replies = [
        lambda _: web.Response(status=500),
        lambda _: web.Response(status=429, headers={"Retry-After": "2"}),
        cut,
        big,
    ]
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.start()
    await journal.append(record(1), [back("one"), back("two"), back("three")], wall=WALL)
    box.wake()
    await until(lambda: len(receiver.seen) >= 6)
    assert receiver.texts() == ["one", "one", "one", "one", "two", "three"]
    times = [seen for _, _, seen in receiver.seen]
    assert times[2] - times[1] >= 1.9
    assert len({json.loads(body)["id"] for _, body, _ in receiver.seen[:4]}) == 1
    assert box.counters()["hook"] == {"sent": 3, "failed": 3, "dropped": 0, "pending": 0}
    await box.close()


async def test_a_way_back_behind_an_alert_that_is_to_wait_long_does_not_wait_as_long(
    journal: Journal, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "URGENT_EVERY_S", 1.0)
    receiver.replies = [lambda _: web.Response(status=429, headers={"Retry-After": "600"})]
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET, frozenset({"started", "rollback"})))
    box.start()
    await journal.append(record(1), [entry("begun", Kind.RELEASE_STARTED)], wall=WALL)
    await until(lambda: box.counters()["hook"]["failed"])
    await journal.append(record(2), [back("going back", at=Instant(2))], wall=WALL)
    box.wake()
    await until(lambda: len(receiver.seen) >= 3)
    assert receiver.texts() == ["begun", "begun", "going back"]
    assert receiver.seen[1][2] - receiver.seen[0][2] >= 0.9
    await box.close()


async def test_a_message_the_receiver_refuses_for_good_does_not_block_the_next(
    journal: Journal, receiver: Receiver
) -> None:
    receiver.replies = [lambda _: web.Response(status=422)]
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.start()
    await journal.append(record(1), [back("one"), back("two")], wall=WALL)
    await until(lambda: len(receiver.seen) >= 3)
    assert receiver.texts() == ["one", f"1 alert not delivered since {WALL}", "two"]
    await box.close()


async def test_a_redirect_is_not_followed(journal: Journal, receiver: Receiver) -> None:
    receiver.replies = [lambda _: web.Response(status=307, headers={"Location": "/elsewhere"})]
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    assert await box.test("hook") == (False, "HTTP status 307 (redirects are not followed: name the final url)")
    assert await box.test("hook") == (True, "")
    assert len(receiver.seen) == 2
    await box.close()


async def test_hanging_and_dead_receivers_delay_neither_each_other_nor_an_append(
    journal: Journal, receiver: Receiver
) -> None:
    hanging = socket.create_server(("127.0.0.1", 0))
    port = hanging.getsockname()[1]
    box = outbox(
        journal,
        WebhookChannel("hangs", f"http://127.0.0.1:{port}/", SECRET),
        WebhookChannel("closed", "http://127.0.0.1:1/", SECRET),
        ExecChannel("sleeps", ("/bin/sleep", "60")),
        WebhookChannel("well", receiver.url, SECRET),
    )
    box.start()
    taken = []
    for number in range(20):
        started = time.monotonic()
        await journal.append(record(number), [back(f"{number}")], wall=WALL)
        box.wake()
        taken.append(time.monotonic() - started)
    appended = time.monotonic()
    await until(lambda: len(receiver.seen) >= 20)
    print(f"20 alerts told {(time.monotonic() - appended) * 1000:.0f} ms after the last append, others dead")
    assert receiver.texts() == [str(number) for number in range(20)]
    assert sorted(taken)[10] < 0.5
    assert box.pending >= 3
    await box.close()
    hanging.close()


async def test_what_was_not_told_before_a_restart_is_told_after_it(tmp_path: Path, receiver: Receiver) -> None:
    journal = Journal.open(tmp_path / "j" / "journal.db")
    dead = outbox(journal, WebhookChannel("hook", "http://127.0.0.1:1/", SECRET))
    dead.start()
    await journal.append(record(1), [back("one"), entry("step noise"), back("two")], wall=WALL)
    await until(lambda: dead.counters()["hook"]["failed"] >= 1)
    await dead.close()
    journal.close()
    journal = Journal.open(tmp_path / "j" / "journal.db")
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.start()
    await until(lambda: len(receiver.seen) >= 2)
    await box.close(drain_s=1)
    journal.close()
    journal = Journal.open(tmp_path / "j" / "journal.db")
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.start()
    await journal.append(None, [back("three")], wall=WALL)
    await box.close(drain_s=5)
    assert receiver.texts() == ["one", "two", "three"]
    journal.close()


async def test_old_alerts_become_one_summary_and_new_ones_follow(journal: Journal, receiver: Receiver) -> None:
    await journal.set_cursor("alert/hook", 0)
    await journal.append(record(1), [back(f"old {n}") for n in range(12)], wall="w-old")
    late = Instant(31 * 60_000)
    await journal.append(None, [back("new", at=late)], wall="w-new")
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET), now=lambda: late)
    box.start()
    await until(lambda: len(receiver.seen) >= 2)
    assert receiver.texts() == ["12 alerts not delivered since w-old", "new"]
    await until(lambda: journal.cursor("alert/hook") == 13)
    await box.close()


async def test_entries_the_journal_could_not_take_are_told_from_memory_and_are_bounded(
    journal: Journal, receiver: Receiver
) -> None:
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.offer([back(f"{n}") for n in range(1005)], wall=WALL)
    assert box.counters()["hook"]["dropped"] == 5
    box.start()
    await until(lambda: len(receiver.seen) >= 3)
    assert receiver.texts()[:3] == [f"5 alerts not delivered since {WALL}", "5", "6"]
    await box.close()


async def test_what_was_told_from_memory_is_not_told_again_once_it_is_durable(
    journal: Journal, receiver: Receiver
) -> None:
    box = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    box.start()
    await asyncio.sleep(0)
    box.offer([back("from memory")], wall=WALL)
    await until(lambda: receiver.seen)
    await journal.append(record(1), [back("from memory"), back("then")], wall=WALL)
    box.wake()
    await until(lambda: len(receiver.seen) >= 2)
    assert receiver.texts() == ["from memory", "then"]
    await box.close()


async def test_an_outbox_goes_on_for_the_one_before_it_with_what_only_memory_holds(
    journal: Journal, receiver: Receiver
) -> None:
    receiver.replies = [lambda _: web.Response(status=500)] * 3
    old = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    old.start()
    old.offer([back("the journal could not take it")], wall=WALL)
    await until(lambda: old.counters()["hook"]["failed"])
    await old.close()
    receiver.replies, failed = [], old.counters()["hook"]["failed"]
    receiver.seen.clear()
    new = outbox(journal, WebhookChannel("hook", receiver.url, SECRET))
    new.take_over(old)
    new.start()
    await until(lambda: receiver.seen)
    assert receiver.texts() == ["the journal could not take it"]
    await until(lambda: not new.pending)
    assert new.counters()["hook"] == {"sent": 1, "failed": failed, "dropped": 0, "pending": 0}
    await new.close()


def script(tmp_path: Path, text: str) -> tuple[str, ...]:
    path = tmp_path / "script.py"
    path.write_text(text)
    return (sys.executable, "-I", str(path))


async def test_a_program_gets_the_message_on_stdin_and_in_its_environment(journal: Journal, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    argv = script(
        tmp_path,
        "import json, os, sys\n"
        f"json.dump([json.load(sys.stdin), dict(os.environ)], open({str(out)!r} + '.new', 'w'))\n"
        f"os.rename({str(out)!r} + '.new', {str(out)!r})\n",
    )
    os.environ["LBCTL_TEST_CANARY"] = "must not leak"
    box = outbox(journal, ExecChannel("ops", argv))
    box.start()
    await journal.append(record(1), [back("red \x1b[31m <!here> @channel\nx")], wall=WALL)
    await until(out.exists)
    message, environment = json.loads(out.read_text())
    del os.environ["LBCTL_TEST_CANARY"]
    assert message["summary"] == environment["LBCTL_SUMMARY"] == "red [31m \u2039!here> \uff20channel x"
    assert (environment["LBCTL_RELEASE"], environment["LBCTL_SERVICE"]) == ("7", "storefront")
    assert "LBCTL_TEST_CANARY" not in environment
    await box.close()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.stderr.write('no pager\\n'); sys.exit(3)", "exit code 3; it said: no pager"),
        ("import os; os.write(2, b'x' * 3000000); os._exit(1)", "exit code 1"),
        ("import os, time; os.fork() or time.sleep(3); raise SystemExit(4)", "exit code 4"),
    ],
)
async def test_a_program_that_fails_is_told_with_its_last_words(
    journal: Journal, tmp_path: Path, program: str, said: str
) -> None:
    box = outbox(journal, ExecChannel("ops", script(tmp_path, program)))
    ok, detail = await box.test("ops")
    assert (ok, said in detail) == (False, True)
    assert len(detail) < 1000
    await box.close()


async def test_a_program_that_never_ends_is_killed_with_its_children(journal: Journal, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    argv = script(
        tmp_path,
        f"import os, time\npid = os.fork()\nopen({str(pids)!r}, 'a').write(f'{{os.getpid()}}\\n')\ntime.sleep(60)\n",
    )
    box = outbox(journal, ExecChannel("ops", argv))
    started = time.monotonic()
    ok, detail = await box.test("ops")
    assert (ok, "within 5 s" in detail) == (False, True)
    assert time.monotonic() - started < 15
    await until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
    await box.close()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def test_a_program_that_is_missing_is_said(journal: Journal) -> None:
    box = outbox(journal, ExecChannel("ops", ("/nowhere/page-ops",)))
    assert "cannot be run" in (await box.test("ops"))[1]
    with pytest.raises(KeyError):
        await box.test("other")
    await box.close()


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "http://[fe80::1]/", "http://0.0.0.0/", "http://[::ffff:169.254.169.254]/",
     "ftp://host/", "nothing", "http://100.100.100.200/"],
)  # fmt: skip
async def test_forbidden_addresses_are_refused_before_anything_runs(journal: Journal, url: str) -> None:
    with pytest.raises(LbctlError, match="alert hook"):
        outbox(journal, WebhookChannel("hook", url, SECRET))


@pytest.mark.parametrize("host", ["2852039166", "127.1", "0x7f000001"])
async def test_numbers_in_disguise_are_refused(journal: Journal, host: str) -> None:
    box = outbox(journal, WebhookChannel("hook", f"http://{host}:1/private-path", SECRET))
    ok, detail = await box.test("hook")
    await box.close()
    assert not ok
    assert "address" in detail or "this host" in detail or "InvalidUrl" in detail
    assert "private-path" not in detail


def test_secrets_are_not_in_the_text_of_a_channel() -> None:
    text = repr(WebhookChannel("hook", "https://h/private-path", SECRET))
    assert SECRET not in text
    assert "private-path" not in text
