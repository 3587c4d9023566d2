"""A certificate stands until the kernel names somebody who calls its pool past the load balancers; not for the load
balancers themselves, nor for what has the port of a server that is stopped."""

from dataclasses import replace

from lbctl.cli.screens.retired import retired_screen
from lbctl.core.claims import lacking
from lbctl.core.oldworkers import UNSEEN
from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.retired_view import retired_view
from lbctl.model.census import Program, Strangers
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, Generation
from lbctl.model.reading import InstanceReading, Observed, Unreadable
from lbctl.model.request import Claim
from lbctl.model.units import Instant, seconds
from tests.shop import LB1, LB2, A, B, Shop
from tests.unit.test_core_census import CURL, certificate, see, waits
from tests.unit.test_core_late import came

WORKER = Program(process="haproxy", pid=71, uid=0, count=1, inner=(7,))


def retired() -> Shop:
    """Both went over and are certified; the old storefront is not stopped yet."""
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.stop(B, Colour.BLUE)
    shop.until("finished")
    shop.stopped.clear()
    shop.users = 0
    shop.run(10)
    assert certificate(shop) is not None
    return shop


def void(shop: Shop) -> list[Entry]:
    return [one for one in shop.told if one.kind is Kind.CERTIFICATE_VOID and one.service == B]


def view(shop: Shop) -> dict[str, object]:
    assert shop.release is not None
    return retired_view(shop.state, shop.release, B, shop.now)


def test_who_calls_past_the_load_balancers_after_the_certificate_voids_it_and_is_named() -> None:
    shop = retired()
    assert view(shop)["certified"]
    see(shop, strangers=Strangers(programs=(CURL,)))
    shop.run(2)
    (told,) = void(shop)
    assert told.severity is Severity.PAGE
    assert told.text.startswith(
        "blue of storefront was proved unused and is called past its load balancers: curl (pid 12) has 3 connections, "
        "as this host's kernel counts. Its certificate is void: do not stop it, and stop that program"
    )
    assert "`drain.known`" in told.text
    assert "log says" not in told.text
    assert certificate(shop) is None
    assert "curl (pid 12) has 3 connections" in waits(shop)
    (line,) = rest_lines(shop.state, [B], shop.now)
    assert line["what"].startswith("blue of storefront may be in use: blue of storefront is connected to past its")


def test_it_stays_known_and_the_next_certificate_needs_a_longer_time_without_anybody() -> None:
    shop = retired()
    see(shop, strangers=Strangers(programs=(CURL,)))
    shop.run(2)
    see(shop)
    shop.run(5)
    known = shop.state.record.services[B].blue.voided
    assert known is not None
    assert (known.by, known.named, known.times) == ("a caller past its load balancers", True, 1)
    assert known.quiet >= 10 * 300
    assert f"by a caller past its load balancers ({known.why})" in waits(shop)
    see(shop, strangers=Strangers(programs=(CURL,)))
    shop.run(1)
    left_at = shop.now
    see(shop)
    shop.run(known.quiet // 100 - 2)
    assert certificate(shop) is None, f"{seconds(shop.now - left_at)} after the last connection"
    shop.run(10)
    assert certificate(shop) is not None
    assert "last" in retired_screen(view(shop))
    assert "by a caller past its load balancers" in retired_screen(view(shop))


def test_a_new_worker_that_no_reading_had_yet_is_no_stranger() -> None:
    """The look at the sockets fell between a reload and the next reading."""
    shop = retired()
    see(shop, strangers=Strangers(programs=(WORKER,), looked_at=shop.now))
    looked, looked_at = shop.alter, shop.now

    def before_it_is_read(seen: Observed) -> Observed:
        stale = {name: _taken(one, looked_at) for name, one in seen.instances.items()}
        return replace(looked(seen), instances=stale)

    shop.alter = before_it_is_read
    shop.run(3)
    assert certificate(shop) is not None
    shop.alter = lambda seen: replace(looked(seen), instances={**seen.instances, LB1: _renewed(seen.instances[LB1])})
    shop.run(3)
    assert certificate(shop) is not None
    assert view(shop)["certified"]


def test_a_load_balancer_that_cannot_be_read_is_no_stranger_until_it_is() -> None:
    shop = retired()
    see(shop, strangers=Strangers(programs=(WORKER,)))
    looked = shop.alter
    silent = Unreadable(shop.now, "no answer")
    shop.alter = lambda seen: replace(looked(seen), instances={**seen.instances, LB2: silent})
    shop.run(3)
    assert certificate(shop) is not None
    shop.alter = looked
    shop.run(1)
    assert "haproxy (pid 71) has a connection" in void(shop)[0].text


def test_an_old_worker_that_nobody_sees_is_no_caller_as_long_as_there_may_be_one() -> None:
    """An Envoy was hot-restarted, and lbctl after it: the older one still keeps the connections of its checks."""
    shop = retired()
    see(shop, strangers=Strangers(programs=(WORKER,)))
    looked = shop.alter
    shop.alter = lambda seen: replace(looked(seen), instances={i: _warned(one) for i, one in seen.instances.items()})
    shop.run(3)
    assert certificate(shop) is not None
    see(shop, strangers=Strangers(programs=(WORKER, CURL)))
    looked = shop.alter
    shop.alter = lambda seen: replace(looked(seen), instances={i: _warned(one) for i, one in seen.instances.items()})
    shop.run(1)
    assert "past its load balancers: curl (pid 12) has 3 connections, as" in void(shop)[0].text


def test_whoever_has_got_the_port_of_a_stopped_server_calls_nobody() -> None:
    shop = retired()
    shop.stop(B, Colour.BLUE)
    see(shop, strangers=Strangers(programs=(CURL,)))
    shop.run(3)
    assert certificate(shop) is not None
    shop.stopped.clear()
    shop.run(1)
    assert certificate(shop) is None


def test_what_was_counted_before_the_certificate_says_nothing_about_it() -> None:
    shop = retired()
    see(shop, strangers=Strangers(programs=(CURL,)), taken_at=Instant(0))
    shop.run(3)
    assert certificate(shop) is not None


def test_a_late_request_is_told_as_such_also_where_somebody_is_connected_besides() -> None:
    shop = retired()
    came(shop, 2)
    see(shop, strangers=Strangers(programs=(CURL,)))
    shop.run(1)
    assert "got a late request: 2 came through edge/lb1" in void(shop)[0].text
    assert "curl (pid 12) has 3 connections" in void(shop)[0].text


def test_ci_hears_at_once_that_it_is_called_and_whom_nobody_would_see() -> None:
    shop = retired()
    screen = retired_screen(view(shop))
    assert "  watched  who calls past its load balancers from lbctl's host, last looked for" in screen
    assert screen.endswith("calls from other hosts straight to the servers are in the servers' own logs only")
    see(shop, servers={}, strangers=None, cannot="NO_NETLINK: no")
    shop.run(1)
    screen = retired_screen(view(shop))
    assert "● unused" in screen
    assert "  unseen   nobody watches who calls past its load balancers: this host's connections could not" in screen
    see(shop, strangers=Strangers(programs=(CURL,)))
    observed = shop.alter(shop.state.observed)
    shop.state = replace(shop.state, observed=observed)
    found = view(shop)
    assert not found["certified"]
    assert str(found["waits"]).startswith("its certificate is void: a caller past its load balancers came: curl")


def _taken(reading: InstanceReading | Unreadable, at: Instant) -> InstanceReading:
    assert isinstance(reading, InstanceReading)
    return replace(reading, taken_at=at)


def _warned(reading: InstanceReading | Unreadable) -> InstanceReading:
    assert isinstance(reading, InstanceReading)
    return replace(reading, warnings=(f"{UNSEEN}: it was reloaded",))


def _renewed(reading: InstanceReading | Unreadable) -> InstanceReading:
    """It has been reloaded: a worker that calls itself 7 routes now, as the one before did."""
    assert isinstance(reading, InstanceReading)
    life = Generation("7@1")
    services = {
        name: replace(
            one,
            runtime=dict.fromkeys([life], *one.runtime.values()),
            pools={c: replace(pool, arrived={**pool.arrived, life: 0}) for c, pool in one.pools.items()},
        )
        for name, one in reading.services.items()
    }
    return replace(reading, generation=life, services=services)


def test_a_pool_that_somebody_came_to_after_its_certificate_is_not_handed_out_while_he_is_there() -> None:
    shop = retired()
    see(shop, strangers=Strangers(programs=(CURL,)))
    shop.run(2)
    assert shop.ask(Claim(id=900, actor="ci", service=B)).accepted
    shop.run(20)
    assert not shop.state.record.claims[B].granted
    assert "curl (pid 12) has 3 connections" in lacking(shop.state, B, shop.state.record.claims[B])
    see(shop)
    shop.run(20)
    assert shop.state.record.claims[B].granted
