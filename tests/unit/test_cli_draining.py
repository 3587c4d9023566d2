"""`lbctl drain --wait` says "nobody is there" only when every load balancer was asked, after it read back the order."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from lbctl.cli.commands import draining
from lbctl.cli.failure import Exit
from lbctl.daemon.retired_view import holders
from lbctl.daemon.server_views import server_views
from lbctl.model.names import Colour, InstanceName, ServerName
from lbctl.model.reading import Holder, InstanceReading, Observed, Unreadable
from lbctl.model.request import DrainServer, Maintenance
from lbctl.model.units import Span
from tests.shop import LB1, LB2, TICK_MS, B, Shop

WEB = ServerName("s-blue-0")
PLACE = (str(B), "blue", str(WEB))
QUIET_S, TIMEOUT_S = 1.0, 20.0


@dataclass
class Desk:
    """The daemon and its clock: time passes in the world while the command waits."""

    shop: Shop

    def get(self, path: str, service: str) -> dict[str, Any]:
        del path
        state = self.shop.state
        pools = {colour.value: {"holders": holders(state, B, colour)} for colour in Colour}
        return {"services": {service: {"servers": server_views(state, state.topology.services[B]), "pools": pools}}}

    def monotonic(self) -> float:
        return self.shop.now / 1000

    def sleep(self, seconds: float) -> None:
        self.shop.run(int(seconds * 1000 / TICK_MS))


def drain(shop: Shop, *, on: bool = True) -> None:
    wanted = DrainServer(id=next(shop._ids), actor="ann", service=B, colour=Colour.BLUE, server=WEB, on=on)
    assert shop.ask(wanted).accepted


def waited(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> tuple[Exit, str]:
    """What `--wait` ends with, and the last that it told."""
    told: list[str] = []
    monkeypatch.setattr(draining, "time", Desk(shop))
    monkeypatch.setattr(draining, "tell", told.append)
    return draining._watch(Desk(shop), PLACE, QUIET_S, TIMEOUT_S), ["", *told][-1]  # type: ignore[arg-type]


def in_flight(shop: Shop, name: InstanceName, count: int) -> None:
    shop.balancers[name].pools[B, Colour.BLUE].servers[WEB].in_flight = count


def stalled(*names: InstanceName) -> Any:
    def alter(seen: Observed) -> Observed:
        away: dict[InstanceName, InstanceReading | Unreadable] = {
            name: Unreadable(next(iter(seen.health.values())).since, "stalled") for name in names
        }
        return replace(seen, instances={**seen.instances, **away})

    return alter


@pytest.mark.parametrize("away", [(LB1, LB2), (LB2,)], ids=["all", "one"])
def test_who_cannot_be_read_is_waited_for(away: tuple[InstanceName, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(users=0)
    drain(shop)
    in_flight(shop, LB2, 3)
    shop.run(5)
    shop.alter = stalled(*away)
    ended, told = waited(shop, monkeypatch)
    assert ended is Exit.TIMED_OUT
    assert told == f"the time is over: {WEB} stays drained; {away[0]} has not been read since"


def test_what_is_in_flight_is_waited_for_and_then_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(users=0)
    drain(shop)
    in_flight(shop, LB2, 3)
    assert waited(shop, monkeypatch) == (
        Exit.TIMED_OUT,
        f"the time is over: {WEB} stays drained; 3 in flight",
    )
    in_flight(shop, LB2, 0)
    assert waited(shop, monkeypatch)[0] is Exit.DONE


def test_who_is_there_for_long_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(users=0)
    drain(shop)
    in_flight(shop, LB1, 2)
    there = (Holder(WEB, Span(40_000), "10.0.0.9:4711"), Holder(ServerName("s-blue-1"), Span(50_000), "10.0.0.8:1"))

    def alter(seen: Observed) -> Observed:
        one = seen.instances[LB1]
        assert isinstance(one, InstanceReading)
        service = one.services[B]
        pools = {**service.pools, Colour.BLUE: replace(service.pools[Colour.BLUE], holders=there)}
        named = replace(one, services={**one.services, B: replace(service, pools=pools)})
        return replace(seen, instances={**seen.instances, LB1: named})

    shop.alter = alter
    assert waited(shop, monkeypatch) == (
        Exit.TIMED_OUT,
        f"  holder   10.0.0.9:4711 at {WEB} for 40s ({LB1})",
    )


def test_in_maintenance_nobody_was_told_so_nobody_says_that_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(users=0)
    assert shop.ask(Maintenance(id=next(shop._ids), actor="ann", service=None, on=True)).accepted
    drain(shop)
    ended, told = waited(shop, monkeypatch)
    assert ended is Exit.TIMED_OUT
    assert told.endswith("maintenance is on: load balancers are told nothing; lbctl maintenance off")


def test_old_workers_that_nobody_sees_may_have_work_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(users=0)
    drain(shop)
    unseen = "OLD_WORKERS_UNSEEN: it was reloaded, and old workers may still route; set `master_socket`"

    def alter(seen: Observed) -> Observed:
        one = seen.instances[LB1]
        assert isinstance(one, InstanceReading)
        return replace(seen, instances={**seen.instances, LB1: replace(one, warnings=(unseen,))})

    shop.alter = alter
    ended, told = waited(shop, monkeypatch)
    assert ended is Exit.TIMED_OUT
    assert told.endswith(f"{LB1}: {unseen}")
    assert server_views(shop.state, shop.state.topology.services[B])[WEB]["in_flight"] is None


def test_a_server_that_somebody_lets_be_ready_meanwhile_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Shop(users=0)
    drain(shop)
    shop.run(5)
    drain(shop, on=False)
    ended, told = waited(shop, monkeypatch)
    assert (ended, told) == (Exit.REFUSED, f"{WEB} is not drained any more: somebody lets it be ready again")
