"""Who is asked for a version, when: the candidates of releases that may still go forward, and nobody else."""

import asyncio
from dataclasses import replace

from lbctl.daemon.versions import AGAIN, AT_ONCE_MAX, SOON, Versions, wanted_of
from lbctl.gate.attest import Question, Said
from lbctl.model.attested import Attested
from lbctl.model.names import ServerName
from lbctl.model.topology import Address, Rendezvous
from lbctl.model.units import Instant
from tests.shop import A, B, Shop

FIRST = (B, ServerName("s-green-0"))


class Servers:
    """Servers that all say `version`, at once, and count the questions."""

    def __init__(self) -> None:
        self.version = "2"
        self.asked: list[Question] = []
        self.most = self.now = 0

    async def ask(self, question: Question) -> Said:
        self.asked.append(question)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0)
        self.now -= 1
        return Said(self.version)


def releasing(phase: str = "preflight") -> Shop:
    shop = Shop()
    shop.ask_versions()
    if phase == "preflight":
        shop.says[ServerName("s-green-0")] = None
    assert shop.switch(B, A, version=2).accepted
    shop.until(phase)
    return shop


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_every_server_of_every_candidate_is_asked_while_the_release_may_go_forward() -> None:
    shop = releasing()
    found = wanted_of(shop.state.topology, shop.state.record)
    assert len(found) == 3 + 7
    assert {one.version for one in found.values()} == {"2"}
    assert all("green" in server for _, server in found)


def test_nobody_is_asked_at_rest_after_the_bake_or_on_the_way_back() -> None:
    shop = releasing("draining")
    assert wanted_of(shop.state.topology, shop.state.record) == {}
    shop.until("finished")
    assert wanted_of(shop.state.topology, shop.state.record) == {}


async def test_an_answer_is_known_at_the_next_look_with_the_time_of_its_question() -> None:
    shop, servers = releasing(), Servers()
    versions = Versions(shop.state.topology, servers.ask, lambda: shop.now)
    assert versions.attested(shop.state.record) == {}
    await settled()
    assert versions.attested(shop.state.record)[FIRST] == Attested("2", "", shop.now)
    assert len(servers.asked) == 10


async def test_servers_are_asked_again_soon_before_traffic_and_seldom_while_all_is_well() -> None:
    shop, servers = releasing("shifting"), Servers()
    versions = Versions(shop.state.topology, servers.ask, lambda: shop.now)
    for passed, asked in ((0, 10), (SOON, 10), (AGAIN, 20)):
        shop.now = Instant(shop.now + passed)
        versions.attested(shop.state.record)
        await settled()
        assert len(servers.asked) == asked
    servers.version = "1"
    shop.now = Instant(shop.now + AGAIN)
    versions.attested(shop.state.record)
    await settled()
    shop.now = Instant(shop.now + SOON)
    versions.attested(shop.state.record)
    await settled()
    assert len(servers.asked) == 40


async def test_a_question_that_hangs_is_not_asked_twice_and_ends_with_the_daemon() -> None:
    shop = releasing()
    asked = 0

    async def hang(_: Question) -> Said:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        raise AssertionError

    versions = Versions(shop.state.topology, hang, lambda: shop.now)
    for _ in range(5):
        shop.now = Instant(shop.now + AGAIN)
        assert versions.attested(shop.state.record) == {}
        await settled()
    assert asked == 10
    await versions.close()


async def test_what_was_said_at_another_address_is_forgotten_with_a_new_config() -> None:
    shop, servers = releasing(), Servers()
    versions = Versions(shop.state.topology, servers.ask, lambda: shop.now)
    versions.attested(shop.state.record)
    await settled()
    service = shop.state.topology.services[B]
    moved = replace(service.green.servers[0], address=Address("127.0.0.9", 9))
    pool = replace(service.green, servers=(moved, *service.green.servers[1:]))
    topology = replace(
        shop.state.topology, services={A: shop.state.topology.services[A], B: replace(service, green=pool)}
    )
    versions.configure(topology)
    assert FIRST not in versions.attested(shop.state.record)
    await settled()
    assert servers.asked[-1].address == Address("127.0.0.9", 9)
    assert FIRST in versions.attested(shop.state.record)


async def test_of_many_servers_only_so_many_are_asked_at_once() -> None:
    shop, servers = releasing(), Servers()
    service = shop.state.topology.services[B]
    many = tuple(replace(service.green.servers[0], name=ServerName(f"s-green-{n}")) for n in range(300))
    services = {A: shop.state.topology.services[A], B: replace(service, green=replace(service.green, servers=many))}
    versions = Versions(replace(shop.state.topology, services=services), servers.ask, lambda: shop.now)
    versions.attested(shop.state.record)
    for _ in range(50):
        await settled()
    assert len(versions.attested(shop.state.record)) == 303
    assert servers.most == AT_ONCE_MAX


def test_servers_of_a_version_on_the_board_are_asked_seldom() -> None:
    shop = Shop()
    shop.reconfigure(rendezvous=Rendezvous.ALL)
    shop.ask_versions()
    shop.deploy(A, 2)
    found = wanted_of(shop.state.topology, shop.state.record)
    assert sorted(server for _, server in found) == ["a-green-0", "a-green-1", "a-green-2"]
    assert all(one.stands for one in found.values())
