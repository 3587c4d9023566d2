"""Two services behind one HAProxy, both in release, while the HAProxy is reloaded under them."""

import asyncio
import os
import re
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage
from lbctl.demo.users import Users
from tests.e2e.scene import SLOW_STEP, adopted, events, haproxy, until

pytestmark = pytest.mark.haproxy

OTHER = "pay"
BOTH = (SERVICE, OTHER)

Json = dict[str, Any]


class Shared(OwnHaproxy):
    """An HAProxy with a second service, which has the same servers under another address."""

    other_port = 0

    async def begin(self, directory: Path, config: Path) -> None:
        """Put the second service into the config, then start."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.other_port = probe.getsockname()[1]
        text = config.read_text()
        block = text[text.index(f"  {SERVICE}:") :].replace(SERVICE, OTHER)
        config.write_text(text + re.sub(r"listen: 127.0.0.1:\d+", f"listen: 127.0.0.1:{self.other_port}", block))
        await super().begin(directory, config)


@asynccontextmanager
async def both_at_half(proxy: Shared) -> AsyncIterator[Stage]:
    """A stage on which both services are at 50 % of a release each."""
    async with adopted(proxy, SLOW_STEP) as here:
        await here.control.post(f"/v1/services/{OTHER}/adopt", {"active": "blue", "version": "1", "reason": "test"})
        for service in BOTH:
            await here.control.post("/v1/releases", {"service": service, "version": "next", "reason": "test"})
        for share_bp in (1_000, 5_000):
            for service in BOTH:
                await reached(here, service, share_bp)
                if share_bp < 5_000:
                    await here.control.post(f"/v1/releases/{service}/promote", {"reason": "test"})
        yield here


async def reached(here: Stage, service: str, share_bp: int) -> None:
    """Wait until a step is recorded as reached."""

    async def recorded() -> bool:
        steps = [e for e in await events(here) if e["service"] == service and e["kind"] == "step.reached"]
        return bool(steps) and steps[-1]["data"]["share_bp"] == share_bp

    await until(recorded)


def workers(master: int) -> set[str]:
    return set(Path(f"/proc/{master}/task/{master}/children").read_text().split())


async def reload(here: Stage, proxy: OwnHaproxy, shares_before: Path | None = None) -> None:
    """Reload, and wait until both services are read from a new worker, at the value of the record. With other shares in
    the map file lbctld is stopped until the new worker has read them: it would put them right before."""
    before = (await here.control.service(SERVICE))["instances"]["edge/lb1"]["generation"]
    assert proxy.pid is not None
    known, daemon = workers(proxy.pid), here.daemon.pid
    assert daemon is not None
    if shares_before is not None:
        os.kill(daemon, signal.SIGSTOP)
        shares_before.rename(shares_before.with_name("state.map"))
    os.kill(proxy.pid, signal.SIGUSR2)
    async with asyncio.timeout(20):
        while not workers(proxy.pid) - known:
            await asyncio.sleep(0.02)
    os.kill(daemon, signal.SIGCONT)

    async def settled() -> bool:
        for service in BOTH:
            status = await here.control.service(service)
            one = status["instances"]["edge/lb1"]
            right = one["routes"] == [one["boot"]] and one["boot"].startswith(f"{status['share_bp']}:")
            if one["generation"] == before or not right or status["held"] is not None:
                return False
        return True

    await until(settled, 10)


async def shares(here: Stage) -> dict[str, tuple[str, int, int]]:
    """Phase, target and observed share of both services."""
    seen = {service: await here.control.service(service) for service in BOTH}
    return {name: (one["phase"], one["share_bp"], one["observed_share_bp"]) for name, one in seen.items()}


async def test_a_reload_with_older_shares_rebases_both_releases_and_nobody_is_taken_for_a_hand() -> None:
    proxy = haproxy(Shared)
    assert isinstance(proxy, Shared)
    async with (
        both_at_half(proxy) as here,
        await Users.start("127.0.0.1", here.port, rate=100, visitors=0.7) as one,
        await Users.start("127.0.0.1", proxy.other_port, rate=100, visitors=0.7) as other,
    ):
        await reload(here, proxy)
        assert await shares(here) == dict.fromkeys(BOTH, ("shifting", 5_000, 5_000))
        fresh = here.directory / "maps" / "state.new"
        fresh.write_text("".join(f"{service} 1000:10000:10000\n" for service in BOTH))
        await reload(here, proxy, fresh)
        assert await shares(here) == dict.fromkeys(BOTH, ("shifting", 1_000, 1_000))
        told = [event for event in await events(here) if event["kind"] == "drift.found"]
        assert {(event["service"], event["severity"]) for event in told} == {(name, "warning") for name in BOTH}
        for service in BOTH:
            await here.control.post(f"/v1/releases/{service}/promote", {"reason": "climb again"})
            await reached(here, service, 5_000)
        for users in (one, other):
            assert (await users.stop()).failed_requests == 0
