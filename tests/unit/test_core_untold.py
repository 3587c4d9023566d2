"""Whatever is not told in whatever phase (a load balancer that cannot be read or does not know a service, a prober or
kernel that says nothing, a service that left the config), no rule falls over it and nobody gets more traffic by it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from lbctl.core import machine
from lbctl.core.state import Configured, Tick
from lbctl.model.names import Colour, Generation, InstanceName, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, Observed, ServiceReading, Unreadable
from lbctl.model.record import Drained
from lbctl.model.request import DrainServer
from lbctl.model.topology import SessionPolicy
from lbctl.model.units import MINUTE, Instant
from tests.asking import PHASES, at
from tests.shop import LB1, A, B, Shop

TICKS = 3
Alter = Callable[[Observed], Observed]


def lb1(change: Callable[[InstanceReading], InstanceReading | Unreadable | None]) -> Alter:
    """What is read of the first load balancer instead; None: it was never read."""

    def alter(seen: Observed) -> Observed:
        reading = seen.instances[LB1]
        assert isinstance(reading, InstanceReading)
        found: dict[InstanceName, InstanceReading | Unreadable] = {**seen.instances}
        instead = change(reading)
        if instead is None:
            del found[LB1]
        else:
            found[LB1] = instead
        return replace(seen, instances=found)

    return alter


def without(*names: ServiceName) -> Alter:
    return lb1(
        lambda reading: replace(
            reading, services={one: seen for one, seen in reading.services.items() if one not in names}
        )
    )


def services(change: Callable[[ServiceReading], ServiceReading]) -> Alter:
    return lb1(lambda reading: replace(reading, services={one: change(seen) for one, seen in reading.services.items()}))


UNTOLD: dict[str, Alter] = {
    "a load balancer cannot be read": lb1(lambda reading: Unreadable(reading.taken_at, "it went away")),
    "a load balancer was never read": lb1(lambda reading: None),
    "it does not know storefront": without(B),
    "it does not know accounts": without(A),
    "it knows nothing": without(A, B),
    "it was just started": lb1(lambda reading: replace(reading, generation=Generation("9@9"))),
    "nobody knows what it does after a reload": services(lambda seen: replace(seen, boot=None)),
    "it does not know a server": services(
        lambda seen: replace(seen, pools={colour: replace(pool, servers={}) for colour, pool in seen.pools.items()})
    ),
    "no server was asked": lambda seen: replace(seen, health={}),
    "no version was asked": lambda seen: replace(seen, attested={}),
    "the kernel was not asked": lambda seen: replace(seen, census={}),
    "the token is gone": lambda seen: replace(seen, tokens={}),
    "the checker is suspect": lambda seen: replace(seen, checker_suspect={A: "late", B: "late"}),
}


def goes_on(shop: Shop) -> None:
    """Let it go on for a while; whatever is unknown raises nothing."""
    before = {name: one.share_bp for name, one in shop.state.record.releases.items()}
    shop.run(TICKS)
    after = {name: one.share_bp for name, one in shop.state.record.releases.items()}
    assert all(after[name] <= before[name] for name in before)


@pytest.mark.parametrize("what", UNTOLD)
def test_no_rule_of_a_release_falls_over_what_is_not_told(what: str) -> None:
    for phase in PHASES:
        shop = at("both", phase)
        shop.alter = UNTOLD[what]
        if what in {"no version was asked", "the kernel was not asked"}:
            shop.run(TICKS)
        else:
            goes_on(shop)


@cache
def with_everything() -> Shop:
    """At rest: a pool that is claimed, servers that are drained, sessions that are left and move."""
    shop = Shop(users=1)
    shop.ask_versions()
    policy = SessionPolicy(per_second=5, deadline=MINUTE)
    assert shop.switch(B, A, version=2).accepted
    shop.until("finished")
    services = {name: replace(one, sessions=policy) for name, one in shop.state.topology.services.items()}
    shop._take(replace(shop.state.topology, services=services))
    for number in range(2):
        order = DrainServer(
            id=800 + number,
            actor="ann",
            service=B,
            colour=Colour.GREEN,
            server=ServerName(f"s-green-{number}"),
            on=True,
        )
        assert shop.ask(order).accepted
    assert shop.claim(B).accepted
    return shop


@pytest.mark.parametrize("what", UNTOLD)
def test_nothing_at_rest_falls_over_what_is_not_told(what: str) -> None:
    shop = with_everything().fork()
    shop.alter = UNTOLD[what]
    shop.run(TICKS)
    adopted = shop.state.record.services[B]
    ended = {name: replace(one, ends=True) for name, one in adopted.drained.items()}
    other = Drained(colour=Colour.BLUE, by="ann", since=Instant(0), ends=True)
    record = shop.state.record.with_service(B, replace(adopted, drained={**ended, ServerName("s-blue-9"): other}))
    shop.state = replace(shop.state, record=record, durable=record)
    shop.run(TICKS)


@pytest.mark.parametrize("gone", [(A,), (B,), (A, B)])
def test_a_service_that_left_the_config_is_left_as_it_is(gone: tuple[ServiceName, ...]) -> None:
    for shop in (with_everything().fork(), *(at("both", phase) for phase in PHASES)):
        topology = shop.state.topology
        left = {
            name: replace(one, consumers={who: how for who, how in one.consumers.items() if who not in gone})
            for name, one in topology.services.items()
            if name not in gone
        }
        units = {
            name: replace(unit, services=tuple(one for one in unit.services if one not in gone))
            for name, unit in topology.units.items()
        }
        before = {name: shop.state.record.services[name].active for name in gone}
        units = {name: unit for name, unit in units.items() if unit.services}
        state, _ = machine.step(shop.state, Configured(shop.now, replace(topology, services=left, units=units)))
        for tick in range(1, TICKS):
            state, _ = machine.step(state, Tick(Instant(shop.now + 100 * tick), shop.state.observed))
        assert {name: state.record.services[name].active for name in gone} == before


def test_a_restart_in_whatever_phase_begins_with_nothing_known() -> None:
    for phase in PHASES:
        shop = at("both", phase)
        shop.crash()
        shop.alter = UNTOLD["a load balancer was never read"]
        goes_on(shop)
