"""Old workers of a load balancer: since when they are old, who keeps them alive, and where nobody can say."""

from dataclasses import replace

import msgspec

from lbctl.cli.screens.blocks import instances
from lbctl.control.answers import OldWorkerView
from lbctl.core.emptiness import unsteered
from lbctl.core.oldworkers import old_since_s
from lbctl.core.state import State
from lbctl.daemon.old_workers_view import old_workers
from lbctl.model.names import Colour, Generation, ServerName
from lbctl.model.reading import Holder, InstanceReading
from lbctl.model.topology import Driver
from lbctl.model.units import MINUTE, SECOND, Span
from tests.shop import LB1, A, B, Shop

OLDEST, OLD, NEW = Generation("7@1700000000"), Generation("8@1700000060"), Generation("9@1700003600")
WEB_SOCKET = Holder(ServerName("s-blue-0"), Span(5 * MINUTE), "10.0.0.7:52000", generation=OLDEST)


def reloaded(*held: Holder) -> tuple[State, InstanceReading]:
    """LB1 was reloaded twice, and A's blue holds work on old workers; B is routed by the new one only."""
    shop = Shop(users=0)
    shop.run(3)
    reading = shop.state.observed.instances[LB1]
    assert isinstance(reading, InstanceReading)
    services = {
        name: replace(one, runtime={NEW: next(iter(one.runtime.values()))}) for name, one in reading.services.items()
    }
    blue = replace(services[A].pools[Colour.BLUE], holders=held)
    services[A] = replace(services[A], pools={**services[A].pools, Colour.BLUE: blue})
    reading = replace(reading, generation=NEW, draining_generations=(OLDEST, OLD), services=services)
    seen = {**shop.state.observed.instances, LB1: reading}
    return shop.state.seeing(replace(shop.state.observed, instances=seen)), reading


def test_an_old_worker_says_since_when_it_is_old_and_who_of_another_service_keeps_it() -> None:
    state, reading = reloaded(WEB_SOCKET, replace(WEB_SOCKET, age=Span(SECOND), client="10.0.0.8:1"))
    first, second = msgspec.convert(old_workers(state, B, LB1, reading), list[OldWorkerView])
    assert first.old_since_wall == "2023-11-14T22:14:20+00:00"
    assert first.text == (
        f"{OLDEST}, old since 22:14:20Z, is kept by 10.0.0.7:52000 at s-blue-0 for 5m (accounts), "
        "10.0.0.8:1 at s-blue-0 for 1s (accounts)"
    )
    assert second.old_since_wall == "2023-11-14T23:13:20+00:00"
    assert (second.kept_by, second.text.partition("Z, ")[2]) == (
        [],
        "still holds work, whose is not known; `@!8 show sess` at its master socket tells whom",
    )
    (why, other) = unsteered(state, B)
    assert why.startswith(f"{OLDEST} of {LB1} routes storefront as its old config says until it ends; it is kept by 10")
    assert other == f"{OLD} of {LB1} routes storefront as its old config says until it ends"


def test_status_shows_them_and_counts_them_where_no_more_is_known() -> None:
    state, reading = reloaded(WEB_SOCKET)
    one = {"reachable": True, "old_generations": 2, "routes": [], "boot": None}
    lines = instances({"instances": {LB1: {**one, "old_workers": old_workers(state, B, LB1, reading)}}})
    assert lines[0].startswith(f"  ◐ {LB1}: old worker {OLDEST}, old since 22:14:20Z, is kept by 10.0.0.7:52000 at ")
    assert instances({"instances": {LB1: one}}) == [f"  ◐ {LB1}: 2 old worker(s) still hold work"]


def test_an_envoy_tells_no_time_and_a_life_that_tells_none_has_none() -> None:
    state, reading = reloaded()
    planes = {name: replace(one, driver=Driver.ENVOY) for name, one in state.topology.planes.items()}
    state = replace(state, topology=replace(state.topology, planes=planes))
    for one in old_workers(state, B, LB1, reading):
        assert (one["old_since_wall"], one["text"]) == ("", f"{one['generation']} still holds work, whose is not known")
    assert old_since_s(reading, Generation("1@?")) is None
    assert old_since_s(replace(reading, draining_generations=(Generation("1@?"),)), Generation("1@?")) is None
