"""Users who come and go by the second, and a pool's limit that comes down for them: counted by the users."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from lbctl.core.parting import part
from lbctl.core.rollcall import RollCall
from lbctl.core.seating import level_of, seats
from lbctl.model.names import Colour
from lbctl.model.sessions import Leaving
from lbctl.model.units import BP_FULL, SECOND, Instant

HALVES = 2
"""Ticks in a second."""
Session = list[float]
"""The seconds in which somebody comes."""


def regular(count: int, think_s: float, until_s: float, begin_s: float = 0, spread: float = 0.5) -> list[Session]:
    """Users who come every so often."""
    chance = Random(count)
    return [[*_every(chance, begin_s + chance.random() * think_s, until_s, think_s, spread)] for _ in range(count)]


def short(per_second: float, stay_s: float, think_s: float, until_s: float) -> Iterator[Session]:
    """Users who come, stay for a while and leave, one after another; no new one after `until_s`."""
    chance, at = Random(7), 0.0
    while at < until_s:
        at += chance.expovariate(per_second)
        ends = at + chance.expovariate(1 / stay_s)
        yield regular(1, think_s, ends, at)[0]


def bursts(count: int, click_s: float, busy_s: float, idle_s: float, until_s: float) -> list[Session]:
    """Users who click for a while, read for long, and click again, each at other times."""
    chance, found = Random(count), []
    for _ in range(count):
        at, session = -chance.random() * (busy_s + idle_s), []
        while at < until_s:
            busy = busy_s * chance.uniform(0.7, 1.3)
            session += [one for one in _every(chance, at, at + busy, click_s, 0.5) if 0 <= one < until_s]
            at += busy + idle_s * chance.uniform(0.7, 1.3)
        found.append(session)
    return found


def _every(chance: Random, at: float, until_s: float, think_s: float, spread: float) -> Iterator[float]:
    while at < until_s:
        yield at
        at += think_s * chance.uniform(1 - spread, 1 + spread)


@dataclass
class Comings:
    """Sessions that are first on blue. From `begins_s` on blue is to be left at `per_second`.

    `away_s`: seconds in which only `through` of them can come, the others come right after it. `killed_s`: when the
    watch begins anew. `drawn`: whether somebody without a session comes in a second.
    """

    sessions: Sequence[Session]
    per_second: int
    begins_s: int
    away_s: range = range(0)
    through: Collection[int] = ()
    killed_s: Collection[int] = ()
    drawn: Callable[[int], bool] = lambda second: True
    until_s: int = 300
    moves: list[int] = field(default_factory=list)
    """The second of each move, since `begins_s`."""
    keep_bp: int = BP_FULL
    leaving: Leaving | None = None
    ended_s: int = 0
    """When the limit was 0, since `begins_s`; 0: not yet."""

    def run(self) -> list[int]:
        """Return how many moved in every ten seconds, as long as the limit was above 0."""
        chance, call = Random(5), RollCall(Instant(0))
        buckets = [chance.randrange(BP_FULL) for _ in self.sessions]
        colours, coming = [Colour.BLUE] * len(buckets), self._coming(chance)
        for tick in range(HALVES * (self.begins_s + self.until_s)):
            now, second = Instant(tick * SECOND // HALVES), tick // HALVES
            if second in self.killed_s and not tick % HALVES:
                call = RollCall(now)
            for user in coming.get(tick, ()):
                self._come(call, user, buckets, colours, second)
            if self.drawn(second):
                call.drew(Colour.GREEN)
            if second >= self.begins_s or not tick % HALVES:
                self._leave(call, now, second)
        return [self.within(start) for start in range(0, (self.ended_s or self.until_s) - 9, 10)]

    def within(self, start: int) -> int:
        """Return how many moved in the ten seconds from `start` on."""
        return sum(start <= one < start + 10 for one in self.moves)

    def _coming(self, chance: Random) -> dict[int, list[int]]:
        coming: dict[int, list[int]] = {}
        for user, session in enumerate(self.sessions):
            for at in session:
                shut = int(at) in self.away_s and user not in self.through
                tick = HALVES * self.away_s.stop + chance.randrange(2 * HALVES) if shut else int(at * HALVES)
                coming.setdefault(tick, []).append(user)
        return coming

    def _come(self, call: RollCall, user: int, buckets: list[int], colours: list[Colour], second: int) -> None:
        stays = colours[user] is Colour.GREEN or buckets[user] < level_of(self.keep_bp, BP_FULL)
        if stays:
            call.kept(colours[user], buckets[user])
            return
        colours[user] = Colour.GREEN
        call.moved(Colour.BLUE, buckets[user])
        self.moves.append(second - self.begins_s)

    def _leave(self, call: RollCall, now: Instant, second: int) -> None:
        if not self.keep_bp:
            return
        seen = seats([call.look(now)], Colour.BLUE, now)
        if second < self.begins_s:
            return
        began = Leaving(per_second=self.per_second, began_at=now, paced_at=now, deadline=Instant(10**9))
        leaving = self.leaving or began
        found = part(self.keep_bp, leaving, seen, now)
        assert found is None or found[0] <= self.keep_bp, "a limit never rises"
        self.keep_bp, self.leaving = found or (self.keep_bp, leaving)
        self.ended_s = self.ended_s or (not self.keep_bp) * (second - self.begins_s)
