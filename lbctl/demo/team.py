"""What each team's pipeline does: claim the idle pool, deploy to it, say ready. Over the control socket, as CI does."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from lbctl.demo.control import Json, RefusedError
from lbctl.demo.shop import UNIT, ShopStage

PATIENCE_S = 60.0
READ_AGAIN_S = 1.1
"""So long lbctl's newest reading of a load balancer at rest may be older than a deployment."""
KEPT = "sessions_kept"
"""The refusal of a pool that still honours sessions of the release before: a pipeline waits for them."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of one service. `provides` and `requires` are its contract; `speaks` what it can really speak with."""

    number: str
    provides: tuple[str, ...] = ()
    requires: tuple[str, ...] = ()
    speaks: Collection[str] = ()

    @property
    def contract(self) -> Json:
        """The contract as the control socket takes it."""
        return {"provides": list(self.provides), "requires": list(self.requires)}


def accounts(number: str, *apis: int) -> Version:
    """A version of accounts; it provides the api of its major version unless others are named."""
    offered = apis or (int(number.partition(".")[0]),)
    return Version(number, provides=tuple(f"accounts-api={api}" for api in offered))


def storefront(number: str, api: int) -> Version:
    """A version of storefront that speaks with one major version of accounts."""
    return Version(number, requires=(f"accounts-api>={api},<{api + 1}",), speaks=(str(api),))


@dataclass(frozen=True, slots=True)
class Team:
    """The pipeline of one service."""

    here: ShopStage
    service: str

    async def adopt(self, active: str, version: Version) -> None:
        """Say what runs, once the load balancer is read."""
        async with asyncio.timeout(PATIENCE_S):
            while not all(one["reachable"] for one in (await self._status())["instances"].values()):
                await asyncio.sleep(0.05)
        body = {"active": active, "version": version.number, "reason": "demo", **version.contract}
        await self.here.control.post(f"/v1/services/{self.service}/adopt", body)

    async def claim(self) -> str:
        """Return the colour that may be deployed to, once nothing reaches it and no session is kept there."""
        async with asyncio.timeout(PATIENCE_S):
            while not (answer := await self._claimed())["granted"]:
                await asyncio.sleep(0.1)
        return str(answer["colour"])

    async def _claimed(self) -> Json:
        try:
            return await self.here.control.post(f"/v1/services/{self.service}/claim", {"reason": "demo"})
        except RefusedError as refused:
            if refused.code != KEPT:
                raise
            return {"granted": False}

    async def ready(self, version: Version) -> str:
        """Say that a version is deployed; returns its build."""
        build = f"https://ci.test/{self.service}/{version.number}"
        body = {"unit": UNIT, "version": version.number, "build": build, **version.contract}
        await self.here.control.post(f"/v1/services/{self.service}/ready", body)
        return build

    async def bring(self, version: Version) -> str:
        """Claim, deploy, say ready; returns the build."""
        colour = await self.claim()
        await self.here.shop.deploy(self.service, colour, version.number, version.speaks)
        await self._up(colour)
        return await self.ready(version)

    async def _up(self, colour: str) -> None:
        """Wait until every server of a pool is up as lbctl sees it. A load balancer that saw them stop for long has
        nobody to give the other team's calls to until its own checks have passed again."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(READ_AGAIN_S)
            while not all(one["up"] for one in (await self._status())["servers"].values() if one["pool"] == colour):
                await asyncio.sleep(0.1)

    async def _status(self) -> Json:
        return await self.here.control.service(self.service)
