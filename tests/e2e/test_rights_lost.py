"""lbctld as an unprivileged user loses a right in mid-release: held, told by code, and on it goes when it is back."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import adopted, crowd, ended, envoy, events, haproxy, reached, release, status, until

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users"),
    pytest.mark.skipif(shutil.which("setpriv") is None, reason="no setpriv: apt-get install util-linux"),
]

UID, GROUP = 40_011, 40_012
BRISK_S = 2
BRISK = f"""steps: [10%, 100%]
hold: {{min: {BRISK_S}s, max: 5m, then: ask}}
bake: 500ms
retain: 0s
"""
Change = Callable[[Stage], None]


@asynccontextmanager
async def unprivileged(proxy: Proxy) -> AsyncIterator[Stage]:
    """An adopted stage whose lbctld is nobody in particular, but in the group of the load balancer.

    It may read everything, because the interpreter may lie in somebody's home; for the rest modes and groups count.
    """
    async with adopted(proxy, BRISK) as here:
        await here.daemon.stop()
        if proxy.lbctl_starts_it:
            await proxy.end(here.directory)
        for one in (here.directory, *here.directory.rglob("*")):
            os.lchown(one, UID, UID)
        for one in sockets(here):
            os.chown(one, 0, GROUP)
            one.chmod(0o660)
        reads = [f"--{what}-caps=+dac_read_search" for what in ("inh", "ambient")]
        await here.daemon.start(through=["setpriv", f"--reuid={UID}", f"--regid={UID}", f"--groups={GROUP}", *reads])
        await here.control.wait_up(20)
        yield here


def sockets(here: Stage) -> list[Path]:
    """HAProxy's own and its master's."""
    return [*here.directory.glob("haproxy.sock"), *here.directory.glob("master.sock")]


def closed(here: Stage) -> None:
    """Nobody may open HAProxy's sockets."""
    for one in sockets(here):
        one.chmod(0)


def opened(here: Stage) -> None:
    """As it was."""
    for one in sockets(here):
        one.chmod(0o660)


def left_the_group(here: Stage) -> None:
    """The sockets are another group's, as after a change of HAProxy's config."""
    for one in sockets(here):
        os.chown(one, 0, 0)


def joined_the_group(here: Stage) -> None:
    """As it was."""
    for one in sockets(here):
        os.chown(one, 0, GROUP)


def unwritable(here: Stage) -> None:
    """The files that a load balancer starts with are somebody else's."""
    for one in folders(here):
        os.chown(one, 0, 0)


def writable(here: Stage) -> None:
    """As it was."""
    for one in folders(here):
        os.chown(one, UID, UID)


def folders(here: Stage) -> list[Path]:
    """Where boot values lie."""
    return [*here.directory.glob("maps"), *here.directory.glob("envoy/rds")]


@pytest.mark.parametrize(
    ("proxy", "lose", "give_back", "code", "says"),
    [
        pytest.param(
            haproxy, closed, opened, "instance.lost", "no right to open it", id="sockets", marks=pytest.mark.haproxy
        ),
        pytest.param(
            haproxy, unwritable, writable, "operation.failed", "Permission denied", id="maps",
            marks=[pytest.mark.haproxy, pytest.mark.long],
        ),
        pytest.param(
            haproxy, left_the_group, joined_the_group, "instance.lost", "run lbctld in that group", id="group",
            marks=[pytest.mark.haproxy, pytest.mark.long],
        ),
        pytest.param(
            envoy, unwritable, writable, "operation.failed", "Permission denied", id="rds",
            marks=[pytest.mark.envoy, pytest.mark.long],
        ),
    ],
)  # fmt: skip
async def test_a_right_that_is_lost_in_mid_release_holds_it_and_it_goes_on_when_it_is_given_back(
    proxy: Callable[[], Proxy], lose: Change, give_back: Change, code: str, says: str
) -> None:
    async with unprivileged(proxy()) as here, await crowd(here, rate=100) as users:
        await release(here)
        await reached(here, 1_000)
        lose(here)

        async def told() -> bool:
            why = [line["what"] for line in (await here.control.get(f"/v1/why/{SERVICE}"))["lines"]]
            page = [one["text"] for one in await events(here) if one["kind"] == code]
            return any(says in text for text in why) and any(says in text for text in page)

        await until(told, 30, 0.2)
        before = await status(here)
        await asyncio.sleep(BRISK_S + 1)
        now = await status(here)
        assert (now["phase"], now["share_bp"], now["release"]) == ("shifting", before["share_bp"], before["release"])
        give_back(here)
        assert (await ended(here, 60))["phase"] == "finished"
        assert (await users.stop()).failed_requests == 0
