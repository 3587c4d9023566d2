"""What the demo stands on: a directory, toy pools, a config, a load balancer and a daemon, all ended with it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent

from lbctl.demo import ground
from lbctl.demo.control import Control
from lbctl.demo.ground import Daemon, chosen, directory_of, running
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import Proxy
from lbctl.demo.toypool import ToyPool

SERVICE = "shop"
SERVERS = 3
PLAN = """steps: [5%, 25%, 50%, 100%]
hold: {min: 2s, max: 5m, then: ask}
bake: 2s
retain: 0s
"""
DRAIN = "{quiet: 2s, idle: 2s, limit: 1s}"
"""Nobody waits for a proof that an old pool is unused."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything that runs while the demo plays."""

    directory: Path
    config: Path
    proxy: Proxy
    port: int
    pools: dict[str, ToyPool]
    control: Control
    daemon: Daemon


@asynccontextmanager
async def stage(
    keep: Path | None,
    proxy: Proxy | None = None,
    plan: str = PLAN,
    *,
    state_dir: Path | None = None,
    alerts: str = "[]",
    servers: int = SERVERS,
    drain: str = DRAIN,
) -> AsyncIterator[Stage]:
    """Set the stage up; leave no process, and no file unless `keep` names a directory for them.

    `proxy` None: the best one installed. `plan` is the service's release policy, as YAML lines. `state_dir` None: in
    the stage's own directory. `alerts` is the config's list, as YAML. `servers`: how many each pool has. `drain`: when
    an old pool counts as unused, as YAML.

    Raises:
        StageError: no load balancer is installed, or something did not start.
    """
    proxy = chosen(proxy)
    async with AsyncExitStack() as stack:
        directory = directory_of(stack, keep)
        pools = {
            "blue": await stack.enter_async_context(await ToyPool.start("blue", "1.0.0", servers=servers)),
            "green": await stack.enter_async_context(await ToyPool.start("green", "2.0.0", servers=servers)),
        }
        port = free_port()
        text = configured(directory, proxy, port, pools, plan, state_dir=state_dir, alerts=alerts, drain=drain)
        daemon, control = await stack.enter_async_context(running(directory, proxy, text))
        yield Stage(directory, directory / "lbctl.yaml", proxy, port, pools, control, daemon)


def configured(
    directory: Path,
    proxy: Proxy,
    port: int,
    pools: dict[str, ToyPool],
    plan: str = PLAN,
    *,
    state_dir: Path | None = None,
    alerts: str = "[]",
    drain: str = DRAIN,
) -> str:
    """Return the config of a stage."""
    return f"""# The configuration of the demo: one service, two pools, one load balancer, all on this host.
{ground.head(directory, proxy.plane(directory), alerts, state_dir)}  {SERVICE}:
    data_plane: edge
    {proxy.binding(SERVICE)}
    listen: 127.0.0.1:{port}
    pools:
      blue: {ground.servers(pools["blue"].servers)}
      green: {ground.servers(pools["green"].servers)}
    health: {{http: /healthz, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}}
    drain: {drain}
{indent(plan, "    ")}"""
