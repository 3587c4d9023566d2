"""A channel of Slack, told by a bot, against a server that behaves as Slack's documentation says."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from lbctl.config.settings import SlackAlert
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ReleaseId
from lbctl.model.record import Phase
from lbctl.model.units import Instant
from lbctl.notify.edits import Edits
from lbctl.notify.slack import SlackSender
from lbctl.store.journal import Journal
from tests.integration.chat_services import SlackApi, answers, cuts, floods, hangs, running, shown
from tests.integration.test_store_journal import WALL, record
from tests.integration.told import CANARY, EVERYTHING, HOSTILE, composed, fact, outbox, paged, secret, until

STARTED = fact(Kind.RELEASE_STARTED, "release 7: storefront green → blue (4.2.0) by 10 %, 100 %")
BACK = fact(Kind.ROLLBACK_STARTED, "going back to green: errors: candidate 5/40", data={"sessions": "move"})


@pytest.fixture
async def slack() -> AsyncIterator[SlackApi]:
    async with running(SlackApi(token=f"xoxb-{CANARY}")) as service:
        assert isinstance(service, SlackApi)
        yield service


def alert(slack: SlackApi, **changes: Any) -> SlackAlert:
    settings = {"name": "deploys", "token": secret(f"xoxb-{CANARY}"), "channel": "#deploys", "api": slack.url + "/api"}
    return SlackAlert(**{**settings, "on": EVERYTHING, **changes})


async def told(sender: SlackSender, *entries: Entry) -> list[Any]:
    return [await sender.send(composed(one, number)) for number, one in enumerate(entries, 1)]


async def test_a_release_is_one_message_edited_in_place_with_a_thread(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    story = (STARTED, fact(Kind.STEP_STARTED, "0 % → 10 %"), fact(Kind.HOLD_STARTED, "held: x"), BACK)
    assert all(one.ok for one in await told(sender, *story))
    (root,) = slack.roots()
    assert "going back to green" in shown(root)
    assert slack.edits == 3
    assert [one["reply_broadcast"] for one in slack.replies()] == [False, True]
    assert "held: x" in shown(slack.replies()[0])
    await sender.close()


async def test_a_message_says_all_a_person_needs(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    await told(sender, BACK)
    (root,) = slack.roots()
    for part in (
        "\u21a9 storefront release 7: rollback started",
        "storefront 4.1.0 (green) → 4.2.0 (blue)",
        "blue 5 of 40 bad (12.50 %, 95 % within 5.46\u201326.11 %), green 0 of 400 bad (0.00 %), in 12 s",
        "new traffic goes back to green at once, sessions go with it",
        "*After:* 12m34s",
        "*Next:* ",
        "`lbctl explain 7`",
        "lb1, lbctl 1.2.3",
    ):
        assert part in shown(root), part
    await sender.close()


async def test_what_strangers_say_calls_nobody_and_leads_nowhere(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    await told(sender, fact(Kind.HOLD_STARTED, HOSTILE))
    (root,) = slack.roots()
    text = shown(root)
    for part in ("<!", "<http", "@everyone", "\x1b", "\u202e", "<"):
        assert part not in text
    assert "&amp;amp;" in text
    assert all(one["text"]["verbatim"] for one in root["blocks"] if one["type"] == "section")
    assert (root["link_names"], root["unfurl_links"], root["unfurl_media"]) == (False, False, False)
    await sender.close()


async def test_a_text_of_any_length_fits_slacks_limits(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    assert [one.ok for one in await told(sender, fact(Kind.HOLD_STARTED, "<&>" * 5_000))] == [True]
    await sender.close()


async def test_a_restart_goes_on_in_the_same_message(slack: SlackApi, tmp_path: Path) -> None:
    for number, one in enumerate((STARTED, BACK), 1):
        journal = Journal.open(tmp_path / "journal.db")
        sender = SlackSender(alert(slack), journal)
        assert (await sender.send(composed(one, number))).ok
        await sender.close()
        journal.close()
    assert (len(slack.roots()), len(slack.replies()), slack.edits) == (1, 1, 1)


async def test_a_message_that_is_gone_is_posted_anew(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    await told(sender, STARTED)
    slack.messages.clear()
    assert (await sender.send(composed(BACK, 2))).ok
    assert (len(slack.roots()), len(slack.replies())) == (1, 0)
    slack.messages.clear()
    assert (await sender.send(composed(fact(Kind.STEP_REACHED), 3))).ok
    assert len(slack.roots()) == 1
    await sender.close()


async def test_an_edit_that_fails_repeats_no_reply(slack: SlackApi, journal: Journal) -> None:
    clock = [0.0]
    sender = SlackSender(alert(slack), journal, edits=Edits(lambda: clock[0]))
    await told(sender, STARTED)

    async def well(request: Any) -> Any:
        return slack.well(request, await request.text())

    slack.plans = [well, answers(429, {"ok": False, "error": "ratelimited"}, Retry_After="3")]
    failed = await sender.send(composed(BACK, 2))
    assert (failed.ok, failed.retry_after_s, failed.hopeless, failed.said) == (False, 3.0, False, True)
    clock[0] = 3.0
    assert (await sender.send(composed(BACK, 2))).ok
    assert (len(slack.replies()), slack.edits) == (1, 1)
    await sender.close()


async def test_what_had_to_wait_does_not_hide_what_happened_since(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    await told(sender, STARTED)
    await sender.send(composed(BACK, 5))
    await sender.send(composed(fact(Kind.HOLD_STARTED, "held: x"), 4))
    assert "going back to green" in shown(slack.roots()[0])
    assert len(slack.replies()) == 2
    await sender.close()


@pytest.mark.parametrize(
    ("plan", "said", "hopeless"),
    [
        (answers(200, {"ok": False, "error": "invalid_auth"}), "put a valid Bot User OAuth Token", False),
        (answers(200, {"ok": False, "error": "channel_not_found"}), "invite the bot", False),
        (answers(200, {"ok": False, "error": "msg_too_long"}), "msg_too_long", True),
        (answers(200, {"ok": False, "error": f"xoxb-{CANARY} \x1b[0m"}), "an unknown error", False),
        (answers(200, "<html>login</html>"), "not an answer of Slack", False),
        (answers(200, ["ok"]), "not an answer of Slack", False),
        (answers(200, {"ok": "true"}), "not an answer of Slack", False),
        (answers(503, "down"), "HTTP status 503", False),
        (answers(307, "", Location="/elsewhere"), "redirects are not followed", False),
        (floods, "not an answer of Slack", False),
        (cuts, "ServerDisconnectedError", False),
    ],
)
async def test_what_slack_refuses_is_said_with_the_next_step(
    slack: SlackApi, journal: Journal, plan: Any, said: str, hopeless: bool
) -> None:
    sender = SlackSender(alert(slack), journal)
    slack.plans = [plan]
    (failed,) = await told(sender, STARTED)
    assert (failed.ok, failed.hopeless) == (False, hopeless)
    assert said in failed.detail
    assert CANARY not in failed.detail
    assert (await sender.send(composed(STARTED))).ok
    await sender.close()


async def test_a_yes_without_a_message_is_believed_and_starts_no_thread(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    slack.plans = [answers(200, {"ok": True, "channel": 7, "ts": ["x"]})]
    assert [one.ok for one in await told(sender, STARTED, BACK)] == [True, True]
    assert (len(slack.roots()), len(slack.replies())) == (1, 0)
    await sender.close()


async def test_a_slow_slack_is_given_up_in_time(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal, timeout_s=0.2)
    slack.plans = [hangs]
    (failed,) = await told(sender, STARTED)
    assert failed.detail == "127.0.0.1: no answer within 0.2 s"
    await sender.close()


async def test_steps_are_merged_and_a_hold_that_pages_is_told_once(slack: SlackApi, journal: Journal) -> None:
    box = outbox(journal, alert(slack))
    code = {"code": "drift"}
    steps = [fact(Kind.STEP_STARTED, f"to {share} %") for share in range(20)]
    held = [fact(Kind.HOLD_STARTED, "held", data=code), paged("held for long", data=code)]
    box.start()
    await journal.append(record(1), [STARTED, *steps, *held], wall=WALL)
    await until(lambda: box.counters()["deploys"]["sent"] >= 2)
    # What needs a person goes first; of twenty steps and the hold that became a page nothing is left to tell.
    assert [("held for long" in shown(one), one["unfurl_links"]) for one in slack.roots()] == [(True, False)]
    assert ["release 7: storefront" in shown(one) for one in slack.replies()] == [True]
    assert (box.pending, len(slack.messages)) == (0, 2)
    assert slack.at_s[1] - slack.at_s[0] >= 1.1
    await box.close()


async def test_a_way_back_waits_for_no_pause_and_goes_before_what_waits(slack: SlackApi, journal: Journal) -> None:
    slack.plans = [answers(500)] * 4
    box = outbox(journal, alert(slack))
    box.start()
    await journal.append(record(1), [STARTED, fact(Kind.RELEASE_PAUSED, "paused")], wall=WALL)
    await until(lambda: box.counters()["deploys"]["failed"] >= 4)
    # The next attempt is due in four seconds.
    began = time.monotonic()
    await journal.append(record(2), [BACK], wall=WALL)
    box.wake()
    await until(slack.roots)
    assert time.monotonic() - began < 2.0
    assert "going back to green" in shown(slack.roots()[0])
    await until(lambda: box.pending == 0)
    assert len(slack.replies()) == 2
    await box.close()


async def test_what_slack_asked_to_wait_is_waited_even_by_a_way_back(slack: SlackApi, journal: Journal) -> None:
    slack.plans = [answers(429, {"ok": False, "error": "ratelimited"}, Retry_After="2")]
    box = outbox(journal, alert(slack))
    box.start()
    await journal.append(record(1), [STARTED], wall=WALL)
    await until(lambda: slack.at_s)
    await journal.append(record(2), [BACK], wall=WALL)
    box.wake()
    await until(slack.roots)
    assert slack.at_s[1] - slack.at_s[0] >= 1.9
    await box.close()


async def test_edits_that_are_to_wait_keep_no_way_back_waiting_and_are_made_later(
    slack: SlackApi, journal: Journal
) -> None:
    slack.edits_rest = 3
    box = outbox(journal, alert(slack), alert(slack, name="ops", channel="C0DEPLOYS1"))
    box.start()
    await journal.append(record(1), [STARTED, fact(Kind.HOLD_STARTED, "held: x")], wall=WALL)
    await until(lambda: slack.refused and len(slack.replies()) == 2)
    slack.edits_rest, refused = 0, slack.refused
    await journal.append(record(2), [BACK], wall=WALL)
    box.wake()
    await until(lambda: len(slack.replies()) == 4, 2.5)
    assert refused <= 2, "both may have asked in the same moment"
    assert (slack.edits, slack.refused) == (0, refused), "no channel of the app asks again before its time"
    await until(lambda: all("going back to green" in shown(one) for one in slack.roots()))
    await until(lambda: not box.pending)
    assert len(slack.replies()) == 4
    await box.close()


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_page_whose_edit_is_to_wait_keeps_neither_a_way_back_nor_news_waiting(
    slack: SlackApi, journal: Journal, at_once: bool
) -> None:
    slack.edits_rest = 30
    box = outbox(journal, alert(slack))
    box.start()
    await journal.append(record(1), [STARTED], wall=WALL)
    await until(slack.roots)
    page = fact(Kind.HOLD_PAGED, "held: x", severity=Severity.PAGE)
    await journal.append(record(2), [page, BACK] if at_once else [page], wall=WALL)
    if not at_once:
        await until(lambda: slack.refused)
        await journal.append(record(3), [BACK], wall=WALL)
    box.wake()
    await until(lambda: len(slack.replies()) == 2, 5.0)
    assert "going back to green" in shown(slack.replies()[1])
    assert (slack.refused, box.pending) == (1, 2), "both edits are still to be made"
    await journal.append(record(4), [fact(Kind.CONFIG_RELOADED, "the config was reloaded", release=None)], wall=WALL)
    box.wake()
    await until(lambda: len(slack.roots()) == 2, 5.0)
    assert (slack.refused, box.pending) == (1, 2)
    await box.close()


async def test_a_restart_while_edits_are_to_wait_says_nothing_twice(slack: SlackApi, journal: Journal) -> None:
    first = SlackSender(alert(slack), journal)
    await told(first, STARTED)
    slack.edits_rest = 30
    page = composed(fact(Kind.HOLD_PAGED, "held: x", severity=Severity.PAGE), 2)
    assert (await first.send(page)).said
    assert (await first.send(composed(BACK, 3))).said
    await first.close()
    slack.edits_rest = 0
    again = SlackSender(alert(slack), journal)
    for message in (page, composed(BACK, 3)):
        assert (await again.send(message)).ok
    assert (len(slack.replies()), slack.edits) == (2, 2)
    assert "going back to green" in shown(slack.roots()[0])
    await again.close()


async def test_a_limit_of_edits_is_that_of_the_app_and_not_believed_for_ever(slack: SlackApi, journal: Journal) -> None:
    clock = [0.0]
    edits = Edits(lambda: clock[0])
    senders = [SlackSender(alert(slack, name=name), journal, edits=edits) for name in ("deploys", "ops")]
    for sender in senders:
        await told(sender, STARTED)
    slack.edits_rest = 86_400
    for sender in senders:
        assert not (await sender.send(composed(BACK, 2))).ok
    assert (slack.refused, len(slack.replies())) == (1, 2)
    slack.edits_rest, clock[0] = 0, 60.0
    for sender in senders:
        assert (await sender.send(composed(BACK, 2))).ok
        await sender.close()
    assert (slack.edits, len(slack.replies())) == (2, 2)


async def test_a_token_that_is_wrong_is_told_by_the_test_message(slack: SlackApi, journal: Journal) -> None:
    box = outbox(journal, alert(slack), alert(slack, name="stale", token=secret("xoxb-stale")))
    assert await box.test("deploys") == (True, "")
    ok, detail = await box.test("stale")
    assert (ok, "invalid_auth" in detail, "xoxb" in detail) == (False, True, False)
    await box.close()


async def test_an_alert_without_a_release_is_a_message_of_its_own(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    lost = Entry(kind=Kind.JOURNAL_FAILED, at=Instant(1), text="no space", severity=Severity.PAGE)
    assert [one.ok for one in await told(sender, lost, lost)] == [True, True]
    assert (len(slack.roots()), len(slack.replies())) == (2, 0)
    await sender.close()


async def test_another_channel_in_the_config_gets_what_comes_from_now_on(journal: Journal) -> None:
    async with running(SlackApi(token=f"xoxb-{CANARY}", channels={"#deploys": "C1", "#new": "C2"})) as slack:
        assert isinstance(slack, SlackApi)
        for channel, entry in (("#deploys", STARTED), ("#new", BACK)):
            sender = SlackSender(alert(slack, channel=channel), journal)
            assert (await sender.send(composed(entry))).ok
            await sender.close()
        assert [(one["channel"], "going back" in one["text"]) for one in slack.roots()] == [
            ("#deploys", False),
            ("#new", True),
        ]


async def test_a_reply_is_not_repeated_when_another_came_before_its_edit(slack: SlackApi, journal: Journal) -> None:
    sender = SlackSender(alert(slack), journal)
    held = composed(fact(Kind.HOLD_STARTED, "held: A"), 2)
    assert (await sender.send(composed(STARTED, 1))).ok

    async def well(request: web.Request) -> web.StreamResponse:
        return slack.well(request, await request.text())

    slack.plans = [well, answers(429, {"ok": False, "error": "ratelimited"})]
    assert not (await sender.send(held)).ok
    assert (await sender.send(composed(BACK, 3))).ok
    assert (await sender.send(held)).ok
    assert len(slack.replies()) == 2
    await sender.close()


async def test_the_last_message_of_a_release_says_all_of_it_although_the_next_one_has_begun(
    slack: SlackApi, journal: Journal
) -> None:
    box = outbox(journal, alert(slack))
    (name, seven), *_ = record(1).releases.items()
    await journal.append(record(1), [STARTED], wall=WALL)
    over = replace(seven, phase=Phase.ROLLED_BACK, outcome="errors")
    back = fact(Kind.ROLLBACK_FINISHED, "all is back", data={"phase": "rolled_back", "share_bp": 0})
    await journal.append(record(2, releases={name: over}), [back], wall=WALL)
    eight = replace(seven, id=ReleaseId("8"), version="4.3.0", share_bp=1_000)
    await journal.append(record(3, releases={name: eight}), [fact(Kind.RELEASE_STARTED, release="8")], wall=WALL)
    journal.set_cursor("alert/deploys", 1)
    box.start()
    await until(slack.roots)
    text = shown(slack.roots()[0])
    for part in ("4.1.0 (green) → 4.2.0 (blue)", "0 % on blue", "not tried again by itself", "lbctl explain 7"):
        assert part in text, part
    await box.close()
