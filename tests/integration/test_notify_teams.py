"""A workflow of Microsoft Teams, against a server that behaves as its documentation says."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lbctl.config.settings import TeamsAlert
from lbctl.model.entry import Kind
from lbctl.notify.outbox import Discreet
from lbctl.notify.teams import TeamsSender
from tests.integration.chat_services import Workflow, answers, cuts, floods, running
from tests.integration.told import CANARY, EVERYTHING, HOSTILE, composed, fact, secret

BACK = fact(Kind.ROLLBACK_STARTED, "going back to green: errors", data={"sessions": "move"})


@pytest.fixture
async def teams() -> AsyncIterator[Workflow]:
    async with running(Workflow(sig=CANARY)) as service:
        assert isinstance(service, Workflow)
        yield service


def sender_of(teams: Workflow) -> Discreet:
    url = f"{teams.url}/workflows/ab/triggers/manual/paths/invoke?api-version=1&sp=%2Frun&sig={CANARY}"
    alert = TeamsAlert(name="teams", url=secret(url), on=EVERYTHING)
    return Discreet(alert, TeamsSender(alert))


async def test_each_alert_is_a_card_with_all_a_person_needs(teams: Workflow) -> None:
    sender = sender_of(teams)
    assert (await sender.send(composed(BACK))).ok
    (card,) = teams.cards
    title, facts, command, footer = card["body"]
    assert "storefront release 7: rollback started" in title["text"]
    told = {one["title"]: one["value"] for one in facts["facts"]}
    assert told["Versions"] == "storefront 4.1.0 (green) → 4.2.0 (blue)"
    assert told["Numbers"].startswith("blue 5 of 40 bad (12.50 %")
    assert "green 0 of 400 bad" in told["Numbers"]
    assert (told["After"], command["text"]) == ("12m34s", "lbctl explain 7")
    assert told["Does"] == "new traffic goes back to green at once, sessions go with it"
    assert "lb1, lbctl 1.2.3" in footer["text"]
    await sender.close()


async def test_what_strangers_say_calls_nobody_and_hides_no_address(teams: Workflow) -> None:
    sender = sender_of(teams)
    assert (await sender.send(composed(fact(Kind.HOLD_STARTED, HOSTILE + " <at>all</at>")))).ok
    text = str(teams.cards)
    for part in ("<at>", "@everyone", "](http", "\\x1b", "\u202e"):
        assert part not in text
    await sender.close()


async def test_a_card_of_any_text_is_small_enough(teams: Workflow) -> None:
    sender = sender_of(teams)
    assert (await sender.send(composed(fact(Kind.HOLD_STARTED, "\U0001f600" * 5_000, actor="é" * 5_000)))).ok
    await sender.close()


@pytest.mark.parametrize(
    ("plan", "said", "hopeless"),
    [
        (answers(401, {"error": {"code": "DirectApiAuthorizationRequired"}}), "is off, gone or locked", False),
        (answers(400, {"error": {"code": "WorkflowTriggerIsNotEnabled"}}), "switch it on, or make a new one", False),
        (answers(404, f"<html>{CANARY}"), "make a new one", False),
        (answers(400, {"error": {"code": "TriggerInputSchemaMismatch"}}), "TriggerInputSchemaMismatch", True),
        (answers(400, {"error": {"code": f"{CANARY} \x1b[0m"}}), "HTTP status 400", True),
        (answers(429, {"error": {"code": "TooManyRequests"}}, Retry_After="5"), "TooManyRequests", False),
        (answers(502, {"error": {"code": "BadGateway"}}), "BadGateway", False),
        (answers(200, "Webhook message delivery failed with error: HTTP error 429"), "did not take the card", False),
        (answers(200, "<html>sign in"), "did not take the card", False),
        (floods, "", False),
        (cuts, "ServerDisconnectedError", False),
    ],
)  # fmt: skip
async def test_what_the_workflow_refuses_is_said(teams: Workflow, plan: Any, said: str, hopeless: bool) -> None:
    sender = sender_of(teams)
    teams.plans = [plan]
    failed = await sender.send(composed(BACK))
    assert (failed.ok, failed.hopeless, said in failed.detail) == (said == "", hopeless, True)
    assert (failed.retry_after_s == 5.0) == ("TooMany" in said)
    assert CANARY not in failed.detail
    assert (await sender.send(composed(BACK))).ok
    await sender.close()
