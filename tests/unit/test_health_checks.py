"""What the prober says, by server; and what a new config makes of it."""

from dataclasses import replace

from lbctl.daemon.checks import Checks
from lbctl.model.names import Colour, PlaneName, ServerName, ServiceName
from lbctl.model.topology import Address, HealthCheck, Pool, Probe, Server, Service, Topology
from lbctl.model.units import Instant
from lbctl.probe.port import ProbeResult, targets_of

NOW = Instant(1_000)
SHOP = ServiceName("shop")


def service(blue: str, *, port: int | None = None) -> Service:
    pools = {
        colour: Pool(colour, (Server(ServerName(f"{colour}-1"), Address(host, 80)),))
        for colour, host in ((Colour.BLUE, blue), (Colour.GREEN, "192.0.2.9"))
    }
    return Service(
        name=SHOP,
        plane=PlaneName("edge"),
        blue=pools[Colour.BLUE],
        green=pools[Colour.GREEN],
        health=HealthCheck(kind=Probe.HTTP, port=port, rise=1),
    )


def topology(*services: Service) -> Topology:
    return Topology({}, {one.name: one for one in services})


def answers(of: Service, *, ok: bool = True) -> list[ProbeResult]:
    return [ProbeResult(target.key, ok, "HTTP 200" if ok else "refused", 0, 1.0) for target in targets_of(of)]


def health(checks: Checks) -> dict[str, bool | None]:
    return {server: one.up for (_, server), one in checks.health(NOW).items()}


def test_a_server_that_moved_is_unknown_at_once_and_the_others_stay_known() -> None:
    checks = Checks(topology(service("192.0.2.1")), lambda: NOW)
    checks.heard(answers(service("192.0.2.1")))
    assert health(checks) == {"blue-1": True, "green-1": True}
    checks.configure(topology(service("192.0.2.2")))
    assert health(checks) == {"blue-1": None, "green-1": True}


def test_what_the_old_address_still_answers_is_not_taken_for_the_new_one() -> None:
    checks = Checks(topology(service("192.0.2.1")), lambda: NOW)
    checks.configure(topology(service("192.0.2.2")))
    checks.heard(answers(service("192.0.2.1")))
    assert health(checks) == {"blue-1": None, "green-1": True}
    checks.heard(answers(service("192.0.2.2"), ok=True))
    assert health(checks) == {"blue-1": True, "green-1": True}


def test_another_port_to_ask_makes_unknown_too_and_another_rhythm_does_not() -> None:
    before = service("192.0.2.1")
    assert before.health is not None
    checks = Checks(topology(before), lambda: NOW)
    checks.heard(answers(before))
    checks.configure(topology(replace(before, health=replace(before.health, path="/ready", fall=5))))
    assert health(checks) == {"blue-1": True, "green-1": True}
    checks.configure(topology(service("192.0.2.1", port=8081)))
    assert health(checks) == {"blue-1": None, "green-1": None}
