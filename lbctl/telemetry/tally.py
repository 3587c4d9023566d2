"""What the lines of one receiver add up to: growing sketches by instance, service and colour; lines of nobody counted.

The sketches are bounded by the config: a line can only add to what is configured, never make something new.
"""

from collections.abc import Iterable, Mapping

from lbctl.core.measured import SETTLES
from lbctl.core.rollcall import RollCall
from lbctl.model.logline import FIELDS
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.sketch import Buckets, bucket_of
from lbctl.model.topology import HaproxyForm, Plane, Service
from lbctl.model.units import Instant
from lbctl.telemetry.line import UNTIMED, read
from lbctl.telemetry.proof import Look

assert FIELDS[:3] == ("instance", "backend", "server"), "whose a line is"

_NO_SERVER = b"<NOSRV>"
_BUCKETS = tuple(map(bucket_of, range(8_192)))

Key = tuple[bytes, ...]
LaneKey = tuple[InstanceName, ServiceName]


class Count:
    """One pool of a lane: how many lines, and the times that they told."""

    __slots__ = ("calls", "colour", "lines", "times")

    def __init__(self, colour: Colour | None = None, calls: RollCall | None = None) -> None:
        self.colour = colour
        self.calls = calls
        self.lines = 0
        self.times: dict[int, int] = {}


class Lane:
    """One service on one instance. `source` names this life of its counting."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.calls = RollCall()
        self.pools = {colour: Count(colour, self.calls) for colour in Colour}
        self.nobody = Count()
        """Answers for the backend of both colours that no server gave (form `weights`)."""
        self._times: Mapping[Colour, Buckets] = {}
        self._seen = -1

    @property
    def lines(self) -> int:
        """How many lines came in for it."""
        return self.nobody.lines + sum(count.lines for count in self.pools.values())

    def look(self, now: Instant) -> Look:
        """Return what it holds now. The sketches are copied only where a line came in since."""
        lines = self.lines
        if lines != self._seen:
            self._times = {colour: dict(count.times) for colour, count in self.pools.items()}
            self._seen = lines
        return Look(now, {colour: count.lines for colour, count in self.pools.items()}, self._times)


class Tally:
    """Everything that came in through one receiver. `take` never raises, whatever it is given."""

    def __init__(self) -> None:
        self.lanes: dict[LaneKey, Lane] = {}
        self.lines = 0
        """Lines of a configured pool."""
        self.foreign = self.damaged = self.astray = 0
        """Lines of something else; lines of ours that cannot be read; lines that name no configured pool."""
        self.beside = 0
        """Lines of other backends of a configured load balancer: its frontends may serve more than lbctl's services."""
        self.example = b""
        """The beginning of the last line that could not be used."""
        self._table: dict[Key, Count] = {}
        self._heads: frozenset[bytes] = frozenset()
        self._backends: frozenset[Key] = frozenset()

    def configure(self, plane: Plane, services: Iterable[Service], source: str) -> None:
        """Count these from now on. What stays keeps its counts, what is new begins with the name `source`."""
        pairs = [(instance.name, service) for instance in plane.instances for service in services]
        self.lanes = {
            (name, service.name): self.lanes.get((name, service.name)) or Lane(source) for name, service in pairs
        }
        self._table = {}
        for name, service in pairs:
            self._table |= _keys(name, service, self.lanes[name, service.name])
        self._heads = frozenset(key[0] for key in self._table)
        self._backends = frozenset(key[:2] for key in self._table)

    def take(self, datagram: bytes) -> None:
        """Count one line."""
        try:
            line = read(datagram)
        except ValueError:
            self.damaged += 1
            self.example = datagram[:80]
            return
        if line is None:
            self.foreign += 1
            self.example = datagram[:80]
            return
        instance, backend, server, ms, why, bucket = line
        count = self._table.get((instance, backend)) or self._table.get((instance, backend, server))
        if count is None and instance in self._heads and (instance, backend) not in self._backends:
            self.beside += 1
            return
        if count is None:
            self.astray += 1
            self.example = datagram[:80]
            return
        self.lines += 1
        count.lines += 1
        if ms != UNTIMED:
            size = _BUCKETS[ms] if ms < len(_BUCKETS) else bucket_of(ms)
            count.times[size] = count.times.get(size, 0) + 1
        if count.calls is not None and count.colour is not None:
            _call(count.calls, count.colour, why, bucket, ms)


def _call(calls: RollCall, colour: Colour, why: bytes, bucket: int, ms: int) -> None:
    """Note who came. What a pin decided says nothing about the split."""
    if why == b"kept":
        calls.kept(colour, bucket)
    elif why == b"new" and ms <= SETTLES:
        calls.drew(colour)
    elif why == b"new":
        calls.drew_long(colour)
    elif why == b"moved":
        calls.moved(colour.other, bucket)


def _keys(instance: InstanceName, service: Service, lane: Lane) -> dict[Key, Count]:
    """Return what the lines of a lane begin with. Form `map`: the backend is the pool; `weights`: the server tells."""
    binding = service.haproxy
    if binding is None:
        return {}
    head = instance.encode()
    if binding.form is HaproxyForm.MAP:
        return {(head, backend.encode()): lane.pools[colour] for colour, backend in binding.backends.items()}
    found: dict[Key, Count] = {}
    for colour, backend in binding.backends.items():
        found[head, backend.encode(), _NO_SERVER] = lane.nobody
        for server in service.pool(colour).servers:
            found[head, backend.encode(), server.name.encode()] = lane.pools[colour]
    return found
