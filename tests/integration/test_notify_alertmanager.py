"""Alertmanager's API v2, against a server that behaves as its documentation says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lbctl.config.settings import AlertmanagerAlert
from lbctl.model.entry import Kind
from lbctl.model.names import ServiceName
from lbctl.notify.alertmanager import AlertmanagerSender
from lbctl.notify.message import Composer
from lbctl.store.journal import Journal
from tests.integration.chat_services import Alertmanager, answers, cuts, running
from tests.integration.test_store_journal import WALL, record
from tests.integration.told import CANARY, EVERYTHING, HOSTILE, composed, fact, outbox, paged, secret, until

BACK = fact(Kind.ROLLBACK_STARTED, "going back to green")
ENDED = fact(Kind.HOLD_ENDED, "nothing holds the release any more")


@pytest.fixture
async def manager() -> AsyncIterator[Alertmanager]:
    async with running(Alertmanager(password=CANARY)) as service:
        assert isinstance(service, Alertmanager)
        yield service


def alert(manager: Alertmanager, **changes: Any) -> AlertmanagerAlert:
    settings = {"name": "am", "url": f"{manager.url}/am", "authorization": secret(f"Bearer {CANARY}")}
    return AlertmanagerAlert(**{**settings, "on": EVERYTHING, **changes})


async def test_what_needs_a_person_fires_until_it_is_over(manager: Alertmanager, journal: Journal) -> None:
    sender = AlertmanagerSender(alert(manager), journal)
    assert (await sender.send(composed(paged("held at 10 % for 15m")))).ok
    (firing,) = manager.firing()
    assert firing["labels"] == {
        "alertname": "LbctlNeedsPerson", "severity": "critical", "service": "storefront", "release": "7",
        "incident": "release/7", "instance": "lb1",
    }  # fmt: skip
    for part in ("held at 10 %", "blue 5 of 40 bad", "Versions: storefront 4.1.0 (green)", "After: 12m34s", "Next: "):
        assert part in firing["annotations"]["description"], part
    assert firing["annotations"]["command"] == "lbctl rollback 7"
    assert (await sender.send(composed(ENDED, 2))).ok
    assert manager.firing() == []
    await sender.close()


async def test_everything_else_fires_for_some_minutes_under_its_own_name(
    manager: Alertmanager, journal: Journal
) -> None:
    sender = AlertmanagerSender(alert(manager), journal)
    for number, one in enumerate((BACK, ENDED), 1):
        assert (await sender.send(composed(one, number))).ok
    assert [one["labels"]["alertname"] for one in manager.firing()] == ["LbctlRollbackStarted", "LbctlHoldEnded"]
    await sender.close()


async def test_a_restart_ends_what_an_earlier_life_let_fire(manager: Alertmanager, tmp_path: Path) -> None:
    for number, one in enumerate((paged(), BACK), 1):
        journal = Journal.open(tmp_path / "journal.db")
        sender = AlertmanagerSender(alert(manager), journal)
        assert (await sender.send(composed(one, number))).ok
        await sender.close()
        journal.close()
    assert manager.firing() == []


async def test_who_asked_for_pages_only_hears_when_they_are_over(manager: Alertmanager, journal: Journal) -> None:
    box = outbox(journal, alert(manager, on=frozenset({"page"})))
    box.start()
    await journal.append(record(1), [ENDED, BACK, paged(), ENDED, fact(Kind.RELEASE_STARTED)], wall=WALL)
    await until(lambda: len(manager.posts) == 2)
    await until(lambda: box.pending == 0)
    assert (len(manager.seen), manager.firing()) == (2, [])
    await box.close()


@pytest.mark.parametrize(
    ("plan", "said", "hopeless"),
    [
        (answers(400, '"start time must be before end time \x1b[0m"'), "start time must be before", True),
        (answers(401, f"no: Bearer {CANARY}"), "put the right Authorization header", False),
        (answers(404, "404 page not found"), "no Alertmanager API v2 below this url", False),
        (answers(410, "v1 is gone"), "no Alertmanager API v2 below this url", False),
        (answers(429, "slow down", Retry_After="3"), "HTTP status 429", False),
        (answers(503, "not ready"), "HTTP status 503", False),
        (answers(200, "<html>sign in</html>"), "not an answer of Alertmanager", False),
        (cuts, "ServerDisconnectedError", False),
    ],
)
async def test_what_it_refuses_is_said_and_opens_nothing(
    manager: Alertmanager, journal: Journal, plan: Any, said: str, hopeless: bool
) -> None:
    sender = AlertmanagerSender(alert(manager), journal)
    manager.plans = [plan]
    failed = await sender.send(composed(paged()))
    assert (failed.ok, failed.hopeless, said in failed.detail) == (False, hopeless, True)
    assert "\x1b" not in failed.detail
    assert CANARY not in failed.detail
    assert (await sender.send(composed(ENDED, 2))).ok
    assert [one["labels"]["alertname"] for one in manager.firing()] == ["LbctlHoldEnded"]
    await sender.close()


async def test_hostile_texts_of_any_length_fit(manager: Alertmanager, journal: Journal) -> None:
    sender = AlertmanagerSender(alert(manager), journal)
    assert (await sender.send(composed(paged(HOSTILE * 300)))).ok
    (firing,) = manager.firing()
    assert "\x1b" not in str(firing)
    await sender.close()


async def test_without_a_password_none_is_sent(manager: Alertmanager, journal: Journal) -> None:
    manager.password = ""
    sender = AlertmanagerSender(alert(manager, authorization=None), journal)
    assert (await sender.send(composed(BACK))).ok
    assert "Authorization" not in manager.seen[0][1]
    await sender.close()


async def test_an_incident_that_several_services_page_is_one_alert_and_ends_as_one(
    manager: Alertmanager, journal: Journal
) -> None:
    sender = AlertmanagerSender(alert(manager), journal)
    for number, service in enumerate(("accounts", "storefront"), 1):
        assert (await sender.send(composed(paged(service=ServiceName(service)), number))).ok
    assert len(manager.firing()) == 1
    assert (await sender.send(composed(fact(Kind.RELEASE_FINISHED), 3))).ok
    assert manager.firing() == []
    await sender.close()


async def test_what_nothing_else_ends_stops_to_fire_by_itself_after_a_day(
    manager: Alertmanager, journal: Journal
) -> None:
    sender = AlertmanagerSender(alert(manager), journal, wall_s=lambda: 1_000_000_000.0)
    assert (await sender.send(Composer("lb1", "1.2.3").summary(3, WALL, 9))).ok
    (firing,) = json.loads(manager.seen[-1][2])
    assert (firing["startsAt"], firing["endsAt"]) == ("2001-09-09T01:46:40.000Z", "2001-09-10T01:46:40.000Z")
    await sender.close()
