"""A share as whole weights: so many units for each colour, spread over its servers. Pure.

HAProxy knows weights from 0 to 256 for each server and gives every server its part of the sum. With equal weights in a
pool the smallest share of seven servers beside three would be 0.9 %; units that differ by one reach 0.13 %, at the
price that below seven units only some of the seven get requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lbctl.model.names import Colour, ServerName
from lbctl.model.units import BP_FULL

WEIGHT_MAX = 256
LOOKS = 400
"""So many sums are tried, from the largest down: the error is small there, and every server gets some units."""


@dataclass(frozen=True, slots=True)
class Units:
    """The weights of each colour, added up."""

    blue: int
    green: int

    @property
    def green_bp(self) -> float:
        """The share that green gets; with nothing at all, neither colour's."""
        total = self.blue + self.green
        return self.green * BP_FULL / total if total else BP_FULL / 2


@lru_cache(maxsize=4096)
def apportion(green_bp: int, blue_count: int, green_count: int) -> Units:
    """Return the units that come closest to a share, for so many servers of each colour (at least one of each)."""
    blue_max, green_max = blue_count * WEIGHT_MAX, green_count * WEIGHT_MAX
    if green_bp in {0, BP_FULL}:
        return Units(blue_max, 0) if green_bp == 0 else Units(0, green_max)
    highest = min(blue_max * BP_FULL // (BP_FULL - green_bp), green_max * BP_FULL // green_bp) + 1
    sums = range(highest, max(1, highest - LOOKS), -1)
    found = (_divided(total, green_bp, blue_max, green_max) for total in sums)
    best = min((units for units in found if units is not None), key=lambda units: _error(units, green_bp), default=None)
    return best if best is not None else Units(blue_max, 1) if green_bp < BP_FULL // 2 else Units(1, green_max)


def _divided(total: int, green_bp: int, blue_max: int, green_max: int) -> Units | None:
    green = max(1, min(total - 1, (total * green_bp * 2 + BP_FULL) // (2 * BP_FULL)))
    blue = total - green
    return Units(blue, green) if 1 <= blue <= blue_max and 1 <= green <= green_max else None


def _error(units: Units, green_bp: int) -> float:
    return abs(units.green_bp - green_bp)


def spread(units: int, count: int) -> tuple[int, ...]:
    """Return the weights of `count` servers that add up to `units`: at most one apart, the larger ones first."""
    return tuple(units // count + (number < units % count) for number in range(count))


def weights(green_bp: int, alive: Mapping[Colour, Mapping[ServerName, bool]]) -> dict[ServerName, int]:
    """Return every server's weight, so that those that are alive make the share.

    A server that is not alive gets what its peers have: when it comes back it serves at once, whoever watches then. On
    the smaller side it gets 1: there its peers have much, and all coming back while nobody watches would multiply the
    share (1 of 10 alive at 5 %: 34 %). With no server alive in a pool, all count: the other pool then serves
    everything, whatever the weights are.
    """
    counted = {colour: _counted(servers) for colour, servers in alive.items()}
    units = apportion(green_bp, len(counted[Colour.BLUE]), len(counted[Colour.GREEN]))
    found: dict[ServerName, int] = {}
    for colour, total in ((Colour.BLUE, units.blue), (Colour.GREEN, units.green)):
        a_head = total // len(counted[colour])
        smaller = total < max(units.blue, units.green)
        found |= dict.fromkeys(alive[colour], min(1, a_head) if smaller else a_head)
        found |= zip(counted[colour], spread(total, len(counted[colour])), strict=True)
    return found


def _counted(servers: Mapping[ServerName, bool]) -> Sequence[ServerName]:
    return [name for name, alive in servers.items() if alive] or list(servers)


def floor_bp(other_count: int) -> int:
    """Return the smallest share that a pool can have beside `other_count` servers: one unit against all of theirs."""
    return max(1, round(Units(other_count * WEIGHT_MAX, 1).green_bp))
