"""What the matrix of calls says about a release, in words: calls against a pin, callers of nobody's pool. Pure."""

from typing import TYPE_CHECKING

from lbctl.core.matrix import UNKNOWN_FOR, Tally, unknown_calls, unwatched
from lbctl.model.route import Pin
from lbctl.model.topology import PinKind, Service
from lbctl.model.units import Instant, seconds

if TYPE_CHECKING:
    from lbctl.core.situation import Situation

MEANS = {Pin.NONE: "its pin lets it call nobody"}


def miscalled(now: "Situation") -> str:
    """Return which calls of this release came to a pool that the caller's pin does not send them to; empty if none."""
    found = [
        f"{wrong.caller} called {wrong.colour} of {provider} {_times(count)} through {wrong.instance}, and "
        f"{MEANS.get(wrong.pin, f'its pin is {wrong.pin}')}"
        for provider, tally in now.matrix.items()
        if tally.release == now.release.id
        for wrong, count in sorted(tally.wrong.items())
    ]
    return "; ".join(found)


def unwatched_pin(now: "Situation") -> str | None:
    """Return whose pin was not proved and then watched long enough for a call against it to be seen."""
    for provider, tally in now.matrix.items():
        caller = unwatched(tally)
        if caller is not None:
            return f"calls of {caller} to {provider} were not watched yet since its pin was written"
    return None


def strangers(service: Service, tally: Tally | None, now: Instant) -> tuple[str, str] | None:
    """Return who calls a service and is nobody's pool, and how to find out who it is; None if there is nobody.

    Nobody knows which version of the service such a caller can speak with, and no pin holds it.
    """
    count = 0 if tally is None else unknown_calls(tally, now)
    if not count:
        return None
    what = (
        f"{service.name} was called {_times(count)} in the last {seconds(UNKNOWN_FOR)} by somebody who is no pool of "
    )
    needs = (
        f"{seconds(UNKNOWN_FOR)} without such a call: it came {_way(service)}; the load balancer's log has its address"
    )
    return what + " or ".join(service.consumers), needs


def _way(service: Service) -> str:
    """Return how a call comes in that cannot be told to be a consumer's."""
    at = "the ordinary listener" if service.listen is None else f"{service.listen}, the ordinary listener"
    ways = {
        PinKind.LISTENER: f"by {at} of {service.name}, not by a listener of its own",
        PinKind.SOURCE: "from an address that no server of a consumer has",
        PinKind.HEADER: f"without the header that names a consumer's pool ({_headers(service)})",
    }
    return ", or ".join(ways[kind] for kind in dict.fromkeys(one.kind for one in service.consumers.values()))


def _headers(service: Service) -> str:
    return ", ".join(sorted({one.header for one in service.consumers.values() if one.header}))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
