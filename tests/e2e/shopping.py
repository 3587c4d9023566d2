"""The shop of the end-to-end tests: two services, two teams, users, and what they count themselves."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lbctl.demo.play import settled
from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT, UNIT, ShopStage, shop_stage
from lbctl.demo.team import Team, accounts, storefront
from lbctl.demo.users import Users
from tests.e2e.scene import ENDED, until

BRISK = """steps: [5%, 25%, 50%, 100%]
hold: {min: 700ms, max: 5m, then: ask}
bake: 700ms
retain: 0s
"""
SLOW = BRISK.replace("700ms", "60s")

Json = dict[str, Any]


class Town:
    """A stage with its two teams. By major version: accounts N provides api N, storefront N+4 speaks it."""

    def __init__(self, here: ShopStage) -> None:
        self.here = here
        self.accounts = Team(here, ACCOUNTS)
        self.storefront = Team(here, STOREFRONT)
        self._too_early = -1

    async def adopt(self) -> None:
        """Both run on blue."""
        await self.accounts.adopt("blue", accounts("1.4.0"))
        await self.storefront.adopt("blue", storefront("5.0.0", 1))
        for service in (ACCOUNTS, STOREFRONT):
            await settled(self.here.control, self.here.port, service)
        # Until the load balancer is up and the services are adopted, nobody answers those who call by themselves; a
        # call that is under way then fails a moment later.
        await until(self._calls_fail_no_more, 10)

    async def _calls_fail_no_more(self) -> bool:
        began = (await self.here.shop.calls()).background
        for _ in range(4):
            await asyncio.sleep(0.2)
            calls = (await self.here.shop.calls()).background
            if calls["failed"] != began["failed"]:
                return False
        self._too_early = calls["failed"]
        # On a busy machine nobody may have called meanwhile.
        return calls["ok"] > began["ok"]

    async def both(self, api: int) -> str:
        """Bring the next pair, which only speaks with each other; returns the release."""
        before = (await self.unit())["release"]
        await self.storefront.claim()
        await self.accounts.bring(accounts(f"{api}.0.0"))
        await self.storefront.bring(storefront(f"{api + 4}.0.0", api))
        return await self.release_after(before)

    async def unit(self) -> Json:
        """The unit as `status` shows it."""
        found: Json = (await self.here.control.get("/v1/status"))["units"][UNIT]
        return found

    async def service(self, name: str) -> Json:
        """One service as `status` shows it."""
        return await self.here.control.service(name)

    async def release_after(self, before: str | None) -> str:
        """Wait for the next release of the unit; returns its number."""
        found: list[str] = []

        async def cut() -> bool:
            number = (await self.unit())["release"]
            found[:] = [] if number is None or number == before else [number]
            return bool(found)

        await until(cut)
        return found[0]

    async def share_is(self, share_bp: int, seconds: float = 30.0) -> None:
        """Wait until storefront's candidate has this share, read back everywhere."""

        async def there() -> bool:
            return bool((await self.service(STOREFRONT))["observed_share_bp"] == share_bp)

        await until(there, seconds, 0.005)

    async def ended(self, release: str, seconds: float = 60.0) -> Json:
        """Wait until a release is over; returns it."""

        async def over() -> bool:
            return (await self.release(release))["phase"] in ENDED

        try:
            await until(over, seconds)
        except TimeoutError:
            why = await self.here.control.get(f"/v1/why/{release}")
            raise AssertionError(f"not over after {seconds:g} s: {why}") from None
        return await self.release(release)

    async def release(self, release: str) -> Json:
        """One release."""
        found: Json = (await self.here.control.get(f"/v1/releases/{release}"))["release"]
        return found

    async def requests(self, service: str, version: str) -> int:
        """How many user requests a version has got, by its own count."""
        pools = [p for (name, _), p in self.here.shop.pools.items() if name == service and p.version == version]
        return sum([(await pool.stats()).user_requests for pool in pools])

    async def nothing_wrong(self, users: Users) -> None:
        """Stop the users: nobody failed, and every answer of accounts could be spoken with."""
        calls = await self.here.shop.calls()
        report = await users.stop()
        assert calls.mismatched == 0, calls.troubles[-20:]
        assert calls.users.keys() <= {"ok", "fault"}, (calls.users, calls.troubles[-20:])
        assert calls.background["failed"] == self._too_early, (self._too_early, calls.background, calls.troubles[-20:])
        assert report.failed_requests == 0, report.first_failures
        assert (report.websockets.cut, report.slow.cut) == (0, 0)


@asynccontextmanager
async def town(proxy: Proxy, plan: str = BRISK, **more: str) -> AsyncIterator[Town]:
    """A shop whose services are adopted on blue."""
    async with shop_stage(None, proxy, plan, **more) as here:
        found = Town(here)
        await found.adopt()
        yield found


async def people(here: ShopStage, rate: int = 300, sessions: int = 40, **more: Any) -> Users:
    """Users in front of storefront."""
    return await Users.start("127.0.0.1", here.port, rate=rate, sessions=sessions, **more)
