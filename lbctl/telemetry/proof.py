"""Which lines the load balancer's own counters bear out. Anybody may send lines; nobody else can make HAProxy count.

A request is counted when its line is sent, so what came in before a reading was taken is in that reading's counters.
Times are shown only as they were then: one reading later than they came, and never before they were compared.
"""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from lbctl.model.names import Colour, Generation
from lbctl.model.reading import InstanceReading, PoolReading
from lbctl.model.sketch import Buckets
from lbctl.model.topology import HaproxyForm
from lbctl.model.units import MINUTE, Instant, since
from lbctl.telemetry.loss import Window

LOOKS_MAX = 64
"""Looks kept until a reading was taken after them: with a reading every 0.1 s, those of some seconds."""
OLD_WORKERS = MINUTE
"""After a reload old workers end their requests, and count them where nobody reads: for so long nothing is surplus.
Later so many lines are none as were in flight then, which a WebSocket of an old worker is for hours, and as came to old
workers since."""


class Look(NamedTuple):
    """What had come in for one lane at an instant."""

    at: Instant
    lines: Mapping[Colour, int]
    pools: Mapping[Colour, Buckets]


class Proof:
    """One lane's lines against what the load balancer counted."""

    def __init__(self, form: HaproxyForm) -> None:
        self.form = form
        self.proved: Look | None = None
        """The last look that was compared; None: there was no reading since the first one."""
        self._looks: deque[Look] = deque(maxlen=LOOKS_MAX)
        self._bases: dict[Colour, int] = {}
        self._counted: dict[Colour, int] = {}
        self._over = dict.fromkeys(Colour, 0)
        self._in_flight = dict.fromkeys(Colour, 0)
        self._arrived = dict.fromkeys(Colour, 0)
        """At old workers, when the bases were taken."""
        self._late = dict.fromkeys(Colour, 0)
        """Lines that old workers may still send."""
        self._windows = {colour: Window() for colour in Colour}
        self._generation: Generation | None = None
        self._born = self._taken_at = Instant(-1)

    @property
    def surplus(self) -> int:
        """Lines that nobody counted, of both pools; rises. Never more than really are too many."""
        return sum(self._over.values())

    def forged(self, now: Instant) -> bool:
        """Return whether that is more than 1 % of a pool's lines in the last ten seconds. A pool may have few lines, so
        there is no least number: HAProxy sends none that it does not count."""
        lines = self.proved.lines if self.proved is not None else dict.fromkeys(Colour, 0)
        said = [one.look(now, lines[colour], self._over[colour]) for colour, one in self._windows.items()]
        return any(said)

    def look(self, newest: Look) -> None:
        """Take what has come in until now."""
        self._looks.append(newest)

    def compare(self, newest: Look, instance: InstanceReading, pools: Mapping[Colour, PoolReading]) -> None:
        """Take what has come in until now and the last reading, and prove the newest look from before that."""
        self.look(newest)
        if instance.taken_at == self._taken_at:
            return
        self._taken_at, before = instance.taken_at, None
        while self._looks and self._looks[0].at <= instance.taken_at:
            before = self._looks.popleft()
        counted = {colour: _counted(pool, self.form) for colour, pool in pools.items()}
        known = self._generation
        if self._begins_anew(instance, counted):
            succeeds = bool(instance.draining_generations) or known not in {None, instance.generation}
            # Lines that came in since the reading was taken are none of a stranger: the highest base is the safe one.
            self._bases = {colour: newest.lines[colour] - n - self._over[colour] for colour, n in counted.items()}
            self._in_flight = {colour: pool.in_flight if succeeds else 0 for colour, pool in pools.items()}
            self._arrived = {colour: _arrived_at_old(pool, instance.generation) for colour, pool in pools.items()}
            self._late = dict.fromkeys(pools, 0)
        self._counted = counted
        for colour, pool in pools.items():
            came = _arrived_at_old(pool, instance.generation) - self._arrived[colour]
            self._late[colour] = max(self._late[colour], self._in_flight[colour] + came)
        if before is None:
            return
        for colour, number in counted.items():
            surplus = before.lines[colour] - number - self._bases[colour] - self._late[colour]
            self._over[colour] = max(self._over[colour], surplus)
        self.proved = before

    def _begins_anew(self, instance: InstanceReading, counted: Mapping[Colour, int]) -> bool:
        if instance.generation != self._generation:
            self._generation, self._born = instance.generation, instance.taken_at
            return True
        if any(number < self._counted.get(colour, 0) for colour, number in counted.items()):
            return True
        return bool(instance.draining_generations) and since(self._born, instance.taken_at) < OLD_WORKERS


def _arrived_at_old(pool: PoolReading, newest: Generation) -> int:
    """Return how many requests came to a pool by workers that have no successor's counters."""
    return sum(count for life, count in pool.arrived.items() if life != newest)


def _counted(pool: PoolReading, form: HaproxyForm) -> int:
    """Return a number that rises with every line of a pool. In form `weights` what a user gave up is no answer of any
    server, but an attempt, and has a line."""
    if form is HaproxyForm.MAP:
        return pool.requests
    return sum(server.requests for server in pool.servers.values())
