"""Claims: CI asks which pool it may deploy to, and holds it. Pure.

A deployable pool gets no traffic, honours no session, and what its servers call is refused, on every instance, now and
after a reload: a freshly deployed storefront that calls in the background must not meet an accounts it does not know.
"""

from dataclasses import replace

from lbctl.core.change import Change
from lbctl.core.reconcile import routed
from lbctl.core.reply import Facts
from lbctl.core.state import State
from lbctl.core.targets import target
from lbctl.model.entry import Entry, Kind, Scalar
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Adopted, Claimed, PoolState
from lbctl.model.request import Claim
from lbctl.model.units import Instant


def claim(state: State, request: Claim, now: Instant) -> tuple[Change | None, Facts]:
    """Return the change that holds the pool, and which it is.

    Raises:
        Refused: no pool of the service may be deployed to now; the text says what it is used for.
    """
    adopted = _deployable(state, request.service)
    colour = adopted.active.other
    was = adopted.pool(colour)
    facts: Facts = {
        "service": request.service,
        "colour": colour.value,
        "proved": was.state is PoolState.IDLE,
        "granted": claim_granted(state, request.service),
    }
    held = state.record.claims.get(request.service)
    unchanged = held is not None and held.colour is colour and was.state is PoolState.IDLE
    if unchanged and request.service not in state.record.board:
        return None, facts
    pool = replace(was, state=PoolState.IDLE, keep_bp=0, paired={})
    claims = {**state.record.claims, request.service: Claimed(colour=colour, by=request.actor, since=now)}
    board = {name: ready for name, ready in state.record.board.items() if name != request.service}
    record = state.record.with_service(request.service, adopted.with_pool(colour, pool))
    record = replace(record, claims=claims, board=board)
    unproved = "" if facts["proved"] else "; nobody had proved that it was unused"
    text = f"{colour} of {request.service} is claimed by {request.actor} to be deployed to{unproved}"
    parked = state.record.board.get(request.service)
    superseded = "" if parked is None else parked.build
    if parked is not None:
        text += f", and {parked.version}, which was ready, does not go any more"
    data: dict[str, Scalar] = {"colour": colour.value, "superseded": superseded, "reason": request.reason}
    told = Entry(kind=Kind.POOL_CLAIMED, at=now, text=text, service=request.service, actor=request.actor, data=data)
    return Change(record=record, entries=(told,)), facts


def claim_granted(state: State, name: ServiceName) -> bool:
    """Whether the claimed pool may be deployed to: the claim is durable, and every route that keeps calls and traffic
    apart is read back everywhere, runtime and boot."""
    if name not in state.durable.claims or state.durable.rev != state.record.rev:
        return False
    touched = [name, *(one for one, service in state.topology.services.items() if name in service.consumers)]
    for one in touched:
        want = target(state.topology, state.record, one)
        for instance in state.topology.instances_of(one):
            reading, lane = state.observed.instances.get(instance), state.lanes[instance]
            if lane.busy or lane.unresolved or not isinstance(reading, InstanceReading):
                return False
            if reading.taken_at <= max(lane.ended_at, state.durable_at):
                return False
            if want is not None and not routed(reading, one, want):
                return False
    return True


def _deployable(state: State, name: ServiceName) -> Adopted:
    if name not in state.topology.services:
        known = ", ".join(sorted(state.topology.services))
        raise Refused("no_such_service", f"there is no service {name}", why=f"known are: {known}", exit_code=7)
    adopted = state.record.services.get(name)
    if adopted is None:
        then = f"lbctl adopt {name} --active blue|green --version V"
        raise Refused("not_adopted", f"{name} is only observed: nobody said which pool is active", then=then)
    release = state.record.running(name)
    if release is not None:
        used = f"{adopted.active.other} of {name} is part of release {release.id} ({release.phase.value})"
        raise Refused("in_release", used, then=f"lbctl release wait {release.id} --for finished")
    _not_called(state, name, adopted.active.other)
    return adopted


def _not_called(state: State, name: ServiceName, colour: Colour) -> None:
    """A pool that an old pool of a consumer is pinned to is in use as long as that one may call."""
    for consumer in state.topology.services[name].consumers:
        adopted = state.record.services.get(consumer)
        pools = {} if adopted is None else {caller: adopted.pool(caller) for caller in Colour}
        for caller, pool in pools.items():
            if pool.state is PoolState.DRAINING and pool.paired.get(name) is colour:
                raise Refused(
                    "still_called",
                    f"{colour} of {name} serves the old {caller} of {consumer}, which may still call",
                    why="it was released together with it and stays pinned to it",
                    then=f"claim {consumer} first: its old pool is then shut off",
                )
