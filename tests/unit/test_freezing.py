"""Freeze windows: when one is open, by the week and once, and what it stops: forward, never back."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import msgspec
import pytest

from lbctl.cli.commands.freezing import windows_screen
from lbctl.control.freezing import WindowView
from lbctl.core.freezing import FREEZES_MAX
from lbctl.daemon.freezing import frozen, windows
from lbctl.model.entry import Kind
from lbctl.model.record import Contract, Frozen
from lbctl.model.request import Answer, Promote, Rollback, Switch, Unfreeze
from lbctl.model.request import Freeze as FreezeRequest
from lbctl.model.topology import Freeze
from lbctl.model.units import HOUR
from tests.shop import PLAN, SHOP, TOPOLOGY, A, B, Shop
from tests.unit.config_texts import SHOP as TEXT
from tests.unit.config_texts import changed, config, faults

WEEKEND = Freeze(days=("fri",), start="16:00", end="08:00", zone="Europe/Berlin", reason="weekend")
HOLIDAYS = Freeze(start="2026-12-20 18:00", end="2027-01-03 06:00")
WHY = "frozen until Mon 2027-01-04 06:00 UTC: holidays"


@pytest.mark.parametrize(
    ("window", "now", "until"),
    [
        (WEEKEND, "2026-11-27T14:59", None),
        (WEEKEND, "2026-11-27T15:00", "Sat 2026-11-28 08:00 Europe/Berlin: weekend"),
        (WEEKEND, "2026-11-28T06:59", "Sat 2026-11-28 08:00 Europe/Berlin: weekend"),
        (WEEKEND, "2026-11-28T07:00", None),
        (WEEKEND, "2026-07-03T14:00", "Sat 2026-07-04 08:00 Europe/Berlin: weekend"),
        (replace(WEEKEND, end="24:00"), "2026-11-27T22:59", "Sat 2026-11-28 00:00 Europe/Berlin: weekend"),
        (replace(WEEKEND, end="24:00"), "2026-11-27T23:00", None),
        (HOLIDAYS, "2026-12-20T17:59", None),
        (HOLIDAYS, "2026-12-31T00:00", "Sun 2027-01-03 06:00 UTC"),
        (HOLIDAYS, "2027-01-03T06:00", None),
    ],
)
def test_a_window_is_open_from_its_start_to_its_end_in_its_own_zone(
    window: Freeze, now: str, until: str | None
) -> None:
    topology = replace(TOPOLOGY, units={SHOP: replace(TOPOLOGY.units[SHOP], freeze=(window,))})
    found = frozen(topology, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found.why == ({} if until is None else dict.fromkeys((A, B), f"frozen until {until}"))


def ready(shop: Shop) -> None:
    shop.deploy(A, 2, Contract(provides={"accounts-api": (2,)}))
    shop.deploy(B, 2, Contract(requires={"accounts-api": ">=2"}))


def test_nothing_is_cut_from_the_board_while_it_is_frozen_and_it_goes_afterwards() -> None:
    shop = Shop()
    shop.frozen = {A: WHY}
    ready(shop)
    shop.run(40)
    assert shop.release is None
    shop.frozen = {}
    shop.until("finished")


@pytest.mark.parametrize("phase", ["preflight", "shifting", "baking"])
def test_a_running_release_stays_where_it_is_and_goes_on_afterwards(phase: str) -> None:
    shop = Shop()
    ready(shop)
    shop.until(phase)
    shop.frozen = {B: WHY}
    shop.run(2)
    assert shop.release is not None
    before = (shop.release.phase, shop.release.share_bp)
    shop.run(60)
    assert (shop.release.phase, shop.release.share_bp) == before
    held = [hold for hold in shop.state.progress[shop.release.id].holds if hold.code == "frozen"]
    assert held[0].reason == WHY
    answer = shop.on_release(Promote)
    assert answer.body["code"] in {"held", "nothing_to_promote"}
    shop.frozen = {}
    shop.until("finished")
    assert shop.mismatched == []


def test_going_back_works_while_it_is_frozen() -> None:
    shop = Shop()
    ready(shop)
    shop.until("baking")
    shop.frozen = {A: WHY, B: WHY}
    shop.run(3)
    shop.on_release(Rollback)
    shop.until("rolled_back")
    assert shop.mismatched == []


def test_a_switch_is_refused_and_says_until_when() -> None:
    shop = Shop()
    shop.claim(A)
    shop.claim(B)
    shop.frozen = {A: WHY}
    shop.run(1)
    answer = shop.ask(Switch(id=900, actor="t", service=B, to=None, version="2", plan=PLAN, followers={A: "2"}))
    assert (answer.body["code"], answer.body["what"]) == ("frozen", f"accounts is {WHY}")


def test_windows_of_the_config_are_those_of_the_unit() -> None:
    windows = '[{days: [fri, sat], from: "16:00", until: "08:00", zone: Europe/Berlin, reason: weekend}]'
    topology = config(changed(("[1%, 100%]", f"[1%, 100%]\n    freeze: {windows}"), text=TEXT)).topology
    assert topology.services[A].freeze == (replace(WEEKEND, days=("fri", "sat")),)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ('{from: "16:00", until: "18:00"}', "neither times of day with days, nor two dates"),
        ('{days: [fri], from: "2026-01-01 16:00", until: "2026-01-02 16:00"}', "neither times of day with days"),
        ('{from: "2026-01-02 16:00", until: "2026-01-01 16:00"}', "is not after"),
        ('{from: "2026-02-30 16:00", until: "2026-03-01 16:00"}', "there is no such date"),
        ('{days: [fri], from: "24:00", until: "08:00"}', "24:00 is the end of a day"),
        ('{days: [fri], from: "16:00", until: "24:00", zone: Mars/Base}', "this host knows no time zone Mars/Base"),
        ('{days: [fri, fri], from: "16:00", until: "24:00"}', "fri twice"),
        ("{days: [fri], from: 16:0, until: 24:00}", "is not a time"),
    ],
)
def test_what_is_no_window_is_named_with_the_way_to_write_it(window: str, expected: str) -> None:
    found = faults(changed(("[1%, 100%]", f"[1%, 100%]\n    freeze: [{window}]"), text=TEXT))
    assert any(expected in str(fault) for fault in found), found


NUMBERS = count(900)
MADE = Frozen(
    target=None, until="2026-11-30 06:00", zone="Europe/Berlin", reason="sale", by="anna", since="2026-11-20T10:00:00Z"
)
SATURDAY = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.mark.parametrize("target", [None, SHOP, A, B])
def test_a_persons_window_holds_the_whole_unit_of_what_it_names(target: str | None) -> None:
    why = "frozen until Mon 2026-11-30 06:00 Europe/Berlin by anna: sale"
    made = {"sale": replace(MADE, target=target)}
    assert frozen(TOPOLOGY, SATURDAY, made).why == {A: why, B: why}
    assert frozen(TOPOLOGY, datetime(2026, 11, 30, 5, tzinfo=UTC), made).why == {}
    assert frozen(TOPOLOGY, SATURDAY, {"gone": replace(MADE, target="gone")}).why == {}


def test_a_window_without_an_end_says_how_it_ends() -> None:
    made = {"incident": replace(MADE, until="", reason="")}
    assert frozen(TOPOLOGY, SATURDAY, made).why[A] == "frozen until `lbctl freeze remove incident` by anna"


def test_one_view_has_the_windows_of_the_config_and_of_people() -> None:
    topology = replace(TOPOLOGY, units={SHOP: replace(TOPOLOGY.units[SHOP], freeze=(WEEKEND, HOLIDAYS))})
    made = {
        "sale": replace(MADE, target=A),
        "old": replace(MADE, until="2026-11-01 00:00"),
        "gone": replace(MADE, target="x"),
    }
    seen = windows(topology, made, SATURDAY, [B])
    assert [(one["name"], one["open"], one["over"]) for one in seen] == [
        (None, False, False),
        (None, False, False),
        ("sale", True, False),
        ("old", False, True),
        ("gone", True, False),
    ]
    assert seen[2]["services"] == [A, B]
    assert seen[4]["services"] == []
    for one in seen:
        assert msgspec.convert(one, WindowView)
    screen = windows_screen({"windows": seen})
    assert "(config)  ○ closed" in screen
    assert "fri 16:00 until 08:00 Europe/Berlin" in screen
    assert "x, which is not in the config" in screen


def made(shop: Shop, name: str = "sale", **more: object) -> Answer:
    given = {"target": None, "until": "", "zone": "UTC", "over": frozenset(), **more}
    return shop.ask(FreezeRequest(id=next(NUMBERS), actor="anna", reason="why", wall="w", name=name, **given))  # type: ignore[arg-type]


def test_a_window_is_recorded_told_once_changed_and_removed() -> None:
    shop = Shop()
    for until in ("", "", "2099-01-01 00:00"):
        assert made(shop, until=until).accepted
    assert shop.state.record.freezes["sale"].until == "2099-01-01 00:00"
    for _ in range(2):
        assert shop.ask(Unfreeze(id=next(NUMBERS), actor="ben", name="sale")).accepted
    assert shop.state.record.freezes == {}
    assert [entry.text for entry in shop.told if entry.kind is Kind.FREEZE_CHANGED] == [
        "freeze sale of every service until it is removed: why",
        "freeze sale of every service until 2099-01-01 00:00 UTC: why",
        "freeze sale removed",
    ]


def test_windows_are_bounded_and_those_that_are_over_make_room() -> None:
    shop = Shop()
    for number in range(FREEZES_MAX):
        assert made(shop, f"w{number}").accepted
    assert made(shop, "w0", until="2099-01-01 00:00").accepted
    refused = made(shop, "one-more")
    assert (refused.accepted, refused.body["code"]) == (False, "too_many_freezes")
    assert made(shop, "one-more", over=frozenset({"w1"})).accepted
    assert "w1" not in shop.state.record.freezes


def test_of_several_open_windows_the_last_to_end_counts() -> None:
    made = {
        "sale": MADE,
        "early": replace(MADE, until="2026-11-29 06:00"),
        "old": replace(MADE, until="2026-11-01 00:00"),
    }
    found = frozen(TOPOLOGY, SATURDAY, made)
    assert found.why[A].startswith("frozen until Mon 2026-11-30 06:00")
    assert found.lasts[A] == 41 * HOUR
    endless = frozen(TOPOLOGY, SATURDAY, {**made, "incident": replace(MADE, until="")})
    assert (endless.why[A].startswith("frozen until `lbctl freeze remove incident`"), endless.lasts) == (True, {})
