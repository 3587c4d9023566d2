"""Users who stay: sessions that come again, connections that older generations still hold, long requests, strays."""

from random import Random

from lbctl.model.names import Colour
from lbctl.model.units import Instant
from lbctl.sim.balancer import Balancer
from lbctl.sim.chance import Rates


def stay(balancer: Balancer, sessions: dict[Colour, bool], rates: Rates, guests: Random, now: Instant) -> None:
    """Let a tick's guests come to one load balancer. `sessions`: pools with sessions that come again now and then."""
    dice = guests.random
    for life, route in balancer.runtime.items():
        for colour in Colour:
            may = route.share_bp(colour) or (route.keep_bp(colour) and sessions[colour])
            if route.share_bp(colour) or route.keep_bp(colour):
                balancer.open_at[colour] = now
            if may and dice() < rates.visit:
                balancer.serve(colour, 1, 0, now, life)
                if dice() < rates.stays:
                    balancer.count("user stays")
                    balancer.held[colour] += 1
    for colour in Colour:
        if dice() < rates.stray:
            balancer.count("stray request")
            balancer.serve(colour, 1, 0, now, guests.choice([*balancer.runtime]))
    if dice() < rates.leaves:
        balancer.let_go(now)
        sessions |= {colour: dice() < 0.3 for colour in Colour}
