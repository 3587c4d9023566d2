"""`lbctl demo`: two teams, two services, one release, on a real load balancer, in a minute and a half.

Users reach storefront, storefront alone calls accounts. A breaking accounts waits for the storefront that speaks it;
both go over as one, step by step, and the old ones are stopped when they are proved unused; then a second pair goes,
whose accounts fails at 25 %, and comes back by itself.
"""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lbctl.demo.afterwards import next_lines
from lbctl.demo.play import PHASE_S, Log, certified, ended, perform, phase_is, settled, share_is
from lbctl.demo.proxy import Proxy
from lbctl.demo.screen import Screen, story_table
from lbctl.demo.shop import ACCOUNTS, STOREFRONT, UNIT, Calls, ShopStage, shop_stage
from lbctl.demo.tally import Report
from lbctl.demo.team import Team, accounts, storefront
from lbctl.demo.users import Users

RATE = 300
SESSIONS = 40
WEBSOCKETS = 6
TRANSACTIONS = 6
TRANSACTION_MS = 10_000
FAULT_AT_BP = 2_500
PARKED_S = 2.0
DRAIN = "{quiet: 1s, idle: 1s, limit: 1m}"


@dataclass(slots=True)
class TwoServices:
    """What happened to both services."""

    proxy: Proxy
    log: Log = field(default_factory=Log)
    releases: list[dict[str, Any]] = field(default_factory=list)
    waited_for: str = ""
    parked_requests: int = 0
    rollback_ms: float = 0.0
    certificates: dict[str, Any] = field(default_factory=dict)
    sessions_broken: int = 0
    stays: Report | None = None
    users: Report | None = None
    calls: Calls = field(default_factory=Calls)

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        assert self.users is not None
        assert self.stays is not None
        return {
            "proxy": self.proxy.name,
            "requests": self.users.requests,
            "failed_requests": self.users.failed_requests,
            "failed": self.users.failed,
            "injected_errors_seen": self.users.faults_seen,
            "calls": sum(self.calls.users.values()) + sum(self.calls.background.values()),
            "mismatched_calls": self.calls.mismatched,
            "background_calls_refused": self.calls.background["refused"],
            "sessions_total": SESSIONS,
            "sessions_broken": self.sessions_broken,
            "websockets_cut": self.stays.websockets.cut,
            "transactions_cut": self.stays.slow.cut,
            "waited_for": self.waited_for,
            "requests_of_the_waiting": self.parked_requests,
            "blamed": self.log.blamed,
            "releases": self.releases,
            "rollback_ms": round(self.rollback_ms, 1),
            "steps": self.log.steps,
            "certificates": self.certificates,
        }

    def table(self) -> str:
        """Return the same for people."""
        return story_table(self.document())

    def afterwards(self, directory: Path) -> list[str]:
        """Return what can be done with the kept files."""
        return next_lines(directory, self.proxy, {ACCOUNTS: "green", STOREFRONT: "green"})

    @property
    def good(self) -> bool:
        """Whether the demo showed what it promises."""
        if self.users is None or self.stays is None or self.log.blamed != ACCOUNTS:
            return False
        phases = [release["phase"] for release in self.releases]
        lost = (self.users.failed_requests, self.calls.mismatched, self.sessions_broken, self.parked_requests)
        cut = (self.stays.websockets.cut, self.stays.slow.cut)
        proved = self.certificates.keys() == {ACCOUNTS, STOREFRONT} and not self.releases[0]["outcome"]
        return phases == ["finished", "rolled_back"] and proved and not any(lost) and not any(cut)


def main(*, json_output: bool = False, keep: str | None = None) -> int:
    """Play it; returns the exit code."""
    return perform(_play, json_output=json_output, keep=keep)


async def _play(screen: Screen, directory: Path | None) -> TwoServices:
    async with shop_stage(directory, drain=DRAIN) as here:
        screen.say(f"accounts 1.4.0 (3 + 3 servers) and storefront 5.0.0 (7 + 7) behind a real {here.proxy.name};")
        screen.say("every storefront server calls accounts through it, for its users and, idle or not, by itself")
        teams = Team(here, ACCOUNTS), Team(here, STOREFRONT)
        await _adopt(here, *teams)
        played = TwoServices(here.proxy)
        async with await Users.start("127.0.0.1", here.port, rate=RATE, sessions=SESSIONS) as users:
            screen.say(f"{RATE} requests/s, {SESSIONS} sticky sessions, {WEBSOCKETS} WebSockets, 10 s transactions")
            follower = asyncio.create_task(played.log.follow(here.control, screen))
            try:
                await _both_together(here, screen, users, played, *teams)
                await _back_by_itself(here, screen, played, *teams)
                await asyncio.sleep(0.5)
                played.calls = await here.shop.calls()
            finally:
                follower.cancel()
                await asyncio.wait([follower])
            played.users = await users.stop()
        return played


async def _adopt(here: ShopStage, first: Team, second: Team) -> None:
    await first.adopt("blue", accounts("1.4.0"))
    await second.adopt("blue", storefront("5.0.0", 1))
    for service in (ACCOUNTS, STOREFRONT):
        await settled(here.control, here.port, service)


async def _both_together(
    here: ShopStage, screen: Screen, users: Users, played: TwoServices, first: Team, second: Team
) -> None:
    """A breaking accounts waits; with the storefront that speaks it, both go over as one."""
    # Whoever stays long belongs to the first release: afterwards their pool is deployed to, as their team decides.
    async with await Users.start(
        "127.0.0.1",
        here.port,
        rate=1,
        sessions=1,
        websockets=WEBSOCKETS,
        slow=TRANSACTIONS,
        slow_ms=TRANSACTION_MS,
    ) as stays:
        screen.say("team accounts brings 2.0.0, a breaking change")
        await first.bring(accounts("2.0.0"))
        await asyncio.sleep(PARKED_S)
        played.waited_for = (await here.control.service(ACCOUNTS))["board"]["waits"]
        screen.say(f"accounts 2.0.0 is {played.waited_for}")
        played.parked_requests = await _answered(here, "2.0.0")
        before = await users.snapshot()
        screen.say("team storefront brings 6.0.0, which speaks it")
        await second.bring(storefront("6.0.0", 2))
        release = await _cut(here)
        await phase_is(here.control, screen, STOREFRONT, "draining")
        after = await users.snapshot()
        played.sessions_broken = after.colour_changes - before.colour_changes
        played.stays = await stays.stop()
    await _retired(here, screen, users, played, release)
    played.releases.append(await ended(here.control, screen, STOREFRONT, release))


async def _retired(here: ShopStage, screen: Screen, users: Users, played: TwoServices, release: str) -> None:
    """Each old pool is stopped when it is proved unused: first the old storefront, then the accounts that it called."""
    screen.say("the WebSockets have ended; the old sessions log out: now nobody is on the old storefront any more")
    await users.log_out()
    for service in (STOREFRONT, ACCOUNTS):
        proof = await certified(here.control, release, service)
        played.certificates[service] = proof["certificate"]
        screen.say(f"{proof['colour']} of {service} ({proof['version']}) is certified as unused: its team stops it")
        await here.shop.retire(service, proof["colour"])


async def _back_by_itself(here: ShopStage, screen: Screen, played: TwoServices, first: Team, second: Team) -> None:
    """A second pair, whose accounts fails when it has a quarter of the users."""
    screen.say("both teams bring their next version")
    await second.claim()
    await first.bring(accounts("3.0.0"))
    await second.bring(storefront("7.0.0", 3))
    release = await _cut(here)
    await share_is(here.control, STOREFRONT, FAULT_AT_BP)
    await asyncio.sleep(0.7)
    colour = str((await here.control.service(ACCOUNTS))["candidate"])
    screen.say(f"from now on every answer of {colour} of accounts (3.0.0) is an error")
    broken = await here.shop.pools[ACCOUNTS, colour].fault(error_ratio=1.0)
    await share_is(here.control, STOREFRONT, 0)
    played.rollback_ms = (time.monotonic() - broken) * 1_000
    played.releases.append(await ended(here.control, screen, STOREFRONT, release))


async def _answered(here: ShopStage, version: str) -> int:
    """How many requests a version has got."""
    pools = [pool for pool in here.shop.pools.values() if pool.version == version]
    return sum([(await pool.stats()).user_requests for pool in pools])


async def _cut(here: ShopStage) -> str:
    """Wait until both are in a release; returns its number."""
    async with asyncio.timeout(PHASE_S):
        while True:
            status = (await here.control.get("/v1/status"))["units"][UNIT]
            if set(status["members"]) == {ACCOUNTS, STOREFRONT} and status["release"]:
                return str(status["release"])
            await asyncio.sleep(0.05)
