"""What becomes of old pools: proved unused by what load balancers count, certified, and only then stopped."""

import asyncio
import os
import signal
import socket
import time
from typing import Any

import pytest

from lbctl.demo.control import RefusedError
from lbctl.demo.proxy import OwnHaproxy, Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import (
    QUICK,
    adopted,
    crowd,
    envoy,
    events,
    haproxy,
    one_of,
    proxies,
    release,
    status,
    until,
)
from tests.e2e.shopping import BRISK, Town, people, town

SOON = "{quiet: 1s, idle: 1s, limit: 20s}"
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


@pytest.mark.parametrize("make", one_of("haproxy"))
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


@pytest.mark.parametrize("make", one_of("haproxy"))
async def test_undo_is_a_rollback_while_the_old_pool_drains_and_a_new_release_afterwards(make: Any) -> None:
    proxy: Proxy = make()
    async with town(
        proxy, BRISK.replace("retain: 0s", "retain: 3s"), drain="{quiet: 1s, idle: 1s, limit: 8s}"
    ) as found:
        users = await people(found.here, rate=150, sessions=20)
        first = await found.both(2)
        await phase_is(found, first, "draining")
        back = await found.here.control.post("/v1/units/shop/undo", {"reason": "no"})
        assert (back["release"], back["phase"], back["again"]) == (first, "rolling_back", False)
        assert (await found.ended(first))["phase"] == "rolled_back"
        with pytest.raises(RefusedError, match=f"what served before release {first} serves shop now"):
            await found.here.control.post("/v1/units/shop/undo", {})
        await users.log_out()
        second = await found.both(3)
        await phase_is(found, second, "draining")
        await users.log_out()
        over = await found.ended(second)
        assert over["phase"] == "finished"
        assert over["certificates"][STOREFRONT] is not None
        assert over["outcome"].startswith(
            "unproven: blue of accounts is kept as draining; storefront-blue is not stopped"
        )
        undone = await found.here.control.post("/v1/units/shop/undo", {"hold": "700ms", "retain": "0s"})
        assert "brings back storefront 5.0.0, accounts 1.4.0" in undone["did"]
        again = await found.ended(undone["release"])
        assert (again["phase"], (await found.service(STOREFRONT))["active"]) == ("finished", "blue")
        await found.nothing_wrong(users)


@pytest.mark.long
@pytest.mark.parametrize("make", proxies())
async def test_undo_a_minute_after_the_bake_takes_users_back_at_once(make: Any) -> None:
    async with town(
        make(), BRISK.replace("retain: 0s", "retain: 5m"), drain="{quiet: 1s, idle: 1s, limit: 10m}"
    ) as found:
        users = await people(found.here, rate=300, sessions=50)
        first = await found.both(2)
        await phase_is(found, first, "draining")
        await asyncio.sleep(60)
        asked_at = time.monotonic()
        back = await found.here.control.post("/v1/units/shop/undo", {"reason": "a minute later"})
        assert (back["release"], back["phase"]) == (first, "rolling_back")
        assert (await found.ended(first))["phase"] == "rolled_back"
        assert time.monotonic() - asked_at <= 5
        await found.nothing_wrong(users)


@pytest.mark.long
@pytest.mark.parametrize("make", proxies())
async def test_undo_a_minute_after_the_end_is_a_release_of_what_was_there(make: Any) -> None:
    async with town(make(), BRISK, drain="{quiet: 1s, idle: 1s, limit: 8s}") as found:
        users = await people(found.here, rate=300, sessions=50)
        first = await found.both(2)
        await phase_is(found, first, "draining")
        await users.log_out()
        assert (await found.ended(first))["phase"] == "finished"
        await asyncio.sleep(60)
        undone = await found.here.control.post("/v1/units/shop/undo", {"retain": "0s"})
        assert "brings back storefront 5.0.0, accounts 1.4.0" in undone["did"]
        await phase_is(found, undone["release"], "draining")
        await users.log_out()
        again = await found.ended(undone["release"])
        assert (again["phase"], (await found.service(STOREFRONT))["active"]) == ("finished", "blue")
        await found.nothing_wrong(users)


def reload(proxy: Proxy) -> None:
    """What a person or config management does: SIGUSR2 to the master."""
    assert isinstance(proxy, OwnHaproxy)
    assert proxy.pid is not None
    os.kill(proxy.pid, signal.SIGUSR2)


async def of(here: Stage, release: str) -> Json:
    """Whether the old pool of the one service is certified."""
    answer: Json = await here.control.get(f"/v1/releases/{release}/retired")
    return answer


async def proof_of(here: Stage, release: str, seconds: float = 15.0) -> Json:
    """Wait for its certificate."""

    async def there() -> bool:
        return bool((await of(here, release))["certified"])

    await until(there, seconds)
    return await of(here, release)


async def in_phase(here: Stage, phase: str, seconds: float = 30.0) -> None:
    """Wait until the one service's release is in a phase."""

    async def there() -> bool:
        return bool((await status(here))["phase"] == phase)

    await until(there, seconds)


DRAIN = "{quiet: 700ms, idle: 700ms, limit: 2m}"


@pytest.mark.haproxy
async def test_a_websocket_and_a_long_request_across_a_reload_keep_the_old_pool_and_are_named() -> None:
    proxy = haproxy()
    async with adopted(proxy, QUICK, drain=DRAIN) as here:
        visitors = await crowd(here, rate=100, sessions=0, visitors=1.0)
        async with await crowd(here, rate=1, sessions=1, websockets=1, slow=1, slow_ms=20_000) as stays:
            await stays.log_out()
            number = await release(here)
            await in_phase(here, "draining")
            reload(proxy)

            async def named() -> bool:
                newest = (await status(here))["instances"]["edge/lb1"]["generation"]
                found = (await of(here, number))["holders"]
                return [one["age_ms"] >= 2_000 and one["generation"] != newest for one in found] == [True, True]

            await until(named, 15)
            found = await of(here, number)
            assert not found["certified"]
            holders = found["holders"]
            generation = (await status(here))["instances"]["edge/lb1"]["generation"]
            for one in holders:
                assert one["client"].startswith("127.0.0.1:")
                assert one["server"].startswith("blue-")
                assert one["generation"] != generation

            async def all_are_haproxys() -> bool:
                # One that is just being opened or closed is nobody's for a moment.
                return {one["process"] for one in (await of(here, number))["connections"]} == {"haproxy"}

            await until(all_are_haproxys, 10)
            assert "in flight at blue of shop on edge/lb1: 127.0.0.1:" in found["waits"], found["waits"]
            why = await here.control.get(f"/v1/why/{number}")
            assert "127.0.0.1:" in why["lines"][0]["what"], why
            # A crash in mid-drain: it goes on where it was.
            await here.daemon.stop(signal.SIGKILL)
            await here.daemon.start()

            async def named_again() -> bool:
                try:
                    return await named()
                except (OSError, RefusedError):
                    return False

            await until(named_again, 15)
            assert not (await of(here, number))["certified"]
        # Everybody has left; HAProxy waits for the answer to the long request all the same.
        proof = await proof_of(here, number, 40)
        assert proof["certificate"]["confidence"] == "full"
        assert "of this host to its servers" in proof["certificate"]["census"]
        await in_phase(here, "finished")
        assert (await visitors.stop()).failed_requests == 0


@pytest.mark.parametrize("make", one_of("envoy"))
async def test_a_program_that_calls_past_the_load_balancer_keeps_the_old_pool_by_name(make: Any) -> None:
    """Before it is certified, and afterwards."""
    async with adopted(make(), QUICK, drain=DRAIN) as here:
        users = await crowd(here, rate=100, sessions=0, visitors=1.0)
        with socket.create_connection(here.pools["blue"].servers["blue-1"]):
            number = await release(here)

            async def named() -> bool:
                return f"(pid {os.getpid()}) has a connection" in (await of(here, number))["waits"]

            await until(named)
            found = await of(here, number)
            assert found["waits"].startswith("blue of shop is connected to past its load balancers"), found
            assert not found["certified"]
        proof = await proof_of(here, number)
        assert proof["certificate"]["confidence"] == "full", proof
        assert proof["past"]["watched"], proof
        # The load balancer's own checks go on there, and are nobody's call.
        await asyncio.sleep(2.0)
        assert (await of(here, number))["certified"]
        with socket.create_connection(here.pools["blue"].servers["blue-1"]):

            async def void() -> bool:
                return any(one["kind"] == "certificate.void" for one in await events(here))

            await until(void)
            (told,) = [one for one in await events(here) if one["kind"] == "certificate.void"]
            assert told["severity"] == "page"
            assert f"(pid {os.getpid()}) has a connection, as this host's kernel counts" in told["text"]
            assert not (await of(here, number))["certified"]
        assert (await users.stop()).failed_requests == 0


@pytest.mark.envoy
async def test_envoy_says_where_somebody_is_and_for_how_long_at_least() -> None:
    async with adopted(envoy(), QUICK, drain=DRAIN) as here:
        visitors = await crowd(here, rate=100, sessions=0, visitors=1.0)
        async with await crowd(here, rate=1, sessions=0, visitors=1.0, websockets=1) as stays:
            del stays
            number = await release(here)
            await in_phase(here, "draining")
            await asyncio.sleep(2.0)
            (one,) = (await of(here, number))["holders"]
            assert (one["client"], one["at_least"]) == ("", True)
            assert one["age_ms"] >= 1_500
        await proof_of(here, number)
        assert (await visitors.stop()).failed_requests == 0


@pytest.mark.haproxy
async def test_a_late_request_voids_the_certificate_and_pages() -> None:
    async with adopted(haproxy(), QUICK, drain=DRAIN) as here:
        users = await crowd(here, rate=100, sessions=0, visitors=1.0)
        number = await release(here)
        await in_phase(here, "finished")
        assert (await of(here, number))["certified"]
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(here.directory / "haproxy.sock"))
            admin.sendall(f"set map {here.directory / 'maps' / 'state.map'} {SERVICE} 0:0:10000\n".encode())
            admin.recv(100)

        async def void() -> bool:
            return any(one["kind"] == "certificate.void" for one in await events(here))

        await until(void)
        (told,) = [one for one in await events(here) if one["kind"] == "certificate.void"]
        assert (told["severity"], told["release"]) == ("page", number)
        # It is proved anew, by a much longer quiet time, and what happened stays known.
        again = await proof_of(here, number, 60.0)
        assert again["certificate"]["unused_since_ms"] >= again["voided"]["quiet_ms"] >= 7_000
        assert "through" in again["voided"]["why"]
        assert (await users.stop()).failed_requests == 0
