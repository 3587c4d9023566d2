"""Readings, censuses, counters and health at their borders: just fresh enough, just complete, just not too large."""

from dataclasses import replace
from typing import Any

import pytest

from lbctl.core import attestation, connected, counting, emptiness, stopped, witnesses
from lbctl.core.counting import Ledger
from lbctl.core.judge import Counts
from lbctl.core.matrix import Tally
from lbctl.core.matrix_kept import ENTRIES_MAX, plain, recalled
from lbctl.core.readback import read_since, under_way
from lbctl.core.state import Calm, Lane, Sight, State
from lbctl.core.wellness import Wellness, way_open, wellness
from lbctl.model.attested import UNKNOWN, Attested, VersionCheck, VersionIn
from lbctl.model.census import Census, Connections, Program, Strangers
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, Generation, ServerName
from lbctl.model.reading import Admin, Health, Holder, InstanceReading, Observed, PoolReading, ServerReading, Unreadable
from lbctl.model.record import Certificate, Release
from lbctl.model.topology import Probe, Service
from lbctl.model.units import Instant, Span
from tests.shop import LB1, LB2, A, B
from tests.situations import going_on, here, running, state_of

BLUE, GREEN = Colour.BLUE, Colour.GREEN
OLD = (B, BLUE)
CHECK = VersionCheck(path="/version", tls=False, where=VersionIn.TEXT)


def of(state: State, name: Any = LB1) -> InstanceReading:
    reading = state.observed.instances[name]
    assert isinstance(reading, InstanceReading)
    return reading


def observed(state: State, **changes: Any) -> State:
    return replace(state, observed=replace(state.observed, **changes))


def configured(state: State, service: Service) -> State:
    topology = replace(state.topology, services={**state.topology.services, service.name: service})
    return replace(state, topology=topology)


# ---- versions


def versions(**said: str | None) -> dict[ServerName, Attested]:
    """What blue servers said; None: they name none."""
    return {ServerName(name.replace("_", "-")): Attested(one, "404", Instant(1)) for name, one in said.items()}


def contradicted(heard: dict[ServerName, Attested], version: str = "2", check: VersionCheck | None = CHECK) -> str:
    service = replace(state_of("draining").topology.services[B], version=check)
    return attestation.contradicted(service, BLUE, version, heard)


def test_servers_that_say_another_version_are_named_and_counted() -> None:
    assert contradicted(versions(s_blue_0="2", s_blue_1="2")) == ""
    assert contradicted(versions(s_blue_0="1", s_blue_1="2", s_blue_2=None)) == (
        "2 of 7 servers of blue do not say 2: s-blue-0 says 1, s-blue-2 names none (404)"
    )
    three = versions(s_blue_0="1", s_blue_1="1", s_blue_2="1")
    assert contradicted(three).endswith("s-blue-0 says 1, s-blue-1 says 1, s-blue-2 says 1")
    assert contradicted({**three, **versions(s_blue_3="1")}).endswith("s-blue-2 says 1, and 1 more")
    assert contradicted(three, check=None) == ""
    assert contradicted(three, version=UNKNOWN) == ""


def test_a_version_is_compared_only_where_servers_are_asked_and_one_is_named() -> None:
    service = state_of("draining").topology.services[B]
    asked = replace(service, version=CHECK)
    found = [attestation.attests(one, version) for one in (service, asked) for version in ("2", UNKNOWN)]
    assert found == [False, False, True, False]
    attestation.nameless(asked, "2")
    attestation.nameless(service, UNKNOWN)
    with pytest.raises(Refused, match="is none: its servers are asked for theirs"):
        attestation.nameless(asked, UNKNOWN)


def attested(phase: str, *, reached: int | None, asked: int, going: str = "both") -> str:
    """What holds if all servers were last asked so long ago, and the pins were proved so long ago."""
    now = here(phase, going)
    now = replace(now, services={name: replace(one, version=CHECK) for name, one in now.services.items()})
    said = {
        (name, server.name): Attested(now.release.members[name].version, "", Instant(now.at - asked))
        for name, one in now.services.items()
        for server in one.pool(now.release.members[name].to).servers
    }
    now = replace(now, attested=said)
    return attestation.unattested(going_on(now, reached_since=None if reached is None else Instant(now.at - reached)))


def test_an_answer_counts_for_ten_seconds_and_in_preflight_from_the_proof_on() -> None:
    assert attested("shifting", reached=0, asked=10_000) == ""
    assert "s-green-0 was last asked 10s ago" in attested("shifting", reached=0, asked=10_001)
    assert attested("shifting", reached=None, asked=1) == ""
    assert attested("preflight", reached=None, asked=20_000) == ""
    assert attested("preflight", reached=5, asked=5) == ""
    assert attested("preflight", reached=5, asked=6) == (
        "0 of 7 candidate servers of storefront say 2: s-green-0 was not asked yet, s-green-1 was not asked yet, "
        "s-green-2 was not asked yet, and 4 more; 0 of 3 candidate servers of accounts say 2: a-green-0 was not asked "
        "yet, a-green-1 was not asked yet, a-green-2 was not asked yet"
    )
    assert "candidate servers say 2" in attested("preflight", reached=5, asked=6, going="storefront")


# ---- the kernel's census


CURL = Program(process="curl", pid=12, uid=0, count=3)
SSH = Program(process="ssh", pid=13, uid=0, count=1)


def counted(**changes: Any) -> State:
    """The kernel counted so at the old storefront; `ssh` is known to the config."""
    state = state_of("draining")
    service = state.topology.services[B]
    servers = {one.address: Connections(established=1) for one in service.blue.servers}
    census = Census(**{"taken_at": Instant(50_000), "servers": servers, "strangers": Strangers(), **changes})
    state = configured(state, replace(service, drain=replace(service.drain, known=frozenset({"ssh"}))))
    return observed(state, census={OLD: census})


def test_a_program_that_the_config_does_not_know_is_a_use_of_the_pool() -> None:
    def told(*programs: Program) -> list[str]:
        return [*connected.connected(counted(strangers=Strangers(programs=programs)), *OLD)]

    assert told() == told(SSH) == []
    assert told(SSH, CURL) == [
        "blue of storefront is connected to past its load balancers, as this host's kernel counts: curl (pid 12) has "
        "3 connections"
    ]
    assert [*connected.connected(counted(strangers=None), *OLD)] == []
    assert [*connected.connected(observed(counted(), census={}), *OLD)] == []
    assert told(*(replace(CURL, pid=pid) for pid in range(5)))[0].count("pid") == 3


def test_what_was_counted_before_a_pool_was_quiet_is_counted_again_and_so_is_what_is_old() -> None:
    def again(taken_at: int, calm: Calm | None) -> bool:
        state = counted(taken_at=Instant(taken_at))
        state = replace(state, calms={} if calm is None else {OLD: calm})
        return bool(connected.not_yet_counted(state, *OLD, Instant(80_000)))

    quiet = Calm(idle_since=Instant(40_000), closed_since=Instant(50_000), alone_since=Instant(1))
    assert [again(at, quiet) for at in (49_999, 50_000, 80_000)] == [True, False, False]
    old = replace(quiet, closed_since=Instant(1))
    assert [again(at, replace(old, idle_since=Instant(1))) for at in (49_999, 50_000)] == [True, False]
    assert not again(1, None)
    assert not again(1, replace(quiet, closed_since=None))
    assert not again(1, replace(quiet, idle_since=None))
    assert not again(1, replace(quiet, alone_since=None))
    assert connected.not_yet_counted(observed(counted(), census={}), *OLD, Instant(1)) == ""


def test_what_the_kernel_could_not_say_is_said() -> None:
    def told(**changes: Any) -> list[str]:
        return [*connected.uncounted(counted(**changes), *OLD)]

    assert told() == []
    assert told(strangers=None) == ["this host's connections could not be counted: its servers are new in the config"]
    assert told(servers={}, cannot="NO_NETLINK: refused") == [
        "this host's connections could not be counted: NO_NETLINK: refused"
    ]
    assert told(strangers=Strangers(cannot="NO_PROC: hidden")) == [
        "whose this host's connections are could not be told: NO_PROC: hidden"
    ]
    assert told(strangers=Strangers(unnamed=2)) == [
        "2 of this host's connections are taken for its load balancers', whose processes nobody may look into"
    ]
    assert [*connected.uncounted(observed(counted(), census={}), *OLD)] == [
        "nobody counted this host's connections to its servers"
    ]


def test_the_census_in_words() -> None:
    words = connected.census_words
    assert (
        words(counted(), *OLD) == "7 connections of this host to its servers, of load balancers, with nothing in flight"
    )
    assert words(counted(strangers=Strangers(programs=(CURL,))), *OLD).endswith("with nothing in flight")
    assert words(counted(strangers=Strangers(programs=(CURL, SSH))), *OLD).endswith(
        "but ssh (pid 13) has a connection, which the config knows (`drain.known`)"
    )
    none = {one: Connections() for one in counted().observed.census[OLD].servers}
    assert words(counted(servers=none), *OLD) == "no connection of this host to its servers"
    assert words(counted(servers={}), *OLD) == ""
    assert words(observed(counted(), census={}), *OLD) == ""


# ---- who is in flight, who is stopped


def in_flight(count: int, *ages: int, client: str = "192.0.2.7") -> str:
    state = state_of("draining")
    reading = of(state)
    holders = tuple(Holder(ServerName("s-blue-0"), Span(age), client) for age in ages)
    seen = reading.services[B]
    pools = {**seen.pools, BLUE: replace(seen.pools[BLUE], in_flight=count, holders=holders)}
    reading = replace(reading, services={**reading.services, B: replace(seen, pools=pools)})
    return emptiness._in_flight(reading, B, BLUE, LB1, count)


def test_who_is_in_flight_for_a_second_is_named_three_at_most() -> None:
    text = "requests or connections are in flight at blue of storefront on edge/lb1"
    assert in_flight(1, 999) == f"1 {text}"
    assert in_flight(1, 1_000) == f"1 {text}: 192.0.2.7 at s-blue-0 for 1s"
    assert in_flight(3, 9_000, 8_000, 7_000).endswith(
        "for 9s, 192.0.2.7 at s-blue-0 for 8s, 192.0.2.7 at s-blue-0 for 7s"
    )
    assert in_flight(4, 9_000, 8_000, 7_000, 6_000).endswith("for 7s, and 1 more like these")
    assert in_flight(2, 9_000).endswith("for 9s, and 1 for less than 1s or not named")
    assert "a client that the load balancer does not name at s-blue-0" in in_flight(1, 1_000, client="")
    least = Holder(ServerName("s-blue-0"), Span(2_000), "", least=True)
    assert emptiness.holder_words(least).endswith("for at least 2s")


def health(state: State, **alive: Health | None) -> State:
    return observed(
        state,
        health={
            **{key: Health(False, Instant(0), "refused", Instant(0)) for key in state.observed.health},
            **{(B, ServerName(name.replace("_", "-"))): one for name, one in alive.items() if one is not None},
        },
    )


UP = Health(True, Instant(0))


def not_stopped(state: State, said: bool = False, at: int = 30_000) -> str:
    release: Release = running(state)
    release = replace(release, stopped={B: "ann"} if said else {})
    return stopped.not_stopped(state, release, B, BLUE, Instant(at))


def test_a_pool_is_stopped_when_all_its_servers_refused_for_its_quiet_time() -> None:
    state = state_of("retiring")
    quiet = state.topology.services[B].drain.quiet
    assert not_stopped(health(state), at=quiet) == ""
    assert not_stopped(health(state), at=quiet - 1).startswith("7 of 7 servers (s-blue-0, s-blue-1, s-blue-2, …)")
    assert not_stopped(health(state, s_blue_0=UP)).startswith("1 of 7 servers (s-blue-0) have not refused")
    three = health(state, s_blue_0=UP, s_blue_1=UP, s_blue_2=UP)
    assert not_stopped(three).startswith("3 of 7 servers (s-blue-0, s-blue-1, s-blue-2) have not refused")
    assert not_stopped(observed(health(state), checker_suspect={B: "late"})).startswith("7 of 7 servers")
    assert not_stopped(observed(health(state), health={})).startswith("7 of 7 servers")


def test_who_says_that_a_pool_is_stopped_is_believed_unless_its_checks_pass() -> None:
    state = state_of("retiring")
    assert not_stopped(health(state), said=True) == ""
    assert not_stopped(observed(state, health={}), said=True) == ""
    some = health(state, s_blue_0=UP, s_blue_1=UP, s_blue_2=UP)
    assert not_stopped(some, said=True) == (
        "ann said that it is stopped, but 3 servers (s-blue-0, s-blue-1, s-blue-2) pass their checks"
    )
    more = health(state, s_blue_0=UP, s_blue_1=UP, s_blue_2=UP, s_blue_3=UP)
    assert "4 servers (s-blue-0, s-blue-1, s-blue-2, …) pass" in not_stopped(more, said=True)


@pytest.mark.parametrize(
    ("kind", "port", "asked"), [(Probe.HTTP, None, True), (Probe.COMMAND, None, False), (Probe.HTTP, 9, False)]
)
def test_only_a_check_of_the_server_itself_says_that_it_is_not_there(
    kind: Probe, port: int | None, asked: bool
) -> None:
    service = state_of("retiring").topology.services[B]
    assert service.health is not None
    assert stopped._is_asked(replace(service, health=replace(service.health, kind=kind, port=port))) is asked
    assert not stopped._is_asked(replace(service, health=None))


# ---- readings


def test_an_operation_is_under_way_until_a_reading_after_its_end() -> None:
    reading = replace(of(state_of("draining")), taken_at=Instant(100))
    lane = Lane(services=frozenset({B}), ended_at=Instant(99))
    assert not under_way(lane, B, reading)
    assert under_way(replace(lane, ended_at=Instant(100)), B, reading)
    assert under_way(replace(lane, busy=True), B, reading)
    assert not under_way(replace(lane, busy=True), A, reading)
    assert not under_way(None, B, reading)
    assert not under_way(replace(lane, ended_at=Instant(100)), B, None)


def test_a_reading_counts_if_it_was_taken_after_that_and_nothing_sent_can_still_land() -> None:
    state = replace(state_of("draining"), lanes={LB1: Lane(), LB2: Lane()})
    at = of(state).taken_at
    assert read_since(state, LB1, B, Instant(at - 1)) is not None
    assert read_since(state, LB1, B, at) is None
    assert read_since(replace(state, lanes={LB1: Lane(unresolved="no answer")}), LB1, B, Instant(0)) is None
    busy = Lane(busy=True, services=frozenset({B}))
    assert read_since(replace(state, lanes={LB1: busy}), LB1, B, Instant(0)) is None
    gone = Unreadable(Instant(0), "away")
    assert read_since(observed(state, instances={LB1: gone}), LB1, B, Instant(0)) is None
    other = replace(of(state), services={A: of(state).services[A]})
    assert read_since(observed(state, instances={LB1: other}), LB1, B, Instant(0)) is None


def test_a_load_balancer_was_watched_if_it_was_read_within_ten_seconds() -> None:
    state = state_of("finished")
    reading = replace(of(state), taken_at=Instant(20_000))
    state = observed(state, instances={**state.observed.instances, LB1: reading})
    lives = {**state.record.generations, LB1: Generation("other@1")}
    state = replace(state, record=replace(state.record, generations=lives))

    def missed(before: Sight | None) -> Instant | None:
        sight = witnesses.sights(replace(state, sights={} if before is None else {LB1: before}))[LB1]
        assert sight.at == 20_000
        return sight.missed_at

    assert missed(Sight(Instant(10_000))) is None
    assert missed(Sight(Instant(9_999))) == 20_000
    assert missed(None) == 20_000
    assert missed(Sight(Instant(19_000), Instant(7))) == 7
    found = Certificate(at=Instant(500), since=Instant(0), counted={LB1: {}, LB2: {}})

    def doubts(*sights: Sight, at: int = 20_000) -> list[str]:
        seen = replace(state, sights=dict(zip((LB1, LB2), sights, strict=False)))
        return [*witnesses._lost(seen, *OLD, found), *witnesses._unread(seen, B, Instant(at))]

    near = Sight(Instant(10_000))
    assert doubts(near, near) == []
    assert "has not been read for 10" in doubts(near, near, at=20_001)[0]
    assert "the first reading of edge/lb2 is awaited" in doubts(near)[0]
    assert doubts(replace(near, missed_at=Instant(499)), near) == []
    assert "while nobody looked" in doubts(replace(near, missed_at=Instant(500)), near)[0]


# ---- counters


def ledger(**changes: Any) -> Ledger:
    known = Ledger(Generation("1"), Instant(0), 10, 5, 3, {}, ((Instant(0), 10),))
    return replace(known, **changes)


def pool(requests: int = 10, errors: int = 5, retries: int = 3, servers: Any = None) -> PoolReading:
    return PoolReading(servers or {}, requests, errors, 0, retries)


def test_a_counter_that_fell_begins_anew_whichever_it_is() -> None:
    assert not counting._ran_backwards(ledger(), pool())
    for fallen in (pool(requests=9), pool(errors=4), pool(retries=2)):
        assert counting._ran_backwards(ledger(), fallen)


def test_a_hidden_retry_is_an_attempt_that_failed() -> None:
    reading = InstanceReading(Instant(1_000), Generation("1"), {})
    _, seen = counting._entered(ledger(), reading, pool(14, 6, 5), Span(5_000))
    assert seen is not None
    assert seen.counts == Counts(6, 3)


def test_a_server_whose_counter_fell_or_that_is_new_says_nothing() -> None:
    def server(requests: int, errors: int) -> ServerReading:
        return ServerReading(True, True, 1, requests, errors, 0, 0)

    one, two = ServerName("one"), ServerName("two")
    same = server(9, 1)
    before = {one: server(10, 2), two: same}

    def grown(now: ServerReading) -> Any:
        return counting._servers(before, pool(servers={one: now, two: same}))

    assert grown(server(12, 3)) == {one: Counts(2, 1), two: Counts(0, 0)}
    assert grown(server(9, 3)) == {two: Counts(0, 0)}
    assert grown(server(12, 1)) == {two: Counts(0, 0)}
    assert grown(server(10, 2)) == {one: Counts(0, 0), two: Counts(0, 0)}
    assert counting._servers({}, pool(servers={one: server(5, 0)})) == {}


def test_marks_are_kept_for_the_slow_limit_and_one_before_it() -> None:
    def marks(*at: int, now: int) -> list[int]:
        known = tuple((Instant(one), one) for one in at)
        return [int(one) for one, _ in counting._marks(known, Instant(now), 7, Span(1_000))]

    assert marks(now=5) == [5]
    assert marks(0, now=99) == [0]
    assert marks(0, now=100) == [0, 100]
    assert marks(0, 500, now=1_499) == [0, 500, 1_499]
    assert marks(0, 500, now=1_500) == [500, 1_500]
    assert marks(0, 200, 400, now=3_000) == [400, 3_000]
    late = counting._late
    assert late((), Instant(9_000), pool(), Span(1_000), 0) == 0
    assert late(((Instant(0), 7),), Instant(999), pool(), Span(1_000), 0) == 0
    assert late(((Instant(0), 7),), Instant(1_000), pool(), Span(1_000), 2) == 5
    assert late(((Instant(0), 7),), Instant(1_000), pool(), Span(1_000), 8) == 0


# ---- kept matrix


def test_a_kept_matrix_may_be_as_large_as_there_can_be_callers_and_no_larger() -> None:
    kept = plain(Tally())
    with pytest.raises(ValueError, match="list where an object should be"):
        recalled({**kept, "looks": []}, Instant(0))
    full = {"unknown": [[1, 1]] * ENTRIES_MAX}
    assert len(recalled({**kept, **full}, Instant(5)).unknown) == ENTRIES_MAX
    many = {f"s{number}-blue>blue": 1 for number in range(ENTRIES_MAX + 1)}
    with pytest.raises(ValueError, match="or too large"):
        recalled({**kept, "last": many}, Instant(5))
    many.popitem()
    assert len(recalled({**kept, "last": many}, Instant(5)).last) == ENTRIES_MAX


@pytest.mark.parametrize("count", [True, 1.0, "1", -1, 2**63 + 1, None])
def test_what_is_no_count_is_refused(count: object) -> None:
    with pytest.raises(ValueError, match="where a count should be"):
        recalled({**plain(Tally()), "unknown": [[1, count]]}, Instant(0))
    assert recalled({**plain(Tally()), "unknown": [[1, 2**63]]}, Instant(0)).unknown == ((Instant(0), 2**63),)


# ---- servers


SEEN = ServerReading(True, True, 1, 0, 0, 0, 0)


def well(
    health: Health | None, *, suspect: bool = False, checked: bool = True, seen: ServerReading | None = SEEN
) -> Wellness:
    """The pool of one server, as prober and load balancers see it."""
    state = state_of("finished")
    service = state.topology.services[B]
    server = service.blue.servers[0]
    service = replace(
        service, blue=replace(service.blue, servers=(server,)), health=service.health if checked else None
    )
    instances = {}
    for name in (LB1, LB2):
        reading = of(state, name)
        part = reading.services[B]
        servers = {} if seen is None else {server.name: seen}
        pools = {**part.pools, BLUE: replace(part.pools[BLUE], servers=servers)}
        instances[name] = replace(reading, services={B: replace(part, pools=pools)})
    facts = Observed(
        instances=instances,
        health={} if health is None else {(B, server.name): health},
        checker_suspect={B: "late"} if suspect else {},
    )
    return wellness(service, BLUE, facts, configured(state, service).topology)


def why(found: Wellness) -> tuple[str, str]:
    return next(iter(found.down.values()), ""), next(iter(found.unknown.values()), "")


def test_a_server_is_as_well_as_prober_and_load_balancers_say_together() -> None:
    fails = Health(False, Instant(0), "timed out")
    assert why(well(UP)) == ("", "")
    assert why(well(fails)) == ("timed out", "")
    assert why(well(replace(fails, detail=""))) == ("health check fails", "")
    assert why(well(fails, suspect=True)) == ("", "the health checker itself is suspect")
    assert why(well(UP, suspect=True)) == ("", "the health checker itself is suspect")
    assert why(well(None)) == ("", "not checked yet")
    assert why(well(Health(None, Instant(0), "late"))) == ("", "late")
    assert why(well(Health(None, Instant(0), ""))) == ("", "not checked yet")
    assert why(well(fails, checked=False)) == ("", "")
    assert why(well(None, suspect=True, checked=False)) == ("", "")


def test_what_a_load_balancer_says_of_a_server() -> None:
    assert why(well(UP, seen=None))[0] == "edge/lb1 does not know it"
    assert why(well(UP, seen=replace(SEEN, up=False, usable=False)))[0] == "edge/lb1 says down"
    assert why(well(UP, seen=replace(SEEN, usable=False)))[0] == "edge/lb1 says weight 0"
    assert why(well(UP, seen=replace(SEEN, usable=False, detail="L4TOUT")))[0] == "edge/lb1 says L4TOUT"
    drained = well(UP, seen=replace(SEEN, admin=Admin.DRAIN))
    assert why(drained)[0].startswith("edge/lb1 drains it (lbctl undrain storefront/blue/")
    assert len(drained.drained) == 1
    both = well(UP, seen=replace(SEEN, up=False, admin=Admin.DRAIN))
    assert (why(both)[0], both.drained) == ("edge/lb1 says down", frozenset())
    fails = well(Health(False, Instant(0), "timed out"), seen=replace(SEEN, admin=Admin.DRAIN))
    assert (why(fails)[0], fails.drained) == ("timed out", frozenset())


def part(up: int, count: int = 4) -> Wellness:
    return Wellness(count, {ServerName(f"s{number}"): "down" for number in range(count - up)}, {})


@pytest.mark.parametrize(
    ("home", "exposed", "is_open"),
    [(2, 4, True), (1, 4, False), (1, 1, False), (1, 0, True), (0, 0, False), (4, 4, True)],
)
def test_traffic_moves_to_a_pool_with_half_of_its_servers_or_a_larger_part_than_the_other(
    home: int, exposed: int, is_open: bool
) -> None:
    assert way_open(part(home), part(exposed), 5_000) is is_open


def test_a_count_of_nothing_is_a_count() -> None:
    assert recalled({**plain(Tally()), "unknown": [[0, 0]]}, Instant(0)).unknown == ((Instant(0), 0),)
