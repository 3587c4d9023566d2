"""When users of a stick table came, told by what is left of their entries' time."""

import pytest

from lbctl.core.living import FLOOR_S, living
from lbctl.core.rollcall import REMEMBERED, REMEMBERED_S
from lbctl.dataplane.haproxy.keyvisits import KeyVisits
from lbctl.dataplane.haproxy.sticktables import Bound
from lbctl.model.names import Colour
from lbctl.model.sessions import Visits
from lbctl.model.units import BP_FULL, SECOND, Instant

WHOLE_S = 1_800


def entry(key: str, away_s: float) -> Bound:
    return Bound("shop_all", key, "1", "blue-1", left_ms=round(1_000 * (WHOLE_S - away_s)))


BUCKETS = {key: entry(key, 0).bucket for key in ("fast", "slow", "gone", "ann")}


def away(seen: Visits, key: str) -> int:
    return seen.now_s - seen.last_s[BUCKETS[key]]


def look(seen: KeyVisits, second: int, blue: list[Bound], green: list[Bound] | None = None) -> Visits:
    seen.look({Colour.BLUE: blue, Colour.GREEN: green or []}, Instant(second * SECOND))
    return seen.visits(Colour.BLUE)


def watched(seconds: int, coming: dict[str, tuple[int, int]]) -> Visits:
    """Look every second at users who come every so often, up to a second of the watch."""
    seen = KeyVisits()
    for second in range(seconds):
        lasts = {key: min(second, until) // every * every for key, (every, until) in coming.items()}
        found = look(seen, second, [entry(key, second - last) for key, last in lasts.items()])
    return found


def test_who_is_away_is_known_at_once_and_how_long_people_stay_away_from_the_first_who_comes_back() -> None:
    seen = KeyVisits()
    first = look(seen, 0, [entry("fast", 1), entry("gone", 400), entry("slow", 24)])
    assert (away(first, "gone") - away(first, "fast"), dict(first.longest_s)) == (399, {})
    second = look(seen, 2, [entry("fast", 0), entry("gone", 402), entry("slow", 1)])
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
        found = look(seen, second, [entry("ann", second), entry("gone", second + 3)])
    assert away(found, "ann") <= 6
    assert seen.heard_at == Instant(0)


def test_an_entry_that_is_no_more_is_forgotten() -> None:
    seen = KeyVisits()
    look(seen, 0, [entry("ann", 5)])
    look(seen, 6, [entry("ann", 1)])
    assert dict(look(seen, 8, [entry("fast", 1)]).longest_s) == {}
    assert dict(look(seen, 10, []).last_s) == {}


@pytest.mark.parametrize("every_ms", [300, 450, 1_000, 2_500])
def test_a_crowd_that_is_cut_off_is_told_and_grows_no_older_though_one_still_comes(every_ms: int) -> None:
    """However often is looked: after a write at once, else every second, or seldom where tables are large."""
    seen = KeyVisits()
    for at_ms in range(0, 120_000, every_ms):
        gone_s = max(0.0, at_ms / 1_000 - 30)
        some = [entry(f"user {one}", gone_s + (one + at_ms / 1_000 - gone_s) % 3) for one in range(300)]
        seen.look({Colour.BLUE: [*some, entry("ann", 0)], Colour.GREEN: []}, Instant(at_ms))
        found = seen.visits(Colour.BLUE)
        if not 30_000 <= at_ms <= 35_000:
            assert (seen.coming.away_since is None) == (at_ms < 30_000), at_ms
    assert seen.coming.usual > 50
    assert seen.coming.lately <= 0.5, "one session, however often it comes"
    assert found.now_s - min(found.last_s.values()) < 10


def test_who_was_cleared_and_came_back_to_the_other_pool_has_moved() -> None:
    seen, blue = KeyVisits(), [entry(f"user {number}", 1) for number in range(30)]
    look(seen, 0, blue)
    look(seen, 1, blue[20:])
    assert seen.moved_lately(Colour.BLUE) == 0
    look(seen, 2, blue[20:], blue[:7])
    look(seen, 4, blue[20:], blue[:12])
    assert (seen.moved_lately(Colour.BLUE), seen.moved_lately(Colour.GREEN)) == (12, 0)
    look(seen, 12, blue[20:], blue[:12])
    assert seen.moved_lately(Colour.BLUE) == 5
    look(seen, 14, blue[20:], blue[:12])
    assert seen.moved_lately(Colour.BLUE) == 0


def test_keys_that_came_and_went_are_not_kept_for_longer_than_their_users_are_remembered() -> None:
    seen, ann = KeyVisits(), entry("ann", 0)
    for second in range(3 * REMEMBERED_S):
        visitors = [entry(f"visitor {second - ago_s}", ago_s) for ago_s in range(3)]
        look(seen, second, [ann] if second < 10 else [], visitors)
    assert sum(len(keys) for pool in seen._pools.values() for keys in (pool._keys, pool._keys_before)) < 1_300
    look(seen, second + 1, [], [*visitors, ann])
    assert seen.moved_lately(Colour.BLUE) == 0
