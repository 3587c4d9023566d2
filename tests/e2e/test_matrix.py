"""Who called whom, on real load balancers: the matrix is what the servers counted, and strangers refuse a release."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from lbctl.config.load import load
from lbctl.demo import shop
from lbctl.demo.play import serves, settled
from lbctl.demo.proxy import OwnHaproxy, Proxy
from lbctl.demo.shop import ACCOUNTS, STOREFRONT, UNIT, ShopStage, shop_stage
from lbctl.demo.team import Team, accounts, storefront
from lbctl.demo.users import Users
from lbctl.model.names import ServiceName
from tests.e2e.scene import ENDED, QUICK, SLOW_STEP, haproxy, one_of, until
from tests.integration.test_cli_commands import Done, run

Json = dict[str, Any]
FIRST_OWN = "use_backend accounts_green"
LIE = "{{ str(lie),map({}/lies.map) -m str yes }}"


@asynccontextmanager
async def opened(proxy: Proxy, plan: str = QUICK) -> AsyncIterator[ShopStage]:
    """Both services, adopted and healthy."""
    async with shop_stage(None, proxy, plan) as here:
        await Team(here, ACCOUNTS).adopt("blue", accounts("1.4.0"))
        await Team(here, STOREFRONT).adopt("blue", storefront("5.0.0", 1))
        for service in (ACCOUNTS, STOREFRONT):
            await settled(here.control, here.port, service)
        yield here


async def both_ready(here: ShopStage) -> None:
    """Both teams bring versions that only speak with each other."""
    await Team(here, ACCOUNTS).bring(accounts("2.0.0"))
    await Team(here, STOREFRONT).bring(storefront("6.0.0", 2))


async def unit(here: ShopStage) -> Json:
    """The unit's status."""
    found: Json = (await here.control.get("/v1/status"))["units"][UNIT]
    return found


async def held(here: ShopStage) -> Json:
    """Why the unit's release waits, once it does for more than a reading."""
    found: Json = {}

    async def waits() -> bool:
        nonlocal found
        found = (await unit(here))["held"] or {}
        return found.get("code") in {"wrong_cell", "unknown_caller"}

    try:
        await until(waits)
    except TimeoutError:
        pytest.fail(f"not held by a wrong cell: {await unit(here)}")
    return found


async def counted(here: ShopStage) -> dict[tuple[str, str], int]:
    """What the servers of storefront counted themselves: who was answered by whom."""
    found = Counter[tuple[str, str]]()
    for (service, colour), pool in here.shop.pools.items():
        for one in (await pool.stats()).servers.values() if service == STOREFRONT else ():
            found.update({(f"{STOREFRONT}-{colour}", called): count for called, count in one.calls.called.items()})
    return dict(found)


async def matrix(here: ShopStage) -> list[Json]:
    """What the load balancer counted, by lbctl."""
    found: list[Json] = (await unit(here))["matrix"][ACCOUNTS]
    return found


async def lbctl(here: ShopStage, *words: str) -> Done:
    """Run the command line against the stage's daemon."""
    return await run(str(here.directory / "run" / "control.sock"), *words)


def ordinary_port(here: ShopStage) -> int:
    """Where whoever is no pool of storefront comes in at accounts."""
    listen = load(str(here.config), uid=os.getuid(), environ=os.environ).topology.services[ServiceName(ACCOUNTS)].listen
    assert listen is not None
    return listen.port


@pytest.mark.parametrize("proxy", one_of("envoy"))
async def test_the_matrix_of_a_good_release_is_what_the_servers_counted_and_all_of_it_right(
    proxy: Callable[[], Proxy], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Calls for users only, so that the two counts can be compared to the last call.
    monkeypatch.setattr(shop, "BACKGROUND_S", 0.0)
    async with opened(proxy()) as here:
        async with await Users.start("127.0.0.1", here.port, rate=120, sessions=20, visitors=0.7) as users:
            await both_ready(here)

            async def over() -> bool:
                return (await unit(here))["phase"] in ENDED

            await until(over, 60)
            assert (await unit(here))["phase"] == "finished"
            assert (await users.stop()).failed_requests == 0
        servers = await counted(here)

        async def quiet() -> bool:
            return all(one["last_s"] > 3 for one in await matrix(here))

        await until(quiet)
        assert {(one["caller"], one["colour"]): one["requests"] for one in await matrix(here)} == servers
        assert set(servers) == {("storefront-blue", "blue"), ("storefront-green", "green")}
        assert min(servers.values()) > 100
        assert all(one["right"] for one in await matrix(here))
        assert (await here.shop.calls()).mismatched == 0


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_a_stranger_is_named_and_refuses_a_release_of_both_but_not_of_one(
    proxy: Callable[[], Proxy],
) -> None:
    async with opened(proxy()) as here:
        for team in (Team(here, ACCOUNTS), Team(here, STOREFRONT)):
            await team.claim()
        port = ordinary_port(here)
        for _ in range(3):
            assert await serves(port)

        async def seen() -> bool:
            return any(one["caller"] is None and one["requests"] == 3 for one in await matrix(here))

        await until(seen)
        for command in (["switch", UNIT], ["plan", UNIT, "--detailed-exitcode"]):
            done = await lbctl(here, *command)
            assert done.code == 5, done.out
            said = done.out + done.err
            assert "accounts was called 3 times in the last 10m by somebody who is no pool of storefront" in said
            assert f"127.0.0.1:{port}, the ordinary listener" in said
        assert "unknown → accounts" in (await lbctl(here, "status", UNIT)).out
        await both_ready(here)
        found = await held(here)
        assert found["code"] == "unknown_caller"
        assert (await unit(here))["share_bp"] == 0
        why = await lbctl(here, "why", UNIT)
        assert "no pool of storefront" in why.out


class Lying(OwnHaproxy):
    """An HAProxy with a rule of somebody's own before lbctl's: once told so, calls of the new storefront go to the old
    accounts, whatever their pin says."""

    directory = Path()

    async def launch(self, directory: Path) -> None:
        """Put the rule in, and start."""
        self.directory = directory
        (directory / "lies.map").write_text("lie no\n")
        rule = f"use_backend accounts_blue if {{ so_name -m str storefront-green }} {LIE.format(directory)}\n    "
        text = (directory / "haproxy.cfg").read_text()
        (directory / "haproxy.cfg").write_text(text.replace(FIRST_OWN, rule + FIRST_OWN, 1))
        await super().launch(directory)

    async def lie(self) -> None:
        """Begin with it, at runtime."""
        reader, writer = await asyncio.open_unix_connection(str(self.directory / "haproxy.sock"))
        writer.write(f"set map {self.directory}/lies.map lie yes\n".encode())
        assert (await reader.read()).strip() == b""
        writer.close()


@pytest.mark.haproxy
async def test_a_rule_before_the_pins_holds_the_first_step_and_is_told_with_its_count() -> None:
    proxy = haproxy(Lying)
    assert isinstance(proxy, Lying)
    async with opened(proxy) as here:
        await proxy.lie()
        await both_ready(here)
        found = await held(here)
        assert found["code"] == "wrong_cell"
        assert "storefront-green called blue of accounts" in found["reason"]
        assert "through edge/lb1, and its pin is green" in found["reason"]
        pins = (await unit(here))["pins"]["accounts<storefront-green"]
        assert pins == {"want": "green", "observed": "green", "boot": "green"}
        assert (await unit(here))["share_bp"] == 0
        (cell,) = [one for one in await matrix(here) if one["right"] is False]
        assert (cell["caller"], cell["colour"]) == ("storefront-green", "blue")
        assert "wrong of" in (await lbctl(here, "status", UNIT)).out


@pytest.mark.haproxy
async def test_a_rule_before_the_pins_takes_a_release_back_in_mid_step() -> None:
    proxy = haproxy(Lying)
    assert isinstance(proxy, Lying)
    async with opened(proxy, SLOW_STEP) as here:
        await both_ready(here)
        await until(partial(_is, here, "observed_share_bp", 1_000))
        await proxy.lie()
        await until(partial(_is, here, "phase", "rolled_back"))
        events = (await here.control.get("/v1/events?after=0&limit=500"))["events"]
        (told,) = [event for event in events if event["kind"] == "rollback.started"]
        assert told["data"]["code"] == "wrong_cell"
        assert told["data"]["moves_sessions"]
        assert (await unit(here))["pins"]["accounts<storefront-green"]["observed"] == "green"


async def _is(here: ShopStage, key: str, value: object) -> bool:
    return bool((await unit(here))[key] == value)
