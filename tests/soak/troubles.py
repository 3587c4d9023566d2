"""What happens to a release while the soak runs: one trouble each, in turn, at a random moment."""

import asyncio
import os
import random
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from lbctl.demo.proxy import OwnHaproxy
from lbctl.demo.stage import SERVICE, Stage
from tests.integration.chat_services import SlackApi, hangs


@dataclass(slots=True)
class Scene:
    """Who is on stage. `candidate` is the pool that the release goes to."""

    here: Stage
    chat: SlackApi
    chance: random.Random
    candidate: str = "green"


Trouble = Callable[[Scene], Awaitable[None]]


async def nothing(_: Scene) -> None:
    """A release as it should be."""


async def reload(scene: Scene) -> None:
    """Config management reloads the load balancer, twice."""
    proxy = scene.here.proxy
    assert isinstance(proxy, OwnHaproxy)
    for _ in range(2):
        assert proxy.pid is not None, "HAProxy ended"
        os.kill(proxy.pid, signal.SIGUSR2)
        await asyncio.sleep(scene.chance.uniform(0.5, 2))


async def kill(scene: Scene) -> None:
    """lbctld is killed and comes again."""
    await scene.here.daemon.stop(signal.SIGKILL)
    await asyncio.sleep(scene.chance.uniform(0.05, 0.3))
    await scene.here.daemon.start()
    await scene.here.control.wait_up(20)


async def freeze(scene: Scene) -> None:
    """lbctld does not run for a while."""
    pid = _pid(scene)
    os.kill(pid, signal.SIGSTOP)
    try:
        await asyncio.sleep(scene.chance.uniform(0.1, 3))
    finally:
        os.kill(pid, signal.SIGCONT)


async def dead_chat(scene: Scene) -> None:
    """Nobody answers in the chat during this release."""
    scene.chat.plans = [hangs] * 40


async def hand(scene: Scene) -> None:
    """Somebody sets a share by hand, in the running load balancer only."""
    file = scene.here.directory / "maps" / "state.map"
    route = f"{scene.chance.choice((0, 300, 9_900, 10_000))}:10000:10000"
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(scene.here.directory / "haproxy.sock"))
        admin.sendall(f"set map {file} {SERVICE} {route}\n".encode())
        admin.recv(100)


async def bad_candidate(scene: Scene) -> None:
    """The new version answers with errors only."""
    await scene.here.pools[scene.candidate].fault(error_ratio=1.0)


async def cold_feet(scene: Scene) -> None:
    """A person takes it back."""
    await scene.here.control.post(f"/v1/releases/{SERVICE}/rollback", {"reason": "soak"})


async def config_reload(scene: Scene) -> None:
    """lbctld takes its config anew, with another bake each time."""
    before = scene.here.config.read_text()
    after = before.replace("bake: 500ms", "bake: 600ms") if "bake: 500ms" in before else None
    scene.here.config.write_text(after or before.replace("bake: 600ms", "bake: 500ms"))
    os.kill(_pid(scene), signal.SIGHUP)


def _pid(scene: Scene) -> int:
    pid = scene.here.daemon.pid
    assert pid is not None, "lbctld ended"
    return pid


EVERYWHERE: tuple[Trouble, ...] = (nothing, freeze, dead_chat, bad_candidate, cold_feet, config_reload)
ON_HAPROXY: tuple[Trouble, ...] = (reload, hand)
