"""Two services behind real load balancers, released as one: an old one never meets a new one, and nobody notices."""

from collections.abc import Callable

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT
from lbctl.demo.team import accounts, storefront
from tests.e2e.scene import one_of, proxies
from tests.e2e.shopping import people, town


@pytest.mark.parametrize("proxy", proxies())
async def test_a_breaking_pair_goes_over_together_and_a_second_one_comes_the_other_way(
    proxy: Callable[[], Proxy],
) -> None:
    async with town(proxy()) as shop, await people(shop.here, visitors=0.5) as users:
        async with await people(shop.here, rate=1, sessions=1, websockets=4, slow=4, slow_ms=10_000) as stays:
            release = await shop.both(2)
            assert (await shop.ended(release))["phase"] == "finished"
            assert (await users.snapshot()).colour_changes == 0
            report = await stays.stop()
            assert (report.websockets.cut, report.slow.cut) == (0, 0)
        await users.log_out()  # a pool that still serves sessions is not deployable
        release = await shop.both(3)
        assert (await shop.ended(release))["phase"] == "finished"
        for service in (ACCOUNTS, STOREFRONT):
            assert (await shop.service(service))["active"] == "blue"
        refused = (await shop.here.shop.calls()).background["refused"]
        assert refused > 0  # idle pools did call in the background
        await shop.nothing_wrong(users)


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_breaking_accounts_waits_while_a_storefront_that_fits_goes_alone(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy()) as shop, await people(shop.here) as users:
        await shop.accounts.bring(accounts("2.0.0"))
        await shop.storefront.bring(storefront("5.0.1", 1))
        hotfix = await shop.release_after(None)
        ended = await shop.ended(hotfix)
        assert (ended["phase"], [one["service"] for one in ended["members"]]) == ("finished", [STOREFRONT])
        assert (await shop.service(ACCOUNTS))["board"]["waits"].startswith(f"waiting for {STOREFRONT}: ")
        assert await shop.requests(ACCOUNTS, "2.0.0") == 0
        await users.log_out()
        await shop.storefront.bring(storefront("6.0.0", 2))
        together = await shop.ended(await shop.release_after(hotfix))
        assert together["phase"] == "finished"
        assert {one["service"] for one in together["members"]} == {ACCOUNTS, STOREFRONT}
        await shop.nothing_wrong(users)


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_an_accounts_that_breaks_nothing_goes_alone(proxy: Callable[[], Proxy]) -> None:
    async with town(proxy()) as shop, await people(shop.here) as users:
        await shop.accounts.bring(accounts("1.5.0"))
        ended = await shop.ended(await shop.release_after(None))
        assert (ended["phase"], ended["service"], ended["peak_bp"]) == ("finished", ACCOUNTS, 10_000), ended["outcome"]
        assert await shop.requests(ACCOUNTS, "1.5.0") > 50
        # Then a pair whose colours are opposite: accounts green → blue, storefront blue → green.
        pair = await shop.ended(await shop.both(2))
        assert pair["phase"] == "finished"
        assert {one["service"]: one["to"] for one in pair["members"]} == {ACCOUNTS: "blue", STOREFRONT: "green"}
        await shop.nothing_wrong(users)
