"""Saying which pool is active: a service that was only observed is driven from then on. Pure."""

from dataclasses import replace

from lbctl.core.admission import about, journal_works, service_of
from lbctl.core.board import contract_unread
from lbctl.core.change import Change
from lbctl.core.coupling import providers_of
from lbctl.core.reply import Facts
from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.record import Adopted, Phase, Pool, PoolState, Record, Release
from lbctl.model.request import Adopt
from lbctl.model.topology import Service, Topology
from lbctl.model.units import BP_FULL, Instant, percent


def adopt(state: State, request: Adopt, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that makes a pool active by a person's word, and the answer. Raises Refused."""
    service = service_of(state, request.service)
    journal_works(state)
    facts: Facts = {"service": request.service, "active": request.active.value, "version": request.version}
    known = state.record.services.get(request.service)
    running = state.record.running(request.service)
    if running is not None:
        raise _in_release(f"{service.name} is in release {running.id}", running)
    contract_unread(state.topology, request.service, request.contract)
    if known is not None and known.active is request.active and known.pool(known.active).version == request.version:
        return _declared(state, request, known, now), facts
    _of_no_partner(state, service)
    _adoptable(state, service, request)
    record = _with_partners(state.topology, _adopted(state.record, request, known), request.service)
    text = f"{service.name} is adopted: {request.active} is active with version {request.version}"
    told = about(request, Kind.SERVICE_ADOPTED, now, text, service.name)
    return Change(record=record, entries=(told, *_overtaken(state.record, record, request, now))), facts


def _in_release(what: str, running: Release) -> Refused:
    why = "it was chosen by what is active now, and its pins were set by that"
    back = "" if running.phase is Phase.ROLLING_BACK else f"   |  lbctl rollback {running.id}"
    return Refused("in_release", what, why=why, then=f"lbctl release wait {running.id} --for finished{back}")


def _of_no_partner(state: State, service: Service) -> None:
    """Who goes alone meets the active versions of those that it calls and that call it, up to its end."""
    for other in (*providers_of(state.topology, service.name), *service.consumers):
        running = state.record.running(other)
        if running is not None:
            raise _in_release(f"{service.name} is met by {other}, which is in release {running.id}", running)


def _declared(state: State, request: Adopt, known: Adopted, now: Instant) -> Change | None:
    """Return the change that records another contract of the version that is active already."""
    pool = known.pool(known.active)
    if not request.contract.declared or request.contract == pool.contract:
        return None
    adopted = known.with_pool(known.active, replace(pool, contract=request.contract))
    text = f"{request.service} {request.version}, which is active, declares another contract"
    told = about(request, Kind.SERVICE_ADOPTED, now, text, request.service)
    return Change(record=state.record.with_service(request.service, adopted), entries=(told,))


def _adopted(record: Record, request: Adopt, known: Adopted | None) -> Record:
    """Return the record with that pool as the active one. A pool that stays the other one stays as it is, with its
    claim; one that was active may still serve, and what was claimed or ready in the new one is overtaken."""
    name, active = request.service, Pool(state=PoolState.ACTIVE, version=request.version, contract=request.contract)
    if known is None:
        old = Pool(state=PoolState.DRAINING)
        adopted = Adopted(active=request.active, blue=old, green=old).with_pool(request.active, active)
        return record.with_service(name, adopted)
    adopted = replace(known, active=request.active).with_pool(request.active, active)
    if known.active is request.active:
        return record.with_service(name, adopted)
    # Until now it followed the providers' splits, whomever it was paired with in its own release.
    old = replace(known.pool(known.active), state=PoolState.DRAINING, paired={})
    record = record.with_service(name, adopted.with_pool(known.active, old))
    claims = {one: held for one, held in record.claims.items() if one != name}
    return replace(record, claims=claims, board={one: ready for one, ready in record.board.items() if one != name})


def _with_partners(topology: Topology, record: Record, name: ServiceName) -> Record:
    """Return the record with a partner for every pool of an adopted service, or of its consumers, that may still call
    and has none: the provider's active pool. What is deployed to the other one later must not meet it."""
    for consumer in (name, *topology.services[name].consumers):
        if consumer not in record.services:
            continue
        adopted, providers = record.services[consumer], providers_of(topology, consumer)
        partners = {one: record.services[one].active for one in providers if one in record.services}
        for colour in Colour:
            pool = adopted.pool(colour)
            if pool.state is PoolState.DRAINING:
                adopted = adopted.with_pool(colour, replace(pool, paired={**partners, **pool.paired}))
        record = record.with_service(consumer, adopted)
    return record


def _overtaken(before: Record, after: Record, request: Adopt, now: Instant) -> tuple[Entry, ...]:
    """Say of a version that was ready in a pool that became active by a person's word that it goes nowhere."""
    ready = before.board.get(request.service)
    if ready is None or request.service in after.board:
        return ()
    text = f"{request.service} {ready.version} is not ready any more: {request.active} was adopted as active"
    told = about(request, Kind.VERSION_WITHDRAWN, now, text, request.service)
    return (replace(told, data={**told.data, "version": ready.version, "build": ready.build}),)


def _adoptable(state: State, service: Service, request: Adopt) -> None:
    """Every instance must be readable, and new traffic must be where the person says it is (or `--settle`)."""
    for name in state.topology.instances_of(service.name):
        reading = state.observed.instances.get(name)
        if not isinstance(reading, InstanceReading):
            why = reading.reason if isinstance(reading, Unreadable) else "it was not read yet"
            raise Refused("unreachable", f"{name} cannot be read", why=why, then="lbctl status")
        seen = reading.services.get(service.name)
        if seen is None or (seen.obstacles and not seen.runtime):
            why = "" if seen is None else "; ".join(seen.obstacles)
            then = f"lbctl config render {state.topology.planes[service.plane].driver}"
            raise Refused("not_routed", f"{name} does not route {service.name}", why=why, then=then)
        if seen.runtime and not reading.routes_of(service.name):
            why = f"{reading.generation} was just started and has not told its routes yet"
            raise Refused("unreachable", f"{name} cannot be read", why=why, then="lbctl status")
        shares = {route.share_bp(request.active) for route in seen.runtime.values()}
        if shares - {BP_FULL} and not request.settle:
            got = ", ".join(percent(share) for share in sorted(shares))
            raise Refused(
                "split",
                f"{request.active} does not take all new traffic of {service.name}",
                why=f"on {name} it takes {got}",
                then=f"lbctl adopt {service.name} --active {request.active} --settle",
            )
