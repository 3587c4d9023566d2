"""What a name on the command line means: a service, or a unit and its services; and what a switch of it takes. Pure."""

from collections.abc import Mapping

from lbctl.config.fault import close_to
from lbctl.core import coupling
from lbctl.core.state import State
from lbctl.daemon.sight import UNKNOWN
from lbctl.model.errors import Refused
from lbctl.model.names import ServiceName, UnitName
from lbctl.model.record import Release
from lbctl.model.topology import Topology


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
    units = f"; units: {', '.join(sorted(topology.units))}" if topology.units else ""
    why = f"services: {', '.join(sorted(topology.services)) or 'none'}{units}"
    then = close_to(name, {*topology.services, *topology.units}) or "lbctl status"
    raise Refused("no_such_service", f"there is no service {name}", why=why, then=then, exit_code=7)


def takes_part(release: Release, name: str) -> bool:
    """Whether a release is one of that service or unit."""
    return name == release.unit_name or ServiceName(name) in release.members


def going(state: State, name: str, version: str, versions: Mapping[str, str]) -> dict[ServiceName, str]:
    """Return what goes if a person switches a service or unit: versions by service, the carrier first.

    Raises:
        Refused: there is nothing of that name, or the versions do not fit its services.
    """
    services = services_of(state.topology, name)
    strangers = [one for one in versions if one not in services]
    if strangers:
        what = f"{strangers[0]} is no service of {name}"
        raise Refused("bad_members", what, then=f"its services: {', '.join(services)}", exit_code=2)
    if len(services) > 1 and version != UNKNOWN:
        what = f"{name} has several services, and {version} may be of any of them"
        then = " ".join(f"--version {one}=V" for one in services)
        raise Refused("bad_members", what, then=then, exit_code=2)
    first = coupling.carrier(state.topology, services)
    ordered = (first, *(one for one in services if one != first))
    return {one: versions.get(one, version) for one in ordered}
