"""What a pager keeps open: nothing that nothing ends."""

import json
from dataclasses import replace

import pytest

from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ReleaseId, ServiceName
from lbctl.model.units import Instant
from lbctl.notify.backlog import Backlog, Unstored
from lbctl.notify.incident import LIVES, LOST_ALERTS, ONE_OFF, closes, lasts, meant, name_of
from lbctl.notify.lasting import Lasting
from lbctl.notify.message import Composer
from lbctl.notify.retry import AGE_MAX_MS

ABOUT = Entry(kind=Kind.DAEMON_STARTED, at=Instant(0), text="a fact", service=ServiceName("shop"))
OF_INSTANCE, OF_RELEASE = {"instance": "edge/lb1"}, ReleaseId("7")


def paged(kind: Kind, **changes: object) -> Entry:
    return replace(ABOUT, kind=kind, severity=Severity.PAGE, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("release", [None, OF_RELEASE])
@pytest.mark.parametrize("data", [OF_INSTANCE, {**OF_INSTANCE, "found": "at the start"}])
def test_whatever_may_page_ends_by_a_fact_about_the_same_thing_or_by_itself(
    kind: Kind, release: ReleaseId | None, data: dict[str, str]
) -> None:
    name = name_of(paged(kind, release=release, data=data))
    facts = [replace(ABOUT, kind=one, release=release, data=OF_INSTANCE) for one in Kind]
    ends = [one.kind for one in facts if meant(closes(one), [name])]
    assert ends or lasts(name) is not None


@pytest.mark.parametrize("what", LIVES)
def test_every_life_ends(what: str) -> None:
    assert LIVES[what].over_by or LIVES[what].lasts


def test_a_page_does_not_end_the_incident_that_it_opens() -> None:
    assert meant(closes(paged(Kind.STEP_STARTED, release=OF_RELEASE)), ["release/7"]) == []


def test_a_start_ends_what_an_earlier_life_said_of_its_journal_and_of_every_instance() -> None:
    open_now = ["journal", "instance/edge/lb1", "instance/edge/lb2", "release/7", "certificate/shop"]
    assert meant(closes(ABOUT), open_now) == open_now[:3]


def test_lost_alerts_are_a_one_off_with_a_named_time() -> None:
    message = Composer("lb1", "1").summary(3, "w", 9)
    assert (message.incident, message.opens, message.lasts_ms) == (LOST_ALERTS, True, ONE_OFF)


class Remembering:
    """A memory that needs no disk."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def meta(self, key: str) -> str | None:
        return self.texts.get(key)

    async def set_meta(self, key: str, value: str) -> None:
        self.texts[key] = value


async def test_a_one_off_ends_by_itself_unless_something_later_ended_it_or_opened_it_anew() -> None:
    memory, composer = Remembering(), Composer("lb1", "1")
    withdrawn = composer.alert(Unstored("w", paged(Kind.VERSION_WITHDRAWN), 5), None)
    ready = Entry(kind=Kind.VERSION_READY, at=Instant(0), text="ready", service=ServiceName("shop"))
    lasting = Lasting("pager", memory)
    await lasting.note(withdrawn, Instant(0))
    await lasting.note(composer.alert(Unstored("w", ready, 4), None), Instant(1))
    await lasting.note(withdrawn, Instant(1_000))
    assert lasting.due(Instant(ONE_OFF)) is None
    again = Lasting("pager", memory)
    assert again.due(Instant(ONE_OFF + 1_000)) == "board/shop"
    await again.later("board/shop", Instant(ONE_OFF + 1_000))
    assert again.due(Instant(ONE_OFF + 2_000)) is None
    await again.note(composer.alert(Unstored("w", ready, 6), None), Instant(ONE_OFF + 3_000))
    assert again.due(Instant(9 * ONE_OFF)) is None


FORMERLY = ["certificate/7/shop", "certificate.void/shop", "version.withdrawn/shop", "alerts", "server.changed/shop"]
"""Names by which earlier versions opened incidents."""


def test_what_an_earlier_version_opened_ends_by_what_ends_it_now() -> None:
    claimed = replace(ABOUT, kind=Kind.POOL_CLAIMED)
    assert meant(closes(claimed), FORMERLY) == FORMERLY[:3]
    assert meant([LOST_ALERTS], FORMERLY) == ["alerts"]
    assert [lasts(one) for one in FORMERLY] == [None, None, ONE_OFF, ONE_OFF, ONE_OFF]


async def test_what_an_earlier_version_left_open_without_an_end_ends_a_day_after_the_start() -> None:
    memory = Remembering()
    memory.texts["incidents/pager"] = json.dumps({one: {"seq": 3} for one in [*FORMERLY, "release/7", "once/x/shop"]})
    memory.texts["lasting/pager"] = json.dumps({"once/x/shop": {"until": 7}})
    lasting = Lasting("pager", memory)
    await lasting.adopt(Instant(10))
    again = Lasting("pager", memory)
    await again.adopt(Instant(1_000))
    over = []
    for at in (Instant(10), Instant(ONE_OFF + 9), Instant(ONE_OFF + 10)):
        while (name := again.due(at)) is not None:
            over.append((int(at), name))
            await again.over(name)
    assert over == [(10, "once/x/shop"), *((ONE_OFF + 10, one) for one in FORMERLY[2:])]


# ---- how far a channel was told


def told(number: int, kind: Kind = Kind.RELEASE_PAUSED, **changes: object) -> Unstored:
    entry = replace(ABOUT, kind=kind, at=Instant(number), text=f"fact {number}", **changes)  # type: ignore[arg-type]
    return Unstored(f"w{number}", entry, number)


def reread(backlog: Backlog, at: int, *stored: Unstored) -> list[int]:
    """What another life reads behind the bookmark."""
    again = Backlog(at, backlog.beyond)
    again.take_stored([one for one in stored if one.id > at])
    found = []
    while (head := again.head()) is not None:
        found.append(head.id)
        again.told(head)
    return found


def test_what_was_told_out_of_turn_is_not_told_again_by_another_life() -> None:
    stored = [told(1), told(2, Kind.ROLLBACK_STARTED), told(3), told(4, Kind.ROLLBACK_FINISHED)]
    backlog = Backlog(0)
    backlog.take_stored(stored)
    backlog.fetched = 4
    for _ in range(2):
        urgent = backlog.next_for_people(steps_too=True)
        assert urgent is not None
        at = backlog.told(urgent)
    assert (at, backlog.beyond) == (0, {2, 4})
    assert reread(backlog, at, *stored) == [1, 3]
    head = backlog.head()
    assert head is not None
    assert (backlog.told(head), backlog.beyond) == (2, {4})
    head = backlog.head()
    assert head is not None
    assert (backlog.told(head), backlog.beyond) == (4, set())


def test_a_step_that_a_later_one_stands_for_is_not_told_after_it_by_another_life() -> None:
    step = {"kind": Kind.STEP_STARTED, "release": OF_RELEASE}
    stored = [told(1), told(2, **step), told(3, **step)]  # type: ignore[arg-type]
    backlog = Backlog(0)
    backlog.take_stored(stored)
    backlog.merge()
    at = backlog.settled()
    assert reread(backlog, at, *stored) == [1, 3]


def test_what_only_counts_any_more_counts_again_in_another_life_until_its_summary_is_told() -> None:
    backlog = Backlog(0)
    backlog.take_stored([told(1), told(AGE_MAX_MS + 9, Kind.ROLLBACK_STARTED)])
    backlog.collapse(Instant(AGE_MAX_MS + 9))
    urgent = backlog.head()
    assert urgent is not None
    assert backlog.told(urgent) == 0
    assert (backlog.told_lost(backlog.lost), backlog.beyond) == (1, {AGE_MAX_MS + 9})


def test_what_waits_from_memory_keeps_its_place_in_the_journal_until_it_is_told() -> None:
    entry = told(5).entry
    backlog = Backlog(0)
    backlog.take_unstored(Unstored("w", entry))
    backlog.take_stored([told(5)])
    backlog.fetched = 5
    assert (len(backlog), backlog.settled()) == (1, 4)
    head = backlog.head()
    assert head is not None
    assert backlog.told(head) == 5
