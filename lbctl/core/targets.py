"""What the record wants of the data planes. Pure: the record is all it looks at."""

from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Phase, Record
from lbctl.model.route import Route
from lbctl.model.units import BP_FULL


def target(record: Record, service: ServiceName) -> Route | None:
    """Return where `service`'s traffic belongs; None for a service in observe mode, which is never written."""
    adopted = record.services.get(service)
    if adopted is None:
        return None
    release = record.running(service)
    colour, share_bp = (adopted.active, BP_FULL) if release is None else (release.to, release.share_bp)
    green_bp = share_bp if colour is Colour.GREEN else BP_FULL - share_bp
    return Route(green_bp, keep_blue_bp=adopted.blue.keep_bp, keep_green_bp=adopted.green.keep_bp)


def exposed(record: Record, service: ServiceName) -> Colour:
    """Return the colour that must never get more traffic than the target says.

    In a release that is the candidate until it has become active; at rest and while the old pool drains it is the
    pool that is not active. More traffic for it is a *raise*, less is a *lowering*.
    """
    release = record.running(service)
    if release is not None and release.phase is not Phase.DRAINING:
        return release.to
    return record.services[service].active.other
