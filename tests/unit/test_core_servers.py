"""`server.changed`: few words about many servers, and none about what is as people expect."""

from collections.abc import Iterable
from dataclasses import replace

from lbctl.core import machine
from lbctl.core.state import Note, State, Tick
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, Generation, InstanceName, PlaneName, ServerName, ServiceName
from lbctl.model.reading import (
    Health,
    InstanceReading,
    Observed,
    PoolReading,
    ServerReading,
    ServiceReading,
    Unreadable,
)
from lbctl.model.record import Adopted, Claimed, Pool, PoolState, Record
from lbctl.model.route import Route
from lbctl.model.topology import Address, Driver, HealthCheck, Instance, Plane, Probe, Server, Service, Topology
from lbctl.model.topology import Pool as Servers
from lbctl.model.units import Instant

EDGE = PlaneName("edge")
LB = InstanceName("edge/lb1")


def service(name: str, servers: int) -> Service:
    pools = {
        colour: Servers(
            colour,
            tuple(Server(ServerName(f"{name}-{colour}-{n}"), Address("192.0.2.1", 80)) for n in range(servers)),
        )
        for colour in Colour
    }
    return Service(
        name=ServiceName(name),
        plane=EDGE,
        blue=pools[Colour.BLUE],
        green=pools[Colour.GREEN],
        health=HealthCheck(kind=Probe.HTTP),
    )


def started(*services: Service, record: Record | None = None) -> State:
    plane = Plane(name=EDGE, driver=Driver.HAPROXY, instances=(Instance(name=LB, directory="/nowhere"),))
    return machine.start(record or Record(), Topology({EDGE: plane}, {one.name: one for one in services}), Instant(0))


def reading(name: str, *, usable: bool) -> InstanceReading:
    server = ServerReading(usable, usable, 100, 0, 0, 0, 0)
    pools = {colour: PoolReading({ServerName(f"{name}-{colour}-0"): server}, 0, 0, 0) for colour in Colour}
    life = Generation("1@0")
    return InstanceReading(Instant(0), life, {ServiceName(name): ServiceReading({life: Route(0)}, Route(0), pools)})


class Watched:
    """A core that is only shown health, one tick a second; `reading` is what the load balancer says."""

    def __init__(self, *services: Service, record: Record | None = None) -> None:
        self.state = started(*services, record=record)
        self.reading: InstanceReading | Unreadable = Unreadable(Instant(0), "not of interest here")
        self.now = 0
        self.up: dict[tuple[ServiceName, ServerName], bool | None] = {
            (one.name, server.name): True for one in services for c in Colour for server in one.pool(c).servers
        }

    def run(self, seconds: int) -> list[Entry]:
        """Let time pass; returns what is told of servers."""
        told: list[Entry] = []
        for _ in range(seconds):
            self.now += 1_000
            health = {key: Health(up, Instant(0), "" if up else "refused") for key, up in self.up.items()}
            seen = Observed({LB: self.reading}, health)
            self.state, effects = machine.step(self.state, Tick(Instant(self.now), seen))
            notes = (effect.entries for effect in effects if isinstance(effect, Note))
            told += [entry for entries in notes for entry in entries if entry.kind is Kind.SERVER_CHANGED]
        return told

    def turn(self, keys: Iterable[tuple[ServiceName, ServerName]], *, up: bool | None) -> None:
        """Change what the prober says of some servers."""
        self.up |= dict.fromkeys(keys, up)


def test_nothing_is_told_of_servers_that_are_up_and_stay_so() -> None:
    watched = Watched(service("shop", 3))
    watched.turn(watched.up, up=None)
    assert watched.run(5) == []
    watched.turn(watched.up, up=True)
    assert watched.run(120) == []


def test_a_thousand_servers_that_die_within_seconds_are_one_entry() -> None:
    watched = Watched(service("shop", 500))
    keys = list(watched.up)
    told: list[Entry] = []
    for tenth in range(10):
        watched.turn(keys[tenth * 100 : tenth * 100 + 100], up=False)
        told += watched.run(1)
    told += watched.run(60)
    assert [entry.severity for entry in told] == [Severity.WARNING]
    assert "and 995 more; now 0 of 500 blue and 0 of 500 green servers are up" in told[0].text
    assert len(told[0].text) < 400
    assert told[0].data == {"to_up": 0, "to_down": 1_000, "to_unknown": 0, "blue_up": 0, "green_up": 0}


def test_an_outage_of_many_services_is_one_entry_for_all() -> None:
    watched = Watched(*(service(f"s{number:02}", 5) for number in range(20)))
    watched.turn(watched.up, up=False)
    told = watched.run(60)
    assert [(entry.service, entry.data["to_down"]) for entry in told] == [(None, 200)]
    assert "servers of 20 services changed: 200 down" in told[0].text


def test_a_server_that_flaps_for_an_hour_is_told_a_few_times() -> None:
    watched = Watched(service("shop", 2))
    flapping = [next(iter(watched.up))]
    told = []
    for _ in range(180):
        watched.turn(flapping, up=False)
        told += watched.run(10)
        watched.turn(flapping, up=True)
        told += watched.run(10)
    assert 1 <= len(told) <= 3
    told = watched.run(700)
    assert len(told) <= 1
    watched.turn([list(watched.up)[1]], up=False)
    assert [entry.data["to_down"] for entry in watched.run(5)] == [1]


def test_a_server_that_only_a_load_balancer_knew_to_be_down_is_not_up_because_nobody_can_ask() -> None:
    watched = Watched(replace(service("shop", 1), health=None))
    watched.reading = reading("shop", usable=False)
    assert [entry.data["to_down"] for entry in watched.run(10)] == [2]
    watched.reading = Unreadable(Instant(0), "no answer")
    assert watched.run(120) == []
    watched.reading = reading("shop", usable=True)
    assert [entry.data["to_up"] for entry in watched.run(20)] == [2]


def test_a_change_is_told_within_a_few_seconds_also_of_the_pool_that_has_no_traffic() -> None:
    shop, green = ServiceName("shop"), ServerName("shop-green-0")
    adopted = Adopted(active=Colour.BLUE, blue=Pool(state=PoolState.ACTIVE), green=Pool(state=PoolState.IDLE))
    watched = Watched(service("shop", 2), record=Record(services={shop: adopted}))
    watched.turn([(shop, green)], up=False)
    assert [entry.data["to_down"] for entry in watched.run(5)] == [1]
    watched.turn([(shop, green)], up=True)
    assert [entry.data["to_up"] for entry in watched.run(8)] == [1]


def test_servers_that_are_restarted_by_a_deploy_are_no_news() -> None:
    shop, green = ServiceName("shop"), ServerName("shop-green-0")
    adopted = Adopted(active=Colour.BLUE, blue=Pool(state=PoolState.ACTIVE), green=Pool(state=PoolState.IDLE))
    claim = Claimed(colour=Colour.GREEN, by="ci", since=Instant(0))
    watched = Watched(service("shop", 2), record=Record(services={shop: adopted}, claims={shop: claim}))
    watched.turn([(shop, green)], up=False)
    assert watched.run(25) == []
    watched.turn([(shop, green)], up=True)
    assert watched.run(60) == []
    watched.turn([(shop, green)], up=False)
    assert [entry.data["to_down"] for entry in watched.run(40)] == [1], "but one that stays down is"


def test_changes_of_five_services_are_told_one_by_one_each_with_its_own_servers() -> None:
    few, many = (Watched(*(service(f"s{number}", 1) for number in range(count))) for count in (5, 6))
    for watched in (few, many):
        watched.turn(watched.up, up=False)
    assert [(entry.service, entry.data["to_down"]) for entry in few.run(10)] == [(f"s{n}", 2) for n in range(5)]
    assert [(entry.service, entry.data["to_down"]) for entry in many.run(10)] == [(None, 12)]


def test_a_failure_is_a_warning_where_a_pool_with_traffic_has_it_among_whatever_else_fails() -> None:
    def told(number: int, *colours: Colour) -> list[Severity]:
        names = [ServiceName(f"s{one}") for one in range(number)]
        adopted = Adopted(active=Colour.BLUE, blue=Pool(state=PoolState.ACTIVE), green=Pool(state=PoolState.IDLE))
        watched = Watched(*(service(one, 2) for one in names), record=Record(services=dict.fromkeys(names, adopted)))
        watched.turn([(names[0], ServerName(f"s0-{colour}-0")) for colour in colours], up=False)
        watched.turn([(one, ServerName(f"{one}-green-1")) for one in names[1:]], up=False)
        return [entry.severity for entry in watched.run(10)]

    assert told(1, Colour.BLUE, Colour.GREEN) == [Severity.WARNING]
    assert told(1, Colour.GREEN) == [Severity.INFO]
    assert told(6, Colour.BLUE) == [Severity.WARNING]
    assert told(6, Colour.GREEN) == [Severity.INFO]


def test_what_left_the_config_is_forgotten() -> None:
    watched = Watched(service("shop", 2), service("pay", 2))
    watched.turn(watched.up, up=False)
    assert len(watched.run(10)) == 2
    watched.state = machine.step(
        watched.state, machine.Configured(Instant(watched.now), started(service("shop", 2)).topology)
    )[0]
    assert watched.run(60) == []
    assert {name for name, _ in watched.state.servers} == {"shop"}
