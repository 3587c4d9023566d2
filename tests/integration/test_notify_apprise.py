"""Every other service by apprise: the real library in a child process, against a local server."""

import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import pytest

from lbctl.config.settings import AppriseAlert
from lbctl.model.entry import Kind
from lbctl.model.errors import LbctlError
from lbctl.notify import apprise
from lbctl.notify.apprise import AppriseSender
from lbctl.notify.apprise_child import without
from lbctl.notify.outbox import Discreet
from tests.integration.chat_services import JsonReceiver, answers, hangs, running
from tests.integration.told import CANARY, EVERYTHING, HOSTILE, composed, fact, secret

BACK = fact(Kind.ROLLBACK_STARTED, "going back to green: errors", data={"sessions": "move"})


@pytest.fixture
async def receiver() -> AsyncIterator[JsonReceiver]:
    async with running(JsonReceiver()) as service:
        assert isinstance(service, JsonReceiver)
        yield service


def sender_of(url: str, timeout_s: float = 30.0) -> Discreet:
    alert = AppriseAlert(name="phone", url=secret(url), on=EVERYTHING)
    return Discreet(alert, AppriseSender(alert, timeout_s))


def address(receiver: JsonReceiver) -> str:
    return f"json://user:{CANARY}@{receiver.url.removeprefix('http://')}/{CANARY}/x"


async def test_apprise_delivers_a_message_with_all_a_person_needs(receiver: JsonReceiver) -> None:
    sender = sender_of(address(receiver))
    assert (await sender.send(composed(BACK))).ok
    (taken,) = receiver.taken
    assert "storefront release 7: rollback started" in taken["title"]
    for part in ("Versions: storefront 4.1.0 (green)", "blue 5 of 40 bad", "After: 12m34s", "lbctl explain 7"):
        assert part in taken["message"], part
    assert (await sender.send(composed(fact(Kind.HOLD_STARTED, HOSTILE), 2))).ok
    assert not [part for part in ("@everyone", "\x1b", "\u202e") if part in receiver.taken[1]["message"]]
    await sender.close()


async def test_what_apprise_cannot_do_is_said_without_the_address(receiver: JsonReceiver) -> None:
    receiver.plans = [answers(500, f"no: {CANARY}")]
    failed = await sender_of(address(receiver)).send(composed(BACK))
    assert (failed.ok, "exit code 1; it said: " in failed.detail) == (False, True)
    assert CANARY not in failed.detail
    unknown = await sender_of(f"nosuch://{CANARY}/").send(composed(BACK))
    assert "exit code 4; it said: apprise cannot read the url" in unknown.detail
    assert CANARY not in unknown.detail


async def test_a_service_that_hangs_is_ended_with_the_child(receiver: JsonReceiver) -> None:
    receiver.plans = [hangs]
    began = time.monotonic()
    failed = await sender_of(address(receiver) + "?rto=60", timeout_s=3.0).send(composed(BACK))
    assert (failed.ok, "no end within 3 s" in failed.detail) == (False, True)
    assert time.monotonic() - began < 10


def test_no_part_of_the_address_is_in_what_the_child_says() -> None:
    said = without(f"tgram://{CANARY}/chat/?x=y", f"POST https://api.example/bot{CANARY.upper()}/chat failed")
    assert said == "POST https://api.example/bot(hidden)/(hidden) failed"


def test_the_child_survives_any_input_and_prints_none_of_it() -> None:
    argv = (sys.executable, "-I", "-m", "lbctl.notify.apprise_child")
    for garbage in (b"", b"[]", b'{"url": 7}', CANARY.encode()):
        done = subprocess.run(argv, input=garbage, capture_output=True, timeout=30, cwd="/", env=_quiet(), check=False)
        assert (done.returncode in {4, 70}, done.stdout) == (True, b"")
        assert len(done.stderr.splitlines()) == 1
        assert CANARY.encode() not in done.stderr


def _quiet() -> dict[str, str]:
    return {"PATH": os.environ["PATH"]}


def test_without_the_extra_the_alert_is_refused_with_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apprise, "find_spec", lambda _: None)
    with pytest.raises(LbctlError, match=r"alert phone: apprise is not installed: install lbctl\[notify\]"):
        sender_of("json://127.0.0.1/")
