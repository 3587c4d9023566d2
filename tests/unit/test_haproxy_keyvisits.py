"""When users of a stick table came, told by what is left of their entries' time."""

from lbctl.core.living import FLOOR_S, living
from lbctl.core.rollcall import REMEMBERED
from lbctl.dataplane.haproxy.keyvisits import KeyVisits
from lbctl.dataplane.haproxy.sticktables import Bound
from lbctl.model.sessions import Visits
from lbctl.model.units import BP_FULL

WHOLE_S = 1_800


def entry(key: str, away_s: float) -> Bound:
    return Bound("shop_all", key, "1", "blue-1", left_ms=round(1_000 * (WHOLE_S - away_s)))


BUCKETS = {key: entry(key, 0).bucket for key in ("fast", "slow", "gone", "ann")}


def away(seen: Visits, key: str) -> int:
    return seen.now_s - seen.last_s[BUCKETS[key]]


def watched(seconds: int, coming: dict[str, tuple[int, int]]) -> Visits:
    """Look every second at users who come every so often, up to a second of the watch."""
    seen = KeyVisits()
    for second in range(seconds):
        lasts = {key: min(second, until) // every * every for key, (every, until) in coming.items()}
        found = seen.look([entry(key, second - last) for key, last in lasts.items()], 1_000 + second)
    return found


def test_who_is_away_is_known_at_once_and_how_long_people_stay_away_from_the_first_who_comes_back() -> None:
    seen = KeyVisits()
    first = seen.look([entry("fast", 1), entry("gone", 400), entry("slow", 24)], 1_000)
    assert (away(first, "gone") - away(first, "fast"), dict(first.longest_s)) == (399, {})
    second = seen.look([entry("fast", 0), entry("gone", 402), entry("slow", 1)], 1_002)
    assert second.longest_s[BUCKETS["slow"]] in {24, 25}, "the first who comes tells how long an entry lives"
    assert BUCKETS["gone"] not in second.longest_s


def test_who_left_is_not_alive_and_who_comes_seldom_is() -> None:
    seen = watched(90, {"fast": (2, 999), "slow": (25, 999), "gone": (2, 30)})
    here = living([seen], BP_FULL, REMEMBERED).buckets
    assert here == tuple(sorted(BUCKETS[key] for key in ("fast", "slow")))
    assert away(seen, "gone") > FLOOR_S


def test_while_nobody_comes_at_all_nobody_grows_older() -> None:
    seen = KeyVisits()
    for second in range(200):
        found = seen.look([entry("ann", second), entry("gone", second + 3)], 1_000 + second)
    assert away(found, "ann") <= 6


def test_an_entry_that_is_no_more_is_forgotten() -> None:
    seen = KeyVisits()
    seen.look([entry("ann", 5)], 1_000)
    seen.look([entry("ann", 1)], 1_006)
    assert dict(seen.look([entry("fast", 1)], 1_008).longest_s) == {}
    assert dict(seen.look([], 1_010).last_s) == {}
