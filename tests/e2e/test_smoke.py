"""Smoke tests of a unit: by preview through the new storefront to the new accounts, before anybody meets either."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT
from tests.e2e.scene import one_of, proxies, until
from tests.e2e.shopping import BRISK, Town, people, town

ASKED = 20
PREVIEW = "preview: {networks: [127.0.0.1]}\n"
"""Users of the toy shop call from 127.0.0.1 as well, and none of them asks for a preview."""
SMOKE = f"""#!{sys.executable}
import json, os, pathlib, sys, time, urllib.request
way = json.load(sys.stdin)["preview"]
folder = pathlib.Path(__file__).parent
name, value = os.environ["LBCTL_PREVIEW_HEADER"].split(": ")
assert way["headers"] == {{name: value}} and way["url"] == os.environ["LBCTL_PREVIEW_URL"]
for _ in range({ASKED}):
    with urllib.request.urlopen(urllib.request.Request(way["url"] + "/", headers=way["headers"]), timeout=5) as answer:
        assert answer.headers["X-Lbctl-Preview"] == way["pool"], "an ordinary answer"
        assert answer.headers["X-Version"] == "6.0.0", answer.headers["X-Version"]
        assert "Set-Cookie" not in answer.headers, "a session"
(folder / "asked").touch()
while not (folder / "verdict").exists():
    time.sleep(0.05)
verdict = (folder / "verdict").read_text()
print(verdict)
sys.exit(verdict != "fine")
"""


def plan(folder: Path) -> str:
    """The plan of the unit with the hook in that folder."""
    path = folder / "smoke"
    path.write_text(SMOKE)
    path.chmod(0o755)
    return f"{BRISK}hooks: [{{at: smoke, exec: {path}, timeout: 1m}}]\n"


async def smoked(folder: Path) -> None:
    """Wait until the hook has asked."""

    async def has_asked() -> bool:
        return (folder / "asked").exists()

    await until(has_asked)


async def only_smoke_came(here: Town) -> None:
    """The candidate had the smoke requests, each of which it could answer only with the new accounts; nobody else."""
    green = here.here.shop.pools[STOREFRONT, "green"]
    stats = await green.stats()
    assert stats.user_requests == ASKED
    users: dict[str, int] = {}
    for one in stats.servers.values():
        for outcome, count in one.calls.users.items():
            users[outcome] = users.get(outcome, 0) + count
    assert users == {"ok": ASKED}
    for name in (STOREFRONT, ACCOUNTS):
        assert (await here.service(name))["observed_share_bp"] == 0
    pools: Any = (await here.service(STOREFRONT))["pools"]
    assert pools["green"]["requests"] == 0, "what is judged knows nothing of previews"


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_the_new_pair_is_smoked_through_the_load_balancer_before_the_first_step(
    proxy: Any, tmp_path: Path
) -> None:
    made: Proxy = proxy()
    async with town(made, plan(tmp_path), each=PREVIEW) as here:
        users = await people(here.here, rate=100, sessions=20)
        number = await here.both(2)
        await smoked(tmp_path)
        await only_smoke_came(here)
        (tmp_path / "verdict").write_text("fine")
        assert (await here.ended(number))["phase"] == "finished"
        await here.nothing_wrong(users)


@pytest.mark.haproxy
async def test_what_a_smoke_test_complains_about_holds_the_release_before_any_traffic(tmp_path: Path) -> None:
    (haproxy,) = [one.values[0] for one in proxies() if one.id == "haproxy"]
    (tmp_path / "verdict").write_text("the basket is empty")
    async with town(haproxy(), plan(tmp_path), each=PREVIEW) as here:
        users = await people(here.here, rate=50, sessions=10)
        number = await here.both(2)

        async def is_held() -> bool:
            hold = (await here.service(STOREFRONT))["held"]
            return bool(hold and hold["code"] == "hook" and "says no" in hold["reason"])

        await until(is_held)
        held = (await here.service(STOREFRONT))["held"]
        assert held["reason"] == f"hook {tmp_path}/smoke at smoke says no: the basket is empty"
        await asyncio.sleep(0.5)
        await only_smoke_came(here)
        await here.here.control.post(f"/v1/releases/{number}/cancel", {"reason": "broken"})
        assert (await here.ended(number))["phase"] == "cancelled"
        await only_smoke_came(here)
        await here.nothing_wrong(users)
