"""What people are shown of old pools, drained servers and sessions that are left: plainly, and with the next step."""

from typing import Any

from lbctl.cli.commands.draining import _said, _still
from lbctl.cli.screens.blocks import holders, pool_rows, servers
from lbctl.cli.screens.retired import retired_screen
from tests.fake_desk import pool, service
from tests.fake_desk import servers as every

Json = dict[str, Any]


def voided(*, standing: bool) -> Json:
    return {
        "since_ms": 5_000,
        "why": "1 came through edge/lb1 (17@3)",
        "times": 2,
        "unused_ms": 61_000,
        "quiet_ms": 300_000,
        "standing": standing,
        "text": "its certificate was made void 5s ago by a late request",
    }


def retired(**more: Any) -> Json:
    head = {"service": "web", "colour": "green", "version": "1.0", "release": "7", "phase": "finished"}
    rest = {"certified": False, "final": False, "waits": "no request may come", "certificate": None, "holders": []}
    return {**head, **rest, "connections": [], **more}


def certificate() -> Json:
    counted = {"edge/lb1": {"17@3": 100}}
    ages = {"unused_since_ms": 310_000, "certified_since_ms": 5_000}
    return {"confidence": "full", "unseen": [], "counted": counted, "census": "", **ages}


def test_a_void_is_shown_as_long_as_it_stands_and_where_to_find_the_caller() -> None:
    screen = retired_screen(retired(voided=voided(standing=True)))
    assert "void     2 times, last 5s ago by a late request, after 1m01s without one: 1 came through edge/lb1" in screen
    assert "docs/how-to/retire.md" in screen
    lines = holders({"pools": {"green": {**pool("idle", "1.0", 1, 0), "voided": voided(standing=True)}}})
    assert lines == ["  ✖ green is in use, do not stop it: its certificate was made void 5s ago by a late request"]


def test_a_void_stays_visible_beside_a_new_certificate() -> None:
    screen = retired_screen(retired(certified=True, certificate=certificate(), voided=voided(standing=False)))
    assert "● unused" in screen
    assert "void     2 times" in screen
    green = {**pool("idle", "1.0", 1, 0), "certified": True, "voided": voided(standing=False)}
    lines = holders({"pools": {"green": green}})
    assert lines[1].startswith("  ! green: somebody came late before, 5s ago")


def test_a_drained_server_is_listed_as_drained_and_not_as_down() -> None:
    one = {**every()["blue-1"], "up": True, "draining": True, "detail": "drained by ann: lbctl undrain web/blue/blue-1"}
    (_, row) = servers({"web": {"servers": {"blue-1": one}}}, every=False)
    assert "◐ drained" in row
    assert "lbctl undrain web/blue/blue-1" in row
    blue = {**pool("active", "1.0", 1, 0), "drained_count": 1}
    assert pool_rows(service(pools={"blue": blue}))[0][3] == "2/2, 1 drained"


def test_a_drain_that_takes_too_long_says_what_is_left_and_that_it_need_not_end() -> None:
    text = _still({"in_flight": 0}, 56.6)
    assert text.startswith("0 in flight, 56.6 requests/s of its sessions, which stay with it")
    assert _still({"in_flight": 2}, 0.0) == "2 in flight"
    undrained = {"service": "web", "colour": "blue", "server": "blue-1", "drained": False}
    assert _said({**undrained, "already": True}) == "web/blue/blue-1   ● was not drained"
