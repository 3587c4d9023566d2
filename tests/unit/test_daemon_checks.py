"""What the daemon knows of thousands of servers costs little while nothing changes, and is what it would be anyway."""

from random import Random

from lbctl.core.health import HealthSettings, HealthState, observe, refresh
from lbctl.daemon.checks import Checks
from lbctl.model.names import Colour, PlaneName, ServerName, ServiceName
from lbctl.model.topology import Address, HealthCheck, Pool, Probe, Server, Service, Topology
from lbctl.model.units import Instant, Span
from lbctl.probe.port import ProbeResult, key_of

INTERVALS = {ServiceName("slow"): 5_000, ServiceName("fast"): 500}


def service(name: ServiceName, interval_ms: int, net: int) -> Service:
    pools = [
        Pool(
            colour,
            tuple(Server(ServerName(f"{colour}-{n}"), Address(f"127.{net}.{at}.{n + 1}", 80)) for n in range(3)),
        )
        for at, colour in enumerate((Colour.BLUE, Colour.GREEN))
    ]
    check = HealthCheck(kind=Probe.TCP, interval=Span(interval_ms), timeout=Span(200))
    return Service(name=name, plane=PlaneName("edge"), blue=pools[0], green=pools[1], health=check)


SERVICES = {name: service(name, ms, 60 + at) for at, (name, ms) in enumerate(INTERVALS.items())}


def topology() -> Topology:
    return Topology(planes={}, services=SERVICES)


def test_what_is_known_is_what_every_server_told_and_did_not_tell() -> None:
    for seed in range(20):
        chance, now = Random(seed), Instant(0)
        checks = Checks(topology(), lambda: now)  # noqa: B023
        settings = {name: HealthSettings.of(one.health) for name, one in SERVICES.items() if one.health is not None}
        keys = {
            (name, server.name): key_of(one, one.health, server)
            for name, one in SERVICES.items()
            if one.health is not None
            for server in (*one.blue.servers, *one.green.servers)
        }
        plain = {key: HealthState.unknown(now) for key in keys}
        talking = {key: chance.random() for key in keys}
        for _ in range(120):
            now = Instant(now + chance.choice((50, 200, 900, 4_000)))
            batch = {
                key: chance.choice((True, True, True, False, None)) for key in keys if chance.random() < talking[key]
            }
            checks.heard([ProbeResult(keys[key], ok, "" if ok else "no", 0, 1.0) for key, ok in batch.items()])
            for key, ok in batch.items():
                plain[key] = observe(plain[key], ok, now, settings[key[0]], "" if ok else "no")
            if chance.random() < 0.5:
                plain = {key: refresh(state, now, settings[key[0]]) for key, state in plain.items()}
                assert checks.health(now) == {key: state.health for key, state in plain.items()}


def test_what_was_handed_out_does_not_change() -> None:
    now = Instant(0)
    checks = Checks(topology(), lambda: now)
    before = dict(handed := checks.health(now))
    fast = SERVICES[ServiceName("fast")]
    assert fast.health is not None
    key = key_of(fast, fast.health, fast.blue.servers[0])
    for _ in range(3):
        checks.heard([ProbeResult(key, True, "", 0, 1.0)])
    assert handed == before
    assert checks.health(now) != before
