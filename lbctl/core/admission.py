"""What every request has in common: a service that is known, a journal that works, who asked and why. Pure."""

from lbctl.core.state import State
from lbctl.model.entry import Entry, Kind
from lbctl.model.errors import Refused
from lbctl.model.names import ServiceName
from lbctl.model.request import Asked
from lbctl.model.topology import Service
from lbctl.model.units import Instant


def service_of(state: State, name: ServiceName) -> Service:
    """Return a configured service. Raises Refused with the names that are known."""
    service = state.topology.services.get(name)
    if service is None:
        known = ", ".join(sorted(state.topology.services))
        why = f"known are: {known}"
        raise Refused("no_such_service", f"there is no service {name}", why=why, then="lbctl status", exit_code=7)
    return service


def journal_works(state: State) -> None:
    """Raise Refused where nothing new can be recorded."""
    if state.journal_error:
        raise Refused(
            "journal",
            "nothing new can be started: the journal cannot be written",
            why=state.journal_error,
            then="free space or repair the state directory; a rollback works without it",
        )


def about(request: Asked, kind: Kind, at: Instant, text: str, service: ServiceName | None) -> Entry:
    """Return an entry about a request, with its reason."""
    told = text + because(request)
    return Entry(kind=kind, at=at, text=told, service=service, actor=request.actor, data={"reason": request.reason})


def because(request: Asked) -> str:
    """Return the reason as the end of a sentence; empty without one."""
    return f": {request.reason}" if request.reason else ""
