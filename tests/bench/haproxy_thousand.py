"""A thousand servers behind one real HAProxy: the CPU of reading them, and the time of changing all their weights.

Run `python -m tests.bench.haproxy_thousand`; it takes about 20 s. Reading is what the driver does several times a
second; it is measured with all figures as they were, and with every server's figures changed since.
"""

import asyncio
import csv
import operator
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from lbctl.config.load import load
from lbctl.dataplane.haproxy.client import ask
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.dataplane.haproxy.firstfiles import write_maps
from lbctl.dataplane.haproxy.render import render
from lbctl.dataplane.haproxy.statistics import WANTED, Servers, Table
from lbctl.dataplane.haproxy.workers import batches
from lbctl.demo.ground import head
from lbctl.demo.ports import free_port
from lbctl.demo.proxy import OwnHaproxy
from lbctl.model.names import Colour, ServiceName
from lbctl.model.operation import Place, SetRoute, Status
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from lbctl.model.units import Instant
from tests.bench.rows import Row, told
from tests.e2e.scene import until
from tests.proc import cpu_s

EACH = 500
ROUNDS = 40
FLIPS = 10
WEIGHTS_ROUNDS = 20
READ_GOAL_MS, READ_GOAL_RATIO = 3.0, 0.43
"""3 ms where the standard library's reader of CSV takes 7: the ratio travels, the milliseconds are this machine's."""
WRITE_GOAL_MS = 20.0
GLOBAL = """global
    stats socket {directory}/haproxy.sock mode 600 level admin
defaults
    timeout connect 2s
    timeout client 30s
    timeout server 30s
"""


def clock() -> Instant:
    return Instant(int(time.monotonic() * 1_000))


def configured(directory: Path, proxy: OwnHaproxy, each: int) -> str:
    """One service with two pools of so many servers, none of which is ever asked."""
    pools = "".join(
        f"      {colour}: {{{', '.join(f'{colour}-{n}: 127.{net}.{n // 250}.{n % 250 + 1}:9' for n in range(each))}}}\n"
        for net, colour in ((8, "blue"), (9, "green"))
    )
    return f"""{head(directory, proxy.plane(directory))}  shop:
    data_plane: edge
    {proxy.binding("shop")}
    listen: 127.0.0.1:{free_port()}
    pools:
{pools}"""


@asynccontextmanager
async def crowded(form: HaproxyForm, each: int = EACH) -> AsyncIterator[tuple[Path, HaproxyInstance]]:
    """An HAProxy with two pools of so many servers, and lbctl's driver for it."""
    with tempfile.TemporaryDirectory(prefix="lbctl-bench-") as name:
        directory = Path(name)
        proxy = OwnHaproxy("haproxy", form)
        config = directory / "lbctl.yaml"
        config.write_text(configured(directory, proxy, each))
        topology = load(config, uid=os.getuid(), environ=os.environ).topology
        instance, services = topology.planes["edge"].instances[0], list(topology.services.values())  # type: ignore[index]
        write_maps(instance, services, dict.fromkeys(topology.services, Colour.BLUE))
        text = GLOBAL.format(directory=directory) + render(instance, services, None)
        (directory / "haproxy.cfg").write_text(text)
        await proxy.launch(directory)
        try:
            driver = HaproxyInstance(instance, services, clock)
            await until(lambda: answers(driver), 15)
            yield directory, driver
            await driver.close()
        finally:
            await proxy.end(directory)


async def answers(driver: HaproxyInstance) -> bool:
    """Whether it can be read already."""
    try:
        await driver.observe()
    except Exception:  # noqa: BLE001
        return False
    return True


def cpu_ms(*works: Callable[[], object]) -> list[float]:
    """Median of the CPU of pieces of work, in turn, so that a noisy neighbour meets all of them."""
    costs: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for work, seen in zip(works, costs, strict=True):
            began = time.process_time()
            work()
            seen.append((time.process_time() - began) * 1_000)
    return [statistics.median(seen) for seen in costs]


def changed(lines: Sequence[str], by: int) -> list[str]:
    """The same answer after every server had `by` sessions more."""
    names = lines[0][2:].split(",")
    place = names.index("stot")
    found = [lines[0]]
    for line in lines[1:]:
        fields = line.split(",")
        fields[place] = str(int(fields[place] or 0) + by)
        found.append(",".join(fields))
    return found


async def reading() -> list[Row]:
    """CPU of an answer about a thousand servers, from lines to readings; and of the driver's whole look."""
    async with crowded(HaproxyForm.WEIGHTS) as (directory, driver):
        (lines,) = await ask(str(directory / "haproxy.sock"), ["show stat shop_servers 6 -1"], 5)
        assert len(lines) > 2 * EACH
        servers, others = Servers(), Servers()

        def still() -> None:
            servers.reading("x", Table("shop_servers", lines), ())

        still()
        versions = [changed(lines, by) for by in range(ROUNDS)]

        def busy() -> None:
            others.reading("x", Table("shop_servers", versions.pop()), ())

        def by_csv() -> None:
            header, *rows = csv.reader(lines)
            take = operator.itemgetter(*(header.index(name) for name in WANTED))
            {row[1]: take(row) for row in rows if len(row) == len(header)}

        rest, work, reader = cpu_ms(still, busy, by_csv)
        whole = await looks_ms(driver)
    size = f"{sum(len(line) + 1 for line in lines) / 1_000:.0f} KB"
    what = "CPU of `show stat` of 1,000 servers"
    return [
        Row("stat", f"{what} against csv.reader in one run", rest / reader, "x", READ_GOAL_RATIO, seen=size),
        Row("stat_ms", f"{what}, none changed", rest, "ms", seen=f"{READ_GOAL_MS:g} ms on a quiet machine"),
        Row("stat_busy_ms", f"{what}, every one changed since", work, "ms"),
        Row("look", "CPU of the driver's whole look at them: sockets, map, states, files", whole, "ms"),
    ]


async def looks_ms(driver: HaproxyInstance) -> float:
    costs = []
    for _ in range(ROUNDS):
        began = time.process_time()
        await driver.observe()
        costs.append((time.process_time() - began) * 1_000)
    return statistics.median(costs)


async def writing() -> list[Row]:
    """What a thousand weights cost, and a whole share made of them: raised, read back, lowered, read back."""
    async with crowded(HaproxyForm.WEIGHTS) as (directory, driver):
        pids = await processes(directory)
        weights_ms = await cost_ms(pids, [lambda n=n: weights(directory, n) for n in range(WEIGHTS_ROUNDS)])
        orders = [order(number) for number in range(FLIPS)]
        began = time.perf_counter()
        share_ms = await cost_ms(pids, [lambda one=one: done(driver, one) for one in orders])
        wall_ms = (time.perf_counter() - began) * 1_000 / FLIPS
    cpu = "CPU of lbctl and HAProxy together"
    return [
        Row("weights", f"1,000 weights set: {cpu}", weights_ms, "ms", WRITE_GOAL_MS),
        Row("share", f"a share of 1,000 servers, read back twice: {cpu}", share_ms, "ms", seen=f"{wall_ms:.0f} ms"),
    ]


def order(number: int) -> SetRoute:
    """All traffic to the one pool, to the other, and so on."""
    route = Route(0 if number % 2 else 10_000)
    return SetRoute(service=ServiceName("shop"), place=Place.RUNTIME, route=route, fence=number + 1)


async def done(driver: HaproxyInstance, one: SetRoute) -> None:
    result = await driver.apply(one)
    assert result.status is Status.DONE, result


async def weights(directory: Path, number: int) -> None:
    """Every weight, other than before, as the driver sends them."""
    names = [f"{colour}-{n}" for colour in ("blue", "green") for n in range(EACH)]
    for batch in batches([f"set server shop_servers/{name} weight {1 + number % 2}" for name in names]):
        said = await ask(str(directory / "haproxy.sock"), batch, 5)
        assert not any(said), said


async def processes(directory: Path) -> list[int]:
    """HAProxy's master and its worker."""
    (lines,) = await ask(str(directory / "master.sock"), ["show proc"], 5)
    return [int(line.split()[0]) for line in lines if line[:1].isdigit()]


async def cost_ms(pids: Sequence[int], works: Sequence[Callable[[], Awaitable[None]]]) -> float:
    """CPU of one piece of work, ours and that of the processes."""
    before = sum(map(cpu_s, pids)) + time.process_time()
    for work in works:
        await work()
    return (sum(map(cpu_s, pids)) + time.process_time() - before) * 1_000 / len(works)


async def main() -> int:
    """Measure and print."""
    return told("haproxy_thousand", [*await reading(), *await writing()])


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
