"""What the matrix of calls says about a release, in words: calls against a pin, callers of nobody's pool. Pure."""

from typing import TYPE_CHECKING

from lbctl.core.matrix import UNKNOWN_FOR, WATCHED_MIN, Tally, unknown_calls, unproved, unwatched
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


def unproved_pin(now: "Situation") -> str:
    """Return whose pin is not read back everywhere; empty if all are."""
    found = ((caller, provider) for provider, tally in now.matrix.items() if (caller := unproved(tally)) is not None)
    return next((f"the pin of {caller} at {provider} is not read back everywhere" for caller, provider in found), "")


def unwatched_pin(now: "Situation") -> str:
    """Return whose calls were not watched since its pin was proved, so that one against it would be unseen; empty if
    nobody's."""
    found = ((caller, provider) for provider, tally in now.matrix.items() if (caller := unwatched(tally)) is not None)
    return next(
        (
            f"calls of {caller} to {provider} are watched for {seconds(WATCHED_MIN)} under its new pin"
            for caller, provider in found
        ),
        "",
    )


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


def unpinned(now: "Situation") -> tuple[str, str] | None:
    """Return who calls a follower of this release and is nobody's pool, and how to find out; None if there is nobody.

    The carrier's callers are its users, and a service that goes alone leads all of them by its split.
    """
    found = (strangers(now.services[name], now.matrix.get(name), now.at) for name in now.release.followers)
    return next((one for one in found if one is not None), None)


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
