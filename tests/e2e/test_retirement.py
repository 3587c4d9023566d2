"""What becomes of old pools: proved unused by what load balancers count, certified, and only then stopped."""

import asyncio
from typing import Any

import pytest

from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT
from tests.e2e.scene import events, proxies, until
from tests.e2e.shopping import BRISK, Town, people, town

SOON = "{quiet: 1s, limit: 20s}"
Json = dict[str, Any]


async def retired(found: Town, release: str, service: str) -> Json:
    """Whether the old pool of a service is certified, and what it waits for."""
    answer: Json = await found.here.control.get(f"/v1/releases/{release}/retired?service={service}")
    return answer


async def certified(found: Town, release: str, service: str, seconds: float = 20.0) -> Json:
    """Wait for a certificate."""

    async def there() -> bool:
        return bool((await retired(found, release, service))["certified"])

    try:
        await until(there, seconds)
    except TimeoutError:
        raise AssertionError(f"not certified after {seconds:g} s: {await retired(found, release, service)}") from None
    return await retired(found, release, service)


async def phase_is(found: Town, release: str, phase: str, seconds: float = 30.0) -> None:
    """Wait until a release is in a phase."""

    async def there() -> bool:
        return bool((await found.release(release))["phase"] == phase)

    await until(there, seconds)


@pytest.mark.parametrize("make", proxies())
async def test_both_old_pools_are_certified_consumer_first_and_the_provider_when_that_is_stopped(make: Any) -> None:
    proxy: Proxy = make()
    async with town(proxy, BRISK, drain=SOON) as found:
        users = await people(found.here, rate=150, sessions=20)
        release = await found.both(2)
        await phase_is(found, release, "draining")
        kept = await retired(found, release, STOREFRONT)
        assert not kept["certified"]
        await users.log_out()
        proof = (await certified(found, release, STOREFRONT))["certificate"]
        assert proof["confidence"] == "full", proof
        assert proof["unused_since_ms"] >= 1_000
        with pytest.raises(RefusedError, match="cannot go back by a rollback any more"):
            await found.here.control.post(f"/v1/releases/{release}/rollback", {})
        # The old storefront is certified, but not stopped: it calls by itself, and is named.
        await asyncio.sleep(1.5)
        waits = (await retired(found, release, ACCOUNTS))["waits"]
        assert waits.startswith("storefront-blue is not stopped ("), waits
        assert "7 of 7 servers" in waits
        await found.here.shop.retire(STOREFRONT, "blue")
        await certified(found, release, ACCOUNTS)
        over = await found.ended(release)
        assert (over["phase"], over["outcome"]) == ("finished", "")
        assert set(over["certificates"]) == {ACCOUNTS, STOREFRONT}
        await found.here.shop.retire(ACCOUNTS, "blue")
        await asyncio.sleep(1.0)
        await found.nothing_wrong(users)
        kinds = [one["kind"] for one in await events(found.here)]  # type: ignore[arg-type]
        assert kinds.count("pool.certified") >= 2
