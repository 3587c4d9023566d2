"""What a name on the command line means: a service, or a unit and its services; and what a switch of it takes. Pure."""

from collections.abc import Mapping

from lbctl.core import coupling
from lbctl.core.claims import claim_granted
from lbctl.core.state import State
from lbctl.daemon.sight import UNKNOWN
from lbctl.model.errors import Refused
from lbctl.model.names import ServiceName, UnitName
from lbctl.model.record import Release
from lbctl.model.request import Adopt, Request, SayReady
from lbctl.model.topology import Rendezvous, Topology, Unit


def services_of(topology: Topology, name: str) -> tuple[ServiceName, ...]:
    """Return the services that a name means: one, or those of a unit.

    Raises:
        Refused: there is nothing of that name.
    """
    unit = topology.units.get(UnitName(name))
    if unit is not None:
        return unit.services
    if ServiceName(name) in topology.services:
        return (ServiceName(name),)
    known = ", ".join(sorted({*topology.services, *topology.units})) or "none"
    raise Refused("no_such_service", f"there is no service {name}", why=f"known are: {known}", exit_code=7)


def unit_named(topology: Topology, name: str) -> Unit:
    """Return the unit of that name; a service in no unit is one by its own name.

    Raises:
        Refused: there is nothing of that name, or it is a service of a larger unit.
    """
    services = services_of(topology, name)
    unit = topology.unit_of(services[0])
    if unit.name != name:
        versions = " ".join(f"--version {one}=V" for one in unit.services)
        raise Refused(
            "in_unit",
            f"{name} is released with unit {unit.name}",
            why=f"alone it would meet versions that nobody compared: {', '.join(unit.services)} go together",
            then=f"lbctl switch {unit.name} {versions}   |  lbctl release ready {unit.name} --service {name} …",
        )
    return unit


def takes_part(release: Release, name: str) -> bool:
    """Whether a release is one of that service or unit."""
    return name == release.unit_name or ServiceName(name) in release.members


def going(state: State, name: str, version: str, versions: Mapping[str, str]) -> dict[ServiceName, str]:
    """Return what goes if a person switches a service or unit: versions by service, the carrier first.

    Raises:
        Refused: there is nothing of that name, it goes only with its unit, or the versions do not fit its services.
    """
    unit = unit_named(state.topology, name)
    strangers = [one for one in versions if one not in unit.services]
    if strangers:
        what = f"{strangers[0]} is no service of {name}"
        raise Refused("bad_members", what, then=f"its services: {', '.join(unit.services)}", exit_code=2)
    if len(unit.services) > 1 and version != UNKNOWN:
        what = f"{name} has several services, and {version} may be of any of them"
        then = " ".join(f"--version {one}=V" for one in unit.services)
        raise Refused("bad_members", what, then=then, exit_code=2)
    first = coupling.carrier(state.topology, unit.services)
    ordered = (first, *(one for one in unit.services if one != first))
    return {one: versions.get(one, version) for one in ordered}


def unprepared(state: State, unit: Unit) -> list[Refused]:
    """Return why a person cannot switch a unit of several services now: each goes from a pool that is claimed, so that
    nothing reaches it, and from no record of the board, which goes by itself."""
    found = []
    for name in unit.services if len(unit.services) > 1 else ():
        ready = state.record.board.get(name)
        if name not in state.record.claims or not claim_granted(state, name):
            what = (
                f"{name} has no claim that is granted: its idle pool may be in use, or call a partner it does not know"
            )
            found.append(Refused("not_claimed", what, then=f"lbctl claim {name} --wait, and deploy to it"))
        elif ready is not None:
            what = f"{name} {ready.version} is on the board: it goes by itself as soon as it fits"
            then = f"lbctl release withdraw {unit.name} --service {name}"
            found.append(Refused("on_the_board", what, then=then))
    return found


def unchecked(topology: Topology, request: Request) -> Refused | None:
    """Return why a contract is refused: nobody would look at it. None for every other request."""
    if not isinstance(request, SayReady | Adopt) or request.service not in topology.services:
        return None
    unit = topology.unit_of(request.service)
    if unit.rendezvous is not Rendezvous.NONE or not request.contract.declared:
        return None
    what = (
        f"{request.service} declares a contract, and unit {unit.name} has `rendezvous: none`: nobody would look at it"
    )
    return Refused("contract_unchecked", what, then="leave the contract out, or configure `rendezvous: contract`")
