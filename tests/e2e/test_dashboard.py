"""The dashboard in a real Chromium: a release that goes back, seen live; hostile names; and the keyboard alone."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lbctl.config.settings import Access
from lbctl.control.dashing import dashboard_server
from tests.e2e.browser import forwarded, opened
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, haproxy, release, share_is
from tests.fake_desk import FakeDesk, event, servers, service, shop, unit

SCREENSHOT = Path(__file__).parents[2] / "docs" / "how-to" / "dashboard.png"
HOSTILE = '<img src=x onerror="window.owned=1"><script>window.owned=1</script>'
CHART = "web: Error ratio at this step, with its 95 % band"

pytestmark = pytest.mark.browser


async def shows(page: Any, role: str, name: str, text: str) -> None:
    """Wait until what has this role and name has this text."""
    await page.get_by_role(role, name=name, exact=True).get_by_text(text).first.wait_for(timeout=20_000)


@pytest.mark.haproxy
async def test_a_release_that_goes_back_is_seen_live_through_a_forward() -> None:
    async with adopted(haproxy(), SLOW_STEP) as here, await crowd(here, rate=150, visitors=0.8):
        socket = here.directory / "run" / "dash.sock"
        here.config.write_text(here.config.read_text().replace("daemon:\n", f"daemon:\n  dashboard: {socket}\n"))
        await here.daemon.stop()
        await here.daemon.start()
        await here.control.wait_up(20)
        size = {"width": 1200, "height": 1000}
        async with (
            forwarded(str(socket)) as port,
            opened(here.directory, port, viewport=size) as (page, complaints),
        ):
            await page.get_by_text("● live").wait_for(timeout=20_000)
            await release(here, version="<b>2.0.0</b>")
            await share_is(here, 1_000)
            await shows(page, "region", "State", "shifting")
            await shows(page, "region", "State", "1 of 3 (10 %)")
            await shows(page, "region", "State", "blue → green <b>2.0.0</b>")
            await shows(page, "region", "Decisions", "step.reached")
            await asyncio.sleep(6)
            await pictured(page)
            await here.pools["green"].fault(error_ratio=1.0)
            await shows(page, "region", "Decisions", "rollback.started")
            assert (await ended(here))["phase"] == "rolled_back"
            await shows(page, "region", "State", "rolled back")
            await page.get_by_role("status").get_by_text("rolled back").wait_for(timeout=20_000)
            await shows(page, "region", "Servers", "up")
            assert await page.get_by_role("figure").count() == 5
            assert complaints == []


async def pictured(page: Any) -> None:
    """Keep the picture of the documentation, where that is asked for."""
    if os.environ.get("UPDATE") == "1":
        await page.screenshot(path=str(SCREENSHOT), full_page=True)


@asynccontextmanager
async def shown(desk: FakeDesk, directory: Path) -> AsyncIterator[tuple[Any, list[str]]]:
    """Serve this desk, forward it, and open it."""
    path = str(directory / "own" / "dash.sock")
    server = dashboard_server(desk, path, Access)
    await server.start()
    try:
        async with forwarded(path) as port, opened(directory, port) as found:
            yield found
    finally:
        await server.stop()


async def test_hostile_names_and_texts_stay_texts(tmp_path: Path) -> None:
    desk = FakeDesk()
    hostile = {HOSTILE: {**servers()["blue-1"], "detail": HOSTILE}}
    desk.views = {HOSTILE: service(servers=hostile, version=HOSTILE, next=HOSTILE)}
    desk.record = [{**desk.record[0], "reason": HOSTILE, "initiator": HOSTILE}]
    desk.journal = [event(number, HOSTILE, HOSTILE, service=HOSTILE, actor=HOSTILE) for number in range(1, 4)]
    async with shown(desk, tmp_path) as (page, complaints):
        await shows(page, "region", "Servers", HOSTILE)
        await shows(page, "region", "Decisions", HOSTILE)
        await shows(page, "region", "State", HOSTILE)
        assert await page.evaluate("window.owned") is None
        assert await page.locator("img, main script").count() == 0
        assert complaints == []


async def test_everything_is_reached_by_the_keyboard_and_charts_have_tables(tmp_path: Path) -> None:
    desk = FakeDesk()
    desk.units, desk.views = {"shop": unit()}, shop()
    desk.views["web"] = service()
    async with shown(desk, tmp_path) as (page, complaints):
        await shows(page, "region", "Who calls whom", "storefront-green")
        press = page.keyboard.press
        await press("Tab")
        assert await page.evaluate("document.activeElement.textContent") == "Skip to the state"
        await press("Enter")
        assert await page.evaluate("document.activeElement.id") == "state"
        await press("Shift+Tab")
        assert await page.evaluate("document.activeElement.id") == "target"
        await press("ArrowDown")
        await shows(page, "region", "State", "web, release 7")
        for _ in range(12):
            await press("Tab")
            if await page.evaluate("document.activeElement.textContent") == f"Table: {CHART}":
                break
        await press("Enter")
        await shows(page, "table", f"{CHART}, the newest 20 looks", "0.23 %")
        assert complaints == []


async def test_a_daemon_that_goes_away_leaves_what_was_known_and_says_so(tmp_path: Path) -> None:
    desk = FakeDesk()
    async with shown(desk, tmp_path) as (page, _):
        await shows(page, "region", "State", "shifting")
        desk.broken = True
        await page.get_by_text("lbctld has a fault").wait_for(timeout=20_000)
        await shows(page, "region", "State", "shifting")
        desk.broken = False
        await page.get_by_text("● live").wait_for(timeout=20_000)


async def test_an_address_that_names_nothing_stops_nothing(tmp_path: Path) -> None:
    desk = FakeDesk()
    async with shown(desk, tmp_path) as (page, complaints):
        await page.get_by_text("● live").wait_for(timeout=20_000)
        await page.evaluate("location.hash = '#100%'")
        desk.views["web"]["phase"] = "rolling_back"
        await shows(page, "region", "State", "rolling back")
        assert complaints == []


async def test_a_fault_of_the_page_itself_is_not_live(tmp_path: Path) -> None:
    desk = FakeDesk()
    async with shown(desk, tmp_path) as (page, _):
        await page.get_by_text("● live").wait_for(timeout=20_000)
        desk.views["web"]["servers"] = None
        await page.get_by_text("✖ this is").wait_for(timeout=20_000)


async def test_a_service_that_is_adopted_is_no_longer_only_observed(tmp_path: Path) -> None:
    desk = FakeDesk()
    nothing = dict.fromkeys(("candidate", "phase", "release", "step", "next", "verdict", "to"))
    desk.views["web"] = service(active=None, mode="observe", **nothing)
    desk.record = []
    async with shown(desk, tmp_path) as (page, _):
        await page.get_by_text("only observed").wait_for(timeout=20_000)
        desk.views["web"] = service(active="blue", **nothing)
        await page.get_by_text("only observed").wait_for(state="detached", timeout=20_000)


async def test_decisions_that_are_not_told_are_said_to_be_missing(tmp_path: Path) -> None:
    desk = FakeDesk()
    async with shown(desk, tmp_path) as (page, _):
        await page.get_by_text("● live").wait_for(timeout=20_000)
        await page.route("**/v1/events*", lambda route: route.fulfill(status=500, body="{}"))
        for follower in list(desk.followers):
            follower.put_nowait(None)
        await page.get_by_text("Decisions may be missing here").wait_for(timeout=20_000)
        await page.unroute("**/v1/events*")
        await page.get_by_text("● live").wait_for(timeout=20_000)
