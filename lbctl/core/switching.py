"""A person's switch: of a service that is a unit of its own, or of all services of a unit at once. Pure.

The same rules as for the board: each service of a unit goes from a pool that is claimed and proved to be apart, none
goes alone, and what is on the board goes by itself.
"""

from collections.abc import Iterator

from lbctl.core import coupling
from lbctl.core.change import Change
from lbctl.core.claims import claim_granted, sessions_there
from lbctl.core.cutting import Cut, Version, cut
from lbctl.core.matching import strangers
from lbctl.core.reply import Facts
from lbctl.core.state import State
from lbctl.model.attested import UNKNOWN
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Adopted, Phase
from lbctl.model.request import Switch
from lbctl.model.topology import Rendezvous, Service, Topology, Unit
from lbctl.model.units import Instant


def switch(state: State, request: Switch, now: Instant) -> tuple[Change, Facts]:
    """Return the start of the release.

    Raises:
        Refused: it may not start now; the text says what lacks.
    """
    members = (request.service, *request.followers)
    unit = state.topology.unit_of(request.service)
    for name in members:
        switchable(state, state.topology.services[name], request.to if name == request.service else None)
    checked = () if request.unchecked else uncompared(state, unit)
    alone = () if request.followers else occupied(state, request.service, request.version, now)
    refused = next(iter((*parted(state.topology, members), *unprepared(state, unit, now), *checked, *alone)), None)
    if refused is not None:
        raise refused
    if request.followers and coupling.carrier(state.topology, members) != request.service:
        raise Refused("not_the_carrier", f"{request.service} does not carry the split of these services")
    versions = {name: Version(request.followers.get(name, request.version)) for name in members}
    going = Cut(
        carrier=request.service,
        versions=versions,
        plan=request.plan,
        nonce=request.nonce,
        wall=request.wall,
        by=request.actor,
        uids=request.people,
        reason=request.reason,
    )
    change = cut(state, going, now)
    release = change.record.releases[unit.name]
    told: Facts = {
        "release": release.id,
        "service": release.service,
        "from": release.origin.value,
        "to": release.to.value,
        "phase": release.phase.value,
        "steps_bp": list(release.plan.steps_bp),
    }
    return change, told


def parted(topology: Topology, members: tuple[ServiceName, ...]) -> Iterator[Refused]:
    """Yield why these services cannot be switched without the rest of their unit."""
    unit = topology.unit_of(members[0])
    if set(members) == set(unit.services):
        return
    name = members[0]
    versions = " ".join(f"--version {one}=V" for one in unit.services)
    yield Refused(
        "in_unit",
        f"{name} is released with unit {unit.name}",
        why=f"alone it would meet versions that nobody compared: {', '.join(unit.services)} go together",
        then=f"lbctl switch {unit.name} {versions}   |  lbctl release ready {unit.name} --service {name} …",
    )


def unprepared(state: State, unit: Unit, now: Instant) -> Iterator[Refused]:
    """Yield why a person cannot switch a unit of several services now: each goes from a pool that is claimed, so that
    nothing reaches it, and from no record of the board, which goes by itself; and nobody may call one whom no pin
    holds."""
    if len(unit.services) == 1:
        return
    yield from called_by_strangers(state, unit, now)
    for name in unit.services:
        ready = state.record.board.get(name)
        if not claim_granted(state, name):
            yield Refused(
                "not_claimed",
                f"{name} has no claim that is granted: its idle pool may be in use, or call a partner it does not know",
                then=f"lbctl claim {name} --wait, and deploy to it",
            )
        elif ready is not None:
            what = f"{name} {ready.version} is on the board: it goes by itself as soon as it fits"
            then = f"lbctl release withdraw {unit.name} --service {name}"
            yield Refused("on_the_board", what, then=then)


def occupied(state: State, name: ServiceName, version: str, now: Instant) -> Iterator[Refused]:
    """Yield why another version cannot go to a pool that a rollback left with its sessions: they are served by what was
    released there, so that nobody may have deployed over it. The same version may go again."""
    adopted, left = state.record.services.get(name), state.record.latest(name)
    if adopted is None or left is None or left.phase is not Phase.ROLLED_BACK:
        return
    colour = adopted.active.other
    there = adopted.pool(colour).version
    kept = "" if version in {there, UNKNOWN} or there == UNKNOWN else sessions_there(state, name, colour, now)
    if kept:
        yield Refused(
            "sessions_kept",
            f"{colour} of {name} still serves {kept} of {there}, which the rollback of release {left.id} left there",
            why=f"{version} cannot run there beside it: a pool is deployable when its sessions are over",
            then=f"lbctl claim {name} --wait, deploy, then switch; lbctl claim {name} --take-over moves them all",
        )


def uncompared(state: State, unit: Unit) -> Iterator[Refused]:
    """Yield why versions that a person names cannot go: contracts say what fits here, and a switch brings none."""
    if len(unit.services) == 1:
        return
    active = {name: one.pool(one.active) for name in unit.services if (one := state.record.services.get(name))}
    declared = [name for name, pool in active.items() if pool.contract.declared]
    if unit.rendezvous is Rendezvous.CONTRACT or (unit.rendezvous is None and declared):
        because = "`rendezvous: contract`" if unit.rendezvous else f"{' and '.join(declared)} declared one"
        yield Refused(
            "contract_unchecked",
            f"unit {unit.name} goes by contract ({because}), and a switch names versions without",
            why="nobody would compare who can speak with whom, and later versions would wait for what is not declared",
            then=f"for each: lbctl release ready {unit.name} --service S --version V --provides … --requires …   |  "
            "the same with --unchecked, where you know that they fit",
        )


def called_by_strangers(state: State, unit: Unit, now: Instant) -> Iterator[Refused]:
    """Yield who calls a service of the unit and is no pool of a consumer."""
    for name in unit.services:
        found = strangers(state.topology.services[name], state.matrix.get(name), now)
        if found is not None:
            what, then = found
            why = "nobody knows which version such a caller can speak with, and no pin holds it"
            yield Refused("unknown_caller", what, why=why, then=then)


def switchable(state: State, service: Service, to: Colour | None) -> Adopted:
    """Return the service as recorded if a release of it may start now.

    Raises:
        Refused: it is only observed, one is running, maintenance is on, a freeze window is open, or the pool is
            active already.
    """
    adopted = state.record.services.get(service.name)
    if adopted is None:
        then = f"lbctl adopt {service.name} --active blue|green --version V"
        raise Refused(
            "not_adopted", f"{service.name} is only observed", why="nobody said which pool is active", then=then
        )
    running = state.record.running(service.name)
    if running is not None:
        going = f"lbctl rollback {running.id}   |  " if running.phase is not Phase.ROLLING_BACK else ""
        raise Refused(
            "in_release",
            f"{service.name} is in release {running.id} ({running.phase.value})",
            why="while a release is unfinished the way back is a rollback",
            then=f"{going}lbctl release wait {running.id} --for finished",
        )
    if adopted.maintenance or state.record.maintenance:
        raise Refused(
            "maintenance", "maintenance is on: nothing is written", then=f"lbctl maintenance off {service.name}"
        )
    if service.name in state.observed.frozen:
        why = state.observed.frozen[service.name]
        then = f"wait for the end of the window; lbctl freeze list {service.name} shows whose it is"
        raise Refused("frozen", f"{service.name} is {why}", why="nothing goes forward in a freeze window", then=then)
    if to is adopted.active:
        raise Refused("already_active", f"{to} is active already", then=f"lbctl switch {service.name} --to {to.other}")
    return adopted
