"""One server drained by a person: it keeps its sessions, gets nobody new, and the last capacity cannot be taken."""

import asyncio
import signal
from typing import Any

import pytest

from lbctl.demo.control import RefusedError
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import adopted, crowd, proxies_and_forms, status, until

Json = dict[str, Any]


async def drain(here: Stage, server: str, *, on: bool = True) -> Json:
    body = {"pool": "blue", "server": server, "on": on, "reason": "test"}
    found: Json = await here.control.post(f"/v1/services/{SERVICE}/drain", body)
    return found


async def in_use(here: Stage, server: str) -> int:
    """How many user requests a server has got, by its own count."""
    return (await here.pools["blue"].stats()).servers[server].user_requests


@pytest.mark.parametrize("make", proxies_and_forms())
async def test_a_drained_server_gets_nobody_new_and_comes_back_when_it_is_undrained(make: Any) -> None:
    async with adopted(make(), servers=3) as here:
        users = await crowd(here, rate=150, sessions=0, visitors=1.0)
        await until(lambda: _has(here, "blue-1", 10))
        await drain(here, "blue-1")

        async def drained() -> bool:
            return (await status(here))["servers"]["blue-1"]["draining"] is True

        await until(drained, 10)
        before = await in_use(here, "blue-1")
        await asyncio.sleep(0.7)
        assert await in_use(here, "blue-1") == before
        assert (await status(here))["servers"]["blue-1"]["drained"]["state"] == "drain"
        with pytest.raises(RefusedError, match="blue-2 is needed: 1 of 3 servers of blue of shop would be left"):
            await drain(here, "blue-2")
        # It is remembered, and told again after a restart of lbctld.
        await here.daemon.stop(signal.SIGKILL)
        await here.daemon.start()
        await until(lambda: _answers(here))
        assert (await status(here))["servers"]["blue-1"]["drained"]["state"] == "drain"
        await drain(here, "blue-1", on=False)
        await until(lambda: _has(here, "blue-1", before + 10), 10)

        async def forgotten() -> bool:
            return (await status(here))["servers"]["blue-1"]["drained"] is None

        await until(forgotten, 10)
        assert (await users.stop()).failed_requests == 0


async def _has(here: Stage, server: str, count: int) -> bool:
    return await in_use(here, server) >= count


async def _answers(here: Stage) -> bool:
    try:
        return all(one["reachable"] for one in (await status(here))["instances"].values())
    except (OSError, RefusedError):
        return False
