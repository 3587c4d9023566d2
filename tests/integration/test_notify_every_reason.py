"""Every reason for which a release ends or is held is told once by every receiver, with all that a person needs."""

import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import lbctl.core
from lbctl.config.settings import TeamsAlert
from lbctl.core.change import FAULTS_THAT_MOVE, SLOWNESS, cancel, entry, go_back
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ReleaseId
from lbctl.model.record import By, Phase, Record, Release
from lbctl.model.units import Instant
from lbctl.notify.backlog import Unstored
from lbctl.notify.edits import Edits
from lbctl.notify.message import Composer
from lbctl.notify.outbox import sender_of
from lbctl.notify.port import Channel, ExecChannel, Sender, WebhookChannel
from lbctl.notify.words import WORDS
from lbctl.store.journal import Journal
from tests.integration import test_notify_alertmanager as alertmanager
from tests.integration import test_notify_chat_hook as chat_hook
from tests.integration import test_notify_pagerduty as pagerduty
from tests.integration import test_notify_slack as slack
from tests.integration.chat_services import (
    Alertmanager,
    ChatHook,
    JsonReceiver,
    PagerDuty,
    Service,
    SlackApi,
    Workflow,
    running,
)
from tests.integration.test_store_journal import SHOP, WALL, record, release
from tests.integration.told import CANARY, EVERYTHING, FIGURES, outbox, secret, until

CORE = Path(lbctl.core.__file__).parent
SOURCE = "".join(file.read_text() for file in sorted(CORE.rglob("*.py")))
HOLDS = sorted({*re.findall(r'\bHold\(\s*"([a-z_]+)"', SOURCE), *re.findall(r'Word\.HOLD, "([a-z_]+)"', SOURCE)})
BACK = sorted({*FAULTS_THAT_MOVE, *SLOWNESS, "person", "hook", "deadline"})
NUMBERS = {name: value for name, value in FIGURES.items() if name not in {"from", "to"}}
AT = Instant(754_005)
REASON = "because of this & that > those"


def ended_by(code: str) -> tuple[Entry, Record]:
    change = go_back(record(1), release(), AT, code, REASON, By.PERSON, "ann", numbers=NUMBERS)
    (told,) = change.entries
    return told, change.record


def held_by(code: str, *, pages: bool) -> tuple[Entry, Record]:
    kind, severity = (Kind.HOLD_PAGED, Severity.PAGE) if pages else (Kind.HOLD_STARTED, Severity.WARNING)
    told = entry(kind, release(share_bp=1_000), AT, f"held: {REASON}", severity=severity, code=code, **NUMBERS)
    return told, record(1, releases={SHOP: release(share_bp=1_000)})


def over(kind: Kind, phase: Phase, **more: Any) -> tuple[Entry, Record]:
    one = release(phase=phase, outcome=REASON, **more)
    return entry(kind, one, AT, f"it is over: {REASON}", actor="ann", **NUMBERS), record(1, releases={SHOP: one})


def cancelled(by: By, actor: str) -> tuple[Entry, Record]:
    change = cancel(record(1), release(phase=Phase.PREFLIGHT), AT, REASON, by, actor)
    (told,) = change.entries
    return told, change.record


TABLE: dict[str, Callable[[], tuple[Entry, Record]]] = {
    **{f"back: {code}": lambda code=code: ended_by(code) for code in BACK},  # type: ignore[misc]
    **{f"held: {code}": lambda code=code: held_by(code, pages=False) for code in HOLDS},  # type: ignore[misc]
    **{f"paged: {code}": lambda code=code: held_by(code, pages=True) for code in HOLDS},  # type: ignore[misc]
    "rolled back": lambda: over(Kind.ROLLBACK_FINISHED, Phase.ROLLED_BACK),
    "the way back is blocked": lambda: over(Kind.ROLLBACK_BLOCKED, Phase.ROLLING_BACK),
    "finished": lambda: over(Kind.RELEASE_FINISHED, Phase.FINISHED, share_bp=10_000),
    "unproven": lambda: over(Kind.RELEASE_FINISHED, Phase.FINISHED, share_bp=10_000),
    **{f"cancelled: {by}": lambda by=by: cancelled(by, "ann") for by in By},  # type: ignore[misc]
    "paused": lambda: over(Kind.RELEASE_PAUSED, Phase.SHIFTING, share_bp=1_000),
    "retreated": lambda: over(Kind.STEP_RETREATED, Phase.SHIFTING, share_bp=500),
    "a retreat is taken back": lambda: over(Kind.STEP_RETURNED, Phase.SHIFTING, share_bp=1_000),
}
LEAVES_IT = {Kind.HOLD_ENDED, Kind.RELEASE_RESUMED, Kind.REASON_GIVEN, Kind.RELEASE_CUT_SHORT}
"""These neither end a release nor hold it."""


@dataclass
class Place:
    """One receiver: its service, our sender, and how to read what arrived as text."""

    service: Service
    sender: Sender
    arrived: Callable[[], list[str]]


@pytest.fixture
async def places(tmp_path: Path) -> AsyncIterator[dict[str, Place]]:
    async with AsyncExitStack() as stack:

        async def place(service: Any, channel: Callable[[Any], Channel], arrived: Callable[[Any], list[Any]]) -> Place:
            here = await stack.enter_async_context(running(service))
            sender = sender_of(channel(here), journal, Edits())
            stack.push_async_callback(sender.close)
            return Place(here, sender, lambda: [json.dumps(one, ensure_ascii=False) for one in arrived(here)])

        journal = Journal.open(tmp_path / "journal.db")
        stack.callback(journal.close)
        bot, hook = SlackApi(token=f"xoxb-{CANARY}"), ChatHook(secret=f"T0/B0/{CANARY}")
        pager, manager, flow = PagerDuty(key=pagerduty.KEY), Alertmanager(password=CANARY), Workflow(sig=CANARY)
        yield {
            "slack": await place(bot, slack.alert, lambda here: [*here.messages.values()]),
            "hook": await place(hook, chat_hook.alert, lambda here: here.texts),
            "pagerduty": await place(pager, pagerduty.alert, lambda here: [*here.incidents.values(), *here.changes]),
            "alertmanager": await place(manager, alertmanager.alert, lambda here: here.posts),
            "teams": await place(flow, teams, lambda here: here.cards),
        }


def teams(service: Workflow) -> TeamsAlert:
    return TeamsAlert(name="teams", url=secret(f"{service.url}/x?sig={CANARY}"), on=EVERYTHING)


def numbered(told: Entry, known: Record, number: int) -> tuple[Entry, Record]:
    """The same of another release: each receiver keeps one message or incident for each."""
    name = ReleaseId(str(90_000 + number))
    releases: dict[Any, Release] = {key: replace(one, id=name) for key, one in known.releases.items()}
    data = {**told.data, "duration_ms": 754_000}
    return replace(told, release=name, data=data), replace(known, releases=releases)


async def test_every_reason_is_told_once_by_every_receiver_with_all_a_person_needs(places: dict[str, Place]) -> None:
    assert len(HOLDS) > 25
    assert {"errors", "candidate_dead", "token", "wrong_cell"} <= set(BACK)
    for number, (reason, made) in enumerate(TABLE.items()):
        told, known = numbered(*made(), number)
        message = Composer("lb1", "1.2.3").alert(Unstored(WALL, told, number + 1), known.latest(told.service))
        for name, place in places.items():
            before = len(place.arrived())
            done = await place.sender.send(message)
            assert done.ok, (reason, name, done.detail)
            arrived = place.arrived()
            assert len(arrived) == before + 1, (reason, name)
            (new,) = [one for one in arrived if f"{90_000 + number}" in one]
            assert [part for part in needed(told, message.data) if part not in plainly(new)] == [], (reason, name)


async def test_every_reason_goes_through_the_outbox_exactly_once_in_the_order_it_happened(
    journal: Journal, tmp_path: Path
) -> None:
    rows = [numbered(*made(), number) for number, made in enumerate(TABLE.values())]
    file = tmp_path / "told"
    script = 'cat >>"$0"; echo >>"$0"'
    exec_channel = ExecChannel("program", ("/bin/sh", "-c", script, str(file)))
    async with running(JsonReceiver()) as hook:
        assert isinstance(hook, JsonReceiver)
        box = outbox(journal, exec_channel, WebhookChannel("hook", hook.url, CANARY))
        box.start()
        await journal.append(None, [told for told, _ in rows], wall=WALL)
        box.wake()
        await until(lambda: not box.pending and len(hook.taken) >= len(rows), within_s=60)
        await box.close(drain_s=30)
    by_program = [json.loads(line) for line in file.read_text().splitlines()]
    for told in ([one["data"] for one in hook.taken], by_program):
        assert [one["release"] for one in told] == [row.release for row, _ in rows]
        assert all(one["numbers"]["duration_ms"] == 754_000 and one["after"] == "12m34s" for one in told)
        assert all(one["evidence"] and one["summary"] and one["command"] for one in told)


def test_every_kind_of_end_and_of_hold_is_in_the_table() -> None:
    ends = {kind for word in ("finished", "cancelled", "rollback", "held", "paused") for kind in WORDS[word]}
    assert {made()[0].kind for made in TABLE.values()} == ends - LEAVES_IT


def needed(told: Entry, data: dict[str, Any]) -> list[str]:
    """Versions, both colours' numbers, the reason, what is done, how long it took, what is next, and the command."""
    counts = ["5 of 40 bad", "0 of 400 bad"] if "candidate_total" in told.data else ["no request of either colour"]
    assert data["action"]
    assert data["next"]
    return ["4.1.0", "4.2.0", *counts, REASON, data["action"], "12m34s", data["next"], data["command"]]


def plainly(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
