"""The kernel's count is a gate of the proof: who goes around the load balancers keeps a pool in use, and is named."""

from dataclasses import replace

from lbctl.core.claims import claim_granted, lacking
from lbctl.core.emptiness import emptiness
from lbctl.daemon.preview import plan_view
from lbctl.daemon.rest_view import rest_lines
from lbctl.daemon.retired_view import retired_view
from lbctl.doctor.balancers import of_config
from lbctl.model.census import Census, Connections, Program, Strangers
from lbctl.model.certificate import Certificate
from lbctl.model.names import Colour, Generation
from lbctl.model.reading import InstanceReading, Observed
from lbctl.model.request import Claim, GiveBack
from lbctl.model.sharedservers import shared_servers
from lbctl.model.topology import Plan
from lbctl.model.units import MINUTE, Instant
from tests.shop import LB1, TOPOLOGY, A, B, Shop

BLUE = (B, Colour.BLUE)
CURL = Program(process="curl", pid=12, uid=0, count=3)


def retiring(**counted: object) -> Shop:
    """Both went over, and this is what the kernel counts at the old storefront."""
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    see(shop, **counted)
    assert shop.switch(B, *(name for name in TOPOLOGY.services if name != B), version=2).accepted
    shop.until("draining")
    shop.run(40)
    return shop


def see(shop: Shop, **counted: object) -> None:
    """Let the kernel say this of the old storefront from now on."""
    servers = {one.address: Connections(established=5) for one in TOPOLOGY.services[B].blue.servers}

    def alter(seen: Observed) -> Observed:
        given = {"taken_at": shop.now, "servers": servers, "strangers": Strangers(), **counted}
        return replace(seen, census={**seen.census, BLUE: Census(**given)})  # type: ignore[arg-type]

    shop.alter = alter


def certificate(shop: Shop) -> Certificate | None:
    return shop.state.record.services[B].blue.certificate


def waits(shop: Shop) -> str:
    return emptiness(shop.state, *BLUE, shop.now).waits


def test_idle_connections_of_load_balancers_are_no_use_of_a_pool() -> None:
    found = certificate(retiring())
    assert found is not None
    assert (found.confidence.value, found.unseen) == ("full", ())
    assert found.census == "35 connections of this host to its servers, of load balancers, with nothing in flight"


def test_a_program_that_goes_around_the_load_balancers_keeps_the_pool_in_use_by_name() -> None:
    shop = retiring(strangers=Strangers(programs=(CURL,)))
    assert certificate(shop) is None
    past = "blue of storefront is connected to past its load balancers, as this host's kernel counts: "
    assert waits(shop) == f"{past}curl (pid 12) has 3 connections"
    see(shop)
    shop.run(20)
    assert certificate(shop) is not None


def test_what_was_counted_before_it_became_quiet_counts_for_nothing() -> None:
    shop = retiring(taken_at=Instant(0))
    assert certificate(shop) is None
    assert waits(shop) == "this host's connections to blue of storefront are to be counted again"


def test_what_the_kernel_does_not_tell_makes_it_partial_and_is_said() -> None:
    for counted, said in (
        ({"servers": {}, "cannot": "NO_NETLINK: no"}, "this host's connections could not be counted: NO_NETLINK: no"),
        ({"strangers": Strangers(cannot="SLOW: no")}, "whose this host's connections are could not be told: SLOW: no"),
        (
            {"strangers": Strangers(unnamed=4)},
            "4 of this host's connections are taken for its load balancers', whose processes nobody may look into",
        ),
    ):
        found = certificate(retiring(**counted))
        assert found is not None
        assert (found.confidence.value, found.unseen) == ("partial", (said,))


def unproven(**counted: object) -> Shop:
    """Both went over, somebody stayed connected, and the release ended without a certificate of the old storefront."""
    shop = retiring(**counted)
    shop.drain(300, 100)
    shop.until("finished")
    return shop


def test_a_person_who_knows_the_program_claims_the_pool_all_the_same_and_is_told_how() -> None:
    shop = unproven(strangers=Strangers(programs=(CURL,)))
    held = Claim(id=900, actor="ci", service=B, build="b/9")
    assert shop.ask(held).accepted
    shop.run(20)
    assert not claim_granted(shop.state, B)
    claimed = shop.state.record.claims[B]
    assert "curl (pid 12) has 3 connections" in lacking(shop.state, B, claimed)
    assert "lbctl claim storefront --take-over" in lacking(shop.state, B, claimed)
    assert shop.ask(replace(held, id=901, actor="ann", take_over=True)).accepted
    shop.run(40)
    assert claim_granted(shop.state, B)
    told = next(one.text for one in shop.told if one.actor == "ann")
    assert "curl (pid 12) has 3 connections: that is taken for no use of it" in told


def test_an_unproven_pool_says_what_it_waits_for_and_the_way_on() -> None:
    shop = unproven(strangers=Strangers(programs=(CURL,)))
    (line,) = [one for one in rest_lines(shop.state, [B], shop.now) if "not proved" in one["what"]]
    assert "curl (pid 12)" in line["what"]
    assert "lbctl claim storefront" in line["needs"]


def test_a_claim_that_was_never_granted_and_is_given_back_ends_no_certification() -> None:
    shop = unproven(strangers=Strangers(programs=(CURL,)))
    assert shop.ask(Claim(id=900, actor="ci", service=B, build="b/9")).accepted
    shop.run(5)
    assert shop.ask(GiveBack(id=901, actor="ci", service=B, build="b/9")).accepted
    see(shop)
    shop.run(40)
    assert shop.release is not None
    view = retired_view(shop.state, shop.release, B, shop.now)
    assert (view["certified"], view["final"]) == (True, False)


def test_a_program_that_the_config_knows_keeps_nothing_in_use_and_stands_in_the_certificate() -> None:
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    known = {
        name: replace(one, drain=replace(one.drain, known=("curl",)))
        for name, one in shop.state.topology.services.items()
    }
    shop._take(replace(shop.state.topology, services=known))
    see(shop, strangers=Strangers(programs=(CURL,)))
    assert shop.switch(B, *(name for name in TOPOLOGY.services if name != B), version=2).accepted
    shop.until("draining")
    shop.run(40)
    found = certificate(shop)
    assert found is not None
    assert found.census.endswith("but curl (pid 12) has 3 connections, which the config knows (`drain.known`)")


def test_a_program_of_which_only_the_user_may_be_known_is_known_by_that() -> None:
    """lbctl without rights, as its package runs it, cannot look into the processes of other users."""
    nameless = Program(process="", pid=None, uid=113, count=1)
    shop = retiring(strangers=Strangers(programs=(nameless,)))
    assert certificate(shop) is None
    assert "a program of uid 113 has a connection" in waits(shop)
    known = {
        name: replace(one, drain=replace(one.drain, known=("uid:113",)))
        for name, one in shop.state.topology.services.items()
    }
    shop._take(replace(shop.state.topology, services=known))
    shop.run(10)
    found = certificate(shop)
    assert found is not None
    assert found.census.endswith("but a program of uid 113 has a connection, which the config knows (`drain.known`)")


def test_a_count_that_was_not_taken_again_for_long_is_no_witness() -> None:
    """The pool was quiet long before `retain` ended, and was counted when it became so: who connected since is not in
    that."""
    shop = retiring(strangers=Strangers(programs=(CURL,)))
    see(shop, taken_at=shop.now)
    shop.now = Instant(shop.now + 10 * MINUTE)
    shop.run(1)
    assert "nobody may connect to blue of storefront past its load balancers for another" in waits(shop)
    shop.run(5)
    assert (certificate(shop), waits(shop)) == (
        None,
        "this host's connections to blue of storefront are to be counted again",
    )
    see(shop)
    shop.run(2)
    assert certificate(shop) is not None


def test_an_old_worker_that_does_not_tell_what_it_has_keeps_the_pool_in_use() -> None:
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    shop.alter = untold
    assert shop.switch(B, *(name for name in TOPOLOGY.services if name != B), version=2).accepted
    shop.until("draining")
    shop.run(40)
    assert certificate(shop) is None
    assert waits(shop) == "7@0 of edge/lb1 does not tell who uses blue of storefront"
    shop.alter = lambda seen: seen
    shop.run(10)
    assert certificate(shop) is not None


def untold(seen: Observed) -> Observed:
    found = seen.instances[LB1]
    assert isinstance(found, InstanceReading)
    service = found.services[B]
    blue = replace(service.pools[Colour.BLUE], untold=(Generation("7@0"),))
    changed = replace(service, pools={**service.pools, Colour.BLUE: blue})
    instances = {**seen.instances, LB1: replace(found, services={**found.services, B: changed})}
    return replace(seen, instances=instances)


def test_a_pool_with_servers_in_another_backend_has_a_partial_certificate_and_the_others_a_full_one() -> None:
    told = "SERVERS_ELSEWHERE: blue of storefront has servers in admin, too: what comes that way is not counted"
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    shop.alter = lambda seen: warning(seen, told)
    assert shop.switch(B, *(name for name in TOPOLOGY.services if name != B), version=2).accepted
    shop.until("retiring")
    shop.stop(*BLUE)
    shop.until("finished")
    found = certificate(shop)
    assert found is not None
    assert (found.confidence.value, found.unseen) == ("partial", (f"edge/lb1: {told}",))
    other = next(one.blue.certificate for name, one in shop.state.record.services.items() if name != B)
    assert other is not None
    assert other.confidence.value == "full"


def test_a_pool_with_servers_in_another_service_has_a_partial_certificate_and_a_plan_that_says_so() -> None:
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    services = dict(shop.state.topology.services)
    first, *others = services[A].green.servers
    borrowed = replace(first, address=services[B].blue.servers[0].address)
    services[A] = replace(services[A], green=replace(services[A].green, servers=(borrowed, *others)))
    shop._take(replace(shop.state.topology, services=services))
    words = "blue of storefront has servers in green of accounts, too: what comes that way is not counted"
    assert [*shared_servers(shop.state.topology, B)] == [f"SERVERS_ELSEWHERE: {words}"]
    assert not [*shared_servers(TOPOLOGY, B)]
    told = plan_view(shop.state, services[B], None, Plan(), "2", {})["warnings"]
    assert [one["text"] for one in told if one["code"] == "SERVERS_ELSEWHERE"] == [words]
    assert {(one.code, one.where) for one in of_config(shop.state.topology)} == {
        ("SERVERS_ELSEWHERE", A),
        ("SERVERS_ELSEWHERE", B),
    }
    assert shop.switch(B, A, version=2).accepted
    shop.until("retiring")
    shop.stop(*BLUE)
    shop.until("finished")
    found = certificate(shop)
    assert found is not None
    assert (found.confidence.value, found.unseen) == ("partial", (f"SERVERS_ELSEWHERE: {words}",))
    accounts = shop.state.record.services[A].blue.certificate
    assert accounts is not None
    assert not accounts.unseen


def warning(seen: Observed, text: str) -> Observed:
    found = seen.instances[LB1]
    assert isinstance(found, InstanceReading)
    return replace(seen, instances={**seen.instances, LB1: replace(found, warnings=(text,))})
