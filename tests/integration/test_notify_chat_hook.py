"""Incoming webhooks of Slack and Mattermost, against a server that behaves as theirs."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.config.settings import ChatHookAlert
from lbctl.model.entry import Kind
from lbctl.notify.chat_hook import ChatHookSender
from lbctl.store.journal import Journal
from tests.integration.chat_services import ChatHook, answers, cuts, running
from tests.integration.test_store_journal import WALL, record
from tests.integration.told import CANARY, EVERYTHING, HOSTILE, composed, fact, outbox, secret, until

BACK = fact(Kind.ROLLBACK_STARTED, "going back to green: errors", data={"sessions": "move"})


@pytest.fixture
async def chat() -> AsyncIterator[ChatHook]:
    async with running(ChatHook(secret=f"T0/B0/{CANARY}")) as service:
        assert isinstance(service, ChatHook)
        yield service


def alert(chat: ChatHook, key: str = CANARY) -> ChatHookAlert:
    return ChatHookAlert(name="ops", url=secret(f"{chat.url}/services/T0/B0/{key}"), on=EVERYTHING)


async def test_each_alert_is_a_message_with_all_a_person_needs(chat: ChatHook) -> None:
    sender = ChatHookSender(alert(chat))
    assert (await sender.send(composed(BACK))).ok
    (text,) = chat.texts
    for part in (
        "storefront 4.1.0 (green) → 4.2.0 (blue)", "blue 5 of 40 bad (12.50 %", "green 0 of 400 bad", "*After:* 12m34s",
        "*Does:* new traffic goes back to green at once", "*Next:* ", "`lbctl explain 7`",
    ):  # fmt: skip
        assert part in text, part
    await sender.close()


async def test_what_strangers_say_calls_nobody_and_hides_no_address(chat: ChatHook) -> None:
    sender = ChatHookSender(alert(chat))
    assert (await sender.send(composed(fact(Kind.HOLD_STARTED, HOSTILE * 100)))).ok
    for part in ("<", "@everyone", "](http", "\x1b", "\u202e"):
        assert part not in chat.texts[0]
    await sender.close()


@pytest.mark.parametrize(
    ("plan", "said", "hopeless"),
    [
        (answers(400, "invalid_payload"), "HTTP status 400", True),
        (answers(403, "action_prohibited"), "make a new webhook", False),
        (answers(410, "channel_is_archived"), "make a new webhook", False),
        (answers(429, "", Retry_After="7"), "HTTP status 429", False),
        (answers(500, "rollup_error"), "HTTP status 500", False),
        (answers(200, f"<html>{CANARY}"), "it did not say ok", False),
        (answers(200, {"success": False}), "it did not say ok", False),
        (cuts, "ServerDisconnectedError", False),
    ],
)
async def test_what_the_service_refuses_is_said(chat: ChatHook, plan: Any, said: str, hopeless: bool) -> None:
    sender = ChatHookSender(alert(chat))
    chat.plans = [plan]
    failed = await sender.send(composed(BACK))
    assert (failed.ok, failed.hopeless, said in failed.detail) == (False, hopeless, True)
    assert (failed.retry_after_s == 7.0) == ("429" in said)
    assert CANARY not in failed.detail
    assert (await sender.send(composed(BACK))).ok
    await sender.close()


async def test_rocket_chat_says_it_in_its_own_words(chat: ChatHook) -> None:
    sender = ChatHookSender(alert(chat))
    chat.plans = [answers(200, {"success": True})]
    assert (await sender.send(composed(BACK))).ok
    await sender.close()


async def test_a_webhook_that_is_gone_loses_nothing_when_it_is_there_again(chat: ChatHook, tmp_path: Path) -> None:
    chat.plans = [answers(404, "no_service")]
    journal = Journal.open(tmp_path / "journal.db")
    box = outbox(journal, alert(chat))
    box.start()
    await journal.append(record(1), [fact(Kind.RELEASE_STARTED, "one"), BACK], wall=WALL)
    await until(lambda: len(chat.texts) == 2)
    assert ["going back" in text for text in chat.texts] == [True, False]
    await until(lambda: box.counters()["ops"] == {"sent": 2, "failed": 1, "dropped": 0, "pending": 0})
    await box.close()
    journal.close()
