"""The stage of the story: accounts (3 + 3 servers) and storefront (7 + 7), which alone calls accounts, as one unit.

Users reach storefront; every storefront server calls accounts through the load balancer at its own pool's address, for
its users and, idle or not, by itself.
"""

from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import indent

from lbctl.demo import ground
from lbctl.demo.control import Control
from lbctl.demo.ground import Daemon, chosen, directory_of, running
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import DRAIN
from lbctl.demo.toypool import ToyPool
from lbctl.demo.upstream import Dependency, Outcome

ACCOUNTS, STOREFRONT, UNIT = "accounts", "storefront", "shop"
SIZES = {ACCOUNTS: 3, STOREFRONT: 7}
COLOURS = ("blue", "green")
BACKGROUND_S = 0.2
PLAN = """steps: [5%, 25%, 50%, 100%]
hold: {min: 2s, max: 5m, then: ask}
bake: 2s
retain: 0s
"""


@dataclass(slots=True)
class Calls:
    """What became of storefront's calls of accounts, of the pools that are and of those that were."""

    users: Counter[str] = field(default_factory=Counter)
    background: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)

    @property
    def mismatched(self) -> int:
        """Calls that were answered by a version the caller cannot speak with."""
        return self.users[Outcome.MISMATCH] + self.background[Outcome.MISMATCH]

    async def add(self, pool: ToyPool) -> None:
        """Add what a pool has counted."""
        for counts in (await pool.stats()).servers.values():
            self.users.update(counts.calls.users)
            self.background.update(counts.calls.background)
            self.troubles += counts.calls.troubles


class Shop:
    """The toy pools by service and colour. `deploy` is what a team does to its idle pool."""

    def __init__(self, listeners: dict[str, int]) -> None:
        self._listeners = listeners
        self._gone = Calls()
        self._retired: set[tuple[str, str]] = set()
        self.pools: dict[tuple[str, str], ToyPool] = {}

    async def deploy(self, service: str, colour: str, version: str, speaks: Collection[str] = ()) -> None:
        """Stop what runs in that pool, and start `version` on the same ports.

        `speaks`: the major versions of accounts that this storefront can speak with.
        """
        old = self.pools.get((service, colour))
        if old is not None and (service, colour) not in self._retired:
            await self._gone.add(old)
            await old.stop()
        self._retired.discard((service, colour))
        calls = None if service == ACCOUNTS else self._dependency(colour, speaks)
        ports = () if old is None else old.ports
        pool = await ToyPool.start(colour, version, servers=SIZES[service], ports=ports, calls=calls)
        self.pools[service, colour] = pool

    async def retire(self, service: str, colour: str) -> None:
        """Stop what runs in that pool: nothing listens there any more."""
        pool = self.pools[service, colour]
        await self._gone.add(pool)
        await pool.stop()
        self._retired.add((service, colour))

    def _dependency(self, colour: str, speaks: Collection[str]) -> Dependency:
        port = self._listeners[colour]
        return Dependency(host="127.0.0.1", port=port, speaks=frozenset(speaks), background_s=BACKGROUND_S)

    async def calls(self) -> Calls:
        """Everything that storefront servers have called so far."""
        gone = self._gone
        found = Calls(Counter(gone.users), Counter(gone.background), list(gone.troubles))
        for (service, colour), pool in self.pools.items():
            if service == STOREFRONT and (service, colour) not in self._retired:
                await found.add(pool)
        return found

    async def stop(self) -> None:
        """End every pool."""
        for where, pool in self.pools.items():
            if where not in self._retired:
                await pool.stop()


@dataclass(frozen=True, slots=True)
class ShopStage:
    """Everything that runs while the story plays. `port`: where users come in."""

    directory: Path
    config: Path
    proxy: Proxy
    port: int
    shop: Shop
    control: Control
    daemon: Daemon


@asynccontextmanager
async def shop_stage(
    keep: Path | None,
    proxy: Proxy | None = None,
    plan: str = PLAN,
    *,
    alerts: str = "[]",
    more: str = "",
    drain: str = DRAIN,
    each: str = "",
) -> AsyncIterator[ShopStage]:
    """Set the stage up, with accounts 1.4.0 and storefront 5.0.0 in both pools; leave no process.

    `plan` is the unit's release policy, as YAML lines; `more` are further sections of the config, `each` further keys
    of both services; `drain`: when an old pool counts as unused, as YAML.

    Raises:
        StageError: no load balancer is installed, or something did not start.
    """
    proxy = chosen(proxy)
    async with AsyncExitStack() as stack:
        directory = directory_of(stack, keep)
        listeners = {colour: free_port() for colour in COLOURS}
        ports = {service: free_port() for service in SIZES}
        shop = Shop(listeners)
        stack.push_async_callback(shop.stop)
        for colour in COLOURS:
            await shop.deploy(ACCOUNTS, colour, "1.4.0")
            await shop.deploy(STOREFRONT, colour, "5.0.0", speaks={"1"})
        text = configured(directory, proxy, shop, ports, listeners, plan, alerts, drain, each) + more
        daemon, control = await stack.enter_async_context(running(directory, proxy, text))
        yield ShopStage(directory, directory / "lbctl.yaml", proxy, ports[STOREFRONT], shop, control, daemon)


def configured(
    directory: Path,
    proxy: Proxy,
    shop: Shop,
    ports: dict[str, int],
    listeners: dict[str, int],
    plan: str,
    alerts: str,
    drain: str,
    each: str = "",
) -> str:
    """Return the config of the story."""
    caller = ", ".join(["pin: listener", *(f"{colour}: 127.0.0.1:{port}" for colour, port in listeners.items())])
    consumers = {ACCOUNTS: f"    consumers: {{{STOREFRONT}: {{{caller}}}}}\n", STOREFRONT: ""}
    keys = indent(each, "    ")
    services = "".join(_service(name, proxy, shop, ports[name], drain) + keys + consumers[name] for name in SIZES)
    return f"""# The configuration of the demo: users → storefront → accounts, released as one unit, all on this host.
{ground.head(directory, proxy.plane(directory), alerts)}{services}units:
  {UNIT}:
    services: [{ACCOUNTS}, {STOREFRONT}]
    rendezvous: contract
{indent(plan, "    ")}"""


def _service(name: str, proxy: Proxy, shop: Shop, port: int, drain: str) -> str:
    return f"""  {name}:
    data_plane: edge
    {proxy.binding(name)}
    listen: 127.0.0.1:{port}
    pools:
      blue: {ground.servers(shop.pools[name, "blue"].servers)}
      green: {ground.servers(shop.pools[name, "green"].servers)}
    health: {{http: /healthz, interval: 500ms, timeout: 400ms, rise: 2, fall: 2}}
    drain: {drain}
"""
