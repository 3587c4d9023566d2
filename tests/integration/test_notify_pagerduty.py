"""PagerDuty's Events API v2, against a server that behaves as its documentation says."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.config.settings import PagerDutyAlert
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ServiceName
from lbctl.model.units import Instant
from lbctl.notify import lane
from lbctl.notify.incident import ONE_OFF
from lbctl.notify.pagerduty import PagerDutySender
from lbctl.store.journal import Journal
from tests.integration.chat_services import PagerDuty, answers, cuts, floods, running
from tests.integration.test_store_journal import WALL, record
from tests.integration.told import CANARY, EVERYTHING, HOSTILE, composed, fact, outbox, paged, secret, until

KEY = (CANARY + "x" * 32).replace("-", "")[:32]
ENDED = fact(Kind.HOLD_ENDED, "nothing holds the release any more")
BACK = fact(Kind.ROLLBACK_STARTED, "going back to green")


@pytest.fixture
async def pager() -> AsyncIterator[PagerDuty]:
    async with running(PagerDuty(key=KEY)) as service:
        assert isinstance(service, PagerDuty)
        yield service


def alert(pager: PagerDuty, **changes: Any) -> PagerDutyAlert:
    settings = {"name": "pager", "routing_key": secret(KEY), "api": pager.url, "on": EVERYTHING}
    return PagerDutyAlert(**{**settings, **changes})


async def test_what_needs_a_person_is_an_incident_until_it_is_over(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    assert (await sender.send(composed(paged("blue held at 10 % for 15m")))).ok
    ((name, incident),) = pager.incidents.items()
    assert name == "lbctl/lb1/release/7"
    payload, details = incident["payload"], incident["payload"]["custom_details"]
    assert (payload["severity"], payload["source"], payload["component"]) == ("critical", "lb1", "storefront")
    assert "held at 10 %" in payload["summary"]
    assert details["evidence"].startswith("blue 5 of 40 bad")
    assert details["versions"] == "storefront 4.1.0 (green) → 4.2.0 (blue)"
    assert (details["after"], details["command"]) == ("12m34s", "lbctl rollback 7")
    assert (await sender.send(composed(ENDED, 2))).ok
    assert (pager.incidents, pager.resolved) == ({}, ["lbctl/lb1/release/7"])
    await sender.close()


async def test_what_an_earlier_version_opened_under_another_name_is_resolved_by_that_name(
    pager: PagerDuty, journal: Journal
) -> None:
    formerly = ["certificate/3/storefront", "alerts", "server.changed/storefront"]
    pager.incidents |= {f"lbctl/lb1/{name}": {} for name in formerly}
    await journal.set_meta("incidents/pager", json.dumps({name: {"seq": 0} for name in formerly}))
    clock = [Instant(1)]
    box = outbox(journal, alert(pager), now=lambda: clock[0])
    box.start()
    await until(lambda: journal.meta("lasting/pager"))
    await journal.append(record(1), [fact(Kind.POOL_CLAIMED, release=None)], wall=WALL)
    await until(lambda: list(pager.incidents) == ["lbctl/lb1/alerts", "lbctl/lb1/server.changed/storefront"])
    clock[0] = Instant(ONE_OFF + 1)
    await until(lambda: not pager.incidents)
    assert sorted(pager.resolved) == sorted(f"lbctl/lb1/{name}" for name in formerly)
    await box.close()


async def test_however_many_incidents_are_open_none_is_forgotten(pager: PagerDuty, journal: Journal) -> None:
    names = [f"certificate/shop{number}" for number in range(300)]
    pager.incidents |= {f"lbctl/lb1/{name}": {} for name in names}
    await journal.set_meta("incidents/pager", json.dumps({name: {"seq": 1} for name in names}))
    sender = PagerDutySender(alert(pager), journal)
    assert (await sender.send(composed(paged("blue held at 10 % for 15m"), 2))).ok
    assert (await sender.send(composed(fact(Kind.POOL_CLAIMED, release=None, service=ServiceName("shop0")), 3))).ok
    assert pager.resolved == ["lbctl/lb1/certificate/shop0"]
    await sender.close()


async def test_everything_else_is_a_change_event_and_pages_nobody(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    for number, one in enumerate((fact(Kind.RELEASE_STARTED), BACK, ENDED), 1):
        assert (await sender.send(composed(one, number))).ok
    assert (len(pager.changes), pager.incidents, pager.resolved) == (3, {}, [])
    await sender.close()


async def test_who_asked_for_pages_only_is_told_when_they_are_over_and_of_nothing_else(
    pager: PagerDuty, journal: Journal
) -> None:
    box = outbox(journal, alert(pager, on=frozenset({"page"})))
    box.start()
    await journal.append(record(1), [fact(Kind.RELEASE_STARTED), ENDED, paged(), BACK, ENDED], wall=WALL)
    await until(lambda: pager.resolved)
    await until(lambda: box.pending == 0)
    assert (len(pager.seen), pager.changes, pager.incidents) == (2, [], {})
    await box.close()


async def test_a_restart_still_knows_what_is_open(pager: PagerDuty, tmp_path: Path) -> None:
    for number, one in enumerate((paged(), BACK), 1):
        journal = Journal.open(tmp_path / "journal.db")
        sender = PagerDutySender(alert(pager), journal)
        assert (await sender.send(composed(one, number))).ok
        await sender.close()
        journal.close()
    assert pager.resolved == ["lbctl/lb1/release/7"]


@pytest.mark.parametrize(
    ("opened", "over", "name"),
    [
        (Kind.JOURNAL_FAILED, Kind.JOURNAL_RECOVERED, "journal"),
        (Kind.OPERATION_FAILED, Kind.OPERATION_RECOVERED, "instance/edge/lb1"),
    ],
)
async def test_troubles_of_lbctl_itself_open_and_close_too(
    pager: PagerDuty, journal: Journal, opened: Kind, over: Kind, name: str
) -> None:
    sender = PagerDutySender(alert(pager), journal)
    trouble = Entry(
        kind=opened, at=Instant(1), text="no", severity=Severity.PAGE, data={"instance": "edge/lb1"}
    )  # fmt: skip
    await sender.send(composed(trouble))
    assert list(pager.incidents) == [f"lbctl/lb1/{name}"]
    await sender.send(composed(replace(trouble, kind=over, severity=Severity.INFO), 2))
    assert pager.resolved == [f"lbctl/lb1/{name}"]
    await sender.close()


@pytest.mark.parametrize(
    ("plan", "said", "hopeless"),
    [
        (answers(400, {"errors": ["'payload.summary' is missing \x1b[0m"]}), "is missing", True),
        (answers(400, {"errors": [f"'routing_key' {KEY}"]}), "put the integration key", False),
        (answers(400, {"errors": [{"a": 1}, 7]}), "HTTP status 400", True),
        (answers(429, {"message": "rate limited"}, Retry_After="9"), "HTTP status 429", False),
        (answers(500, "x"), "HTTP status 500", False),
        (answers(202, {"status": "queued"}), "not an answer of PagerDuty", False),
        (answers(200, "<html>"), "not an answer of PagerDuty", False),
        (floods, "not an answer of PagerDuty", False),
        (cuts, "ServerDisconnectedError", False),
    ],
)  # fmt: skip
async def test_what_pagerduty_refuses_is_said_and_opens_nothing(
    pager: PagerDuty, journal: Journal, plan: Any, said: str, hopeless: bool
) -> None:
    sender = PagerDutySender(alert(pager), journal)
    pager.plans = [plan]
    failed = await sender.send(composed(paged()))
    assert (failed.ok, failed.hopeless, said in failed.detail) == (False, hopeless, True)
    assert KEY not in failed.detail
    assert "\x1b" not in failed.detail
    assert (await sender.send(composed(ENDED, 2))).ok
    assert (pager.incidents, pager.resolved, len(pager.changes)) == ({}, [], 1)
    await sender.close()


async def test_a_hostile_text_of_any_length_fits(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    assert (await sender.send(composed(paged(HOSTILE * 300)))).ok
    assert "\x1b" not in str(pager.incidents)
    await sender.close()


async def test_a_test_message_pages_nobody(pager: PagerDuty, journal: Journal) -> None:
    box = outbox(journal, alert(pager))
    assert await box.test("pager") == (True, "")
    assert (len(pager.changes), pager.incidents) == (1, {})
    await box.close()


async def test_pages_that_were_never_delivered_are_an_incident_themselves(pager: PagerDuty, journal: Journal) -> None:
    await journal.set_cursor("alert/pager", 0)
    await journal.append(record(1), [paged()], wall=WALL)
    box = outbox(journal, alert(pager), now=lambda: Instant(31 * 60_000))
    box.start()
    await until(lambda: pager.incidents)
    assert "1 alert not delivered" in next(iter(pager.incidents.values()))["payload"]["summary"]
    await box.close()


async def test_a_page_waits_for_no_pause_after_earlier_failures(pager: PagerDuty, journal: Journal) -> None:
    pager.plans = [answers(500)] * 4
    box = outbox(journal, alert(pager))
    box.start()
    await journal.append(record(1), [fact(Kind.RELEASE_STARTED)], wall=WALL)
    await until(lambda: box.counters()["pager"]["failed"] >= 4)
    # The next attempt is due in four seconds.
    began = time.monotonic()
    await journal.append(record(2), [paged()], wall=WALL)
    box.wake()
    await until(lambda: pager.incidents)
    assert time.monotonic() - began < 2.5
    await until(lambda: len(pager.changes) == 1)
    await box.close()


async def test_a_page_goes_before_changes_that_wait_and_their_failures_do_not_hold_it(
    pager: PagerDuty, journal: Journal
) -> None:
    pager.plans = [answers(500)]
    box = outbox(journal, alert(pager))
    box.start()
    changes = [fact(Kind.STEP_STARTED, f"step {number}", at=Instant(number)) for number in range(1, 60)]
    await journal.append(record(1), [*changes, paged(at=Instant(100))], wall=WALL)
    box.wake()
    await until(lambda: pager.incidents)
    assert len(pager.changes) <= 1
    await box.close()


async def test_what_happened_before_a_page_does_not_close_its_incident(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    assert (await sender.send(composed(paged(), 9))).ok
    assert (await sender.send(composed(fact(Kind.ROLLBACK_STARTED), 8))).ok
    assert pager.incidents
    assert (await sender.send(composed(fact(Kind.ROLLBACK_FINISHED), 10))).ok
    assert not pager.incidents
    await sender.close()


async def test_a_void_certificate_is_open_until_that_pool_has_a_new_one(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    void = fact(Kind.CERTIFICATE_VOID, severity=Severity.PAGE)
    for number, told in enumerate((void, fact(Kind.RELEASE_FINISHED), fact(Kind.POOL_CERTIFIED, service="other")), 1):
        assert (await sender.send(composed(told, number))).ok
    assert pager.incidents
    assert (await sender.send(composed(fact(Kind.POOL_CERTIFIED), 4))).ok
    assert not pager.incidents
    assert (await sender.send(composed(void, 5))).ok
    assert pager.incidents
    assert (await sender.send(composed(fact(Kind.POOL_CLAIMED, release=None), 6))).ok
    assert not pager.incidents
    await sender.close()


async def test_what_nothing_else_ends_is_over_by_itself_after_a_day_also_after_a_restart(
    pager: PagerDuty, tmp_path: Path
) -> None:
    journal = Journal.open(tmp_path / "j" / "journal.db")
    await journal.set_cursor("alert/pager", 0)
    await journal.append(record(1), [paged(at=Instant(1))], wall=WALL)
    late = Instant(31 * 60_000)
    box = outbox(journal, alert(pager), now=lambda: late)
    box.start()
    await until(lambda: pager.incidents and not box.pending)
    await box.close()
    journal.close()
    journal = Journal.open(tmp_path / "j" / "journal.db")
    clock = [Instant(late + ONE_OFF - 1)]
    box = outbox(journal, alert(pager), now=lambda: clock[0])
    box.start()
    await journal.append(None, [fact(Kind.RELEASE_STARTED, at=clock[0])], wall=WALL)
    await until(lambda: pager.changes)
    assert pager.resolved == []
    clock[0] = Instant(late + ONE_OFF)
    await until(lambda: pager.resolved)
    assert (pager.incidents, pager.resolved) == ({}, ["lbctl/lb1/once/alerts"])
    await box.close()
    journal.close()


async def test_a_set_that_cannot_go_is_open_until_its_team_comes_again(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    withdrawn = fact(Kind.VERSION_WITHDRAWN, severity=Severity.PAGE, release=None)
    for number, told in enumerate((withdrawn, fact(Kind.VERSION_READY, release=None, service="other")), 1):
        assert (await sender.send(composed(told, number))).ok
    assert list(pager.incidents) == ["lbctl/lb1/board/storefront"]
    assert (await sender.send(composed(fact(Kind.VERSION_READY, release=None), 3))).ok
    assert not pager.incidents
    await sender.close()


async def test_the_next_start_ends_what_an_earlier_life_paged_of_itself(pager: PagerDuty, journal: Journal) -> None:
    sender = PagerDutySender(alert(pager), journal)
    for number, name in enumerate(("edge/lb1", "edge/lb2"), 1):
        refused = fact(Kind.OPERATION_FAILED, severity=Severity.PAGE, release=None, data={"instance": name})
        assert (await sender.send(composed(refused, number))).ok
    pager.plans = [answers(202, {"status": "success"}), answers(500)]
    started = composed(fact(Kind.DAEMON_STARTED, release=None, service=None), 3)
    assert not (await sender.send(started)).ok
    assert (await sender.send(started)).ok
    # The first was ended by the answer that was planned; only the second is asked for again.
    assert pager.resolved == ["lbctl/lb1/instance/edge/lb2"]
    await sender.close()


async def test_a_restart_tells_no_page_again_although_what_was_before_it_still_waits(
    pager: PagerDuty, tmp_path: Path
) -> None:
    journal = Journal.open(tmp_path / "j" / "journal.db")
    await journal.set_cursor("alert/pager", 0)
    await journal.append(record(1), [fact(Kind.RELEASE_STARTED), paged(at=Instant(2))], wall=WALL)
    pager.refuses_changes = True
    box = outbox(journal, alert(pager))
    box.start()
    await until(lambda: box.counters()["pager"]["failed"])
    assert (len(pager.triggered), box.pending) == (1, 1)
    await box.close()
    journal.close()
    journal = Journal.open(tmp_path / "j" / "journal.db")
    pager.refuses_changes = False
    box = outbox(journal, alert(pager))
    box.start()
    await until(lambda: pager.changes and journal.cursor("alert/pager") == 2)
    assert (len(pager.triggered), box.pending) == (1, 0)
    await box.close()
    journal.close()


async def test_a_receiver_that_asks_for_ten_minutes_does_not_decide_who_is_paged(
    pager: PagerDuty, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane, "URGENT_EVERY_S", 1.0)
    pager.plans = [answers(429, "", Retry_After="600")] * 3
    box = outbox(journal, alert(pager))
    box.start()
    await journal.append(record(1), [fact(Kind.RELEASE_STARTED)], wall=WALL)
    await until(lambda: box.counters()["pager"]["failed"])
    await journal.append(record(2), [paged(at=Instant(2))], wall=WALL)
    box.wake()
    await until(lambda: pager.incidents)
    assert [after - before >= 0.9 for before, after in zip(pager.at_s, pager.at_s[1:], strict=False)] == [True] * 3
    await box.close()
