"""Counters that never fall within one life of Envoy, although Envoy starts some anew when a pool's settings change."""

from dataclasses import dataclass, replace

from lbctl.model.names import Colour, Generation, ServerName, ServiceName
from lbctl.model.reading import PoolReading, ServerReading

_Key = tuple[ServiceName, Colour, ServerName]
_Counts = tuple[int, int, int]
_NONE: _Counts = (0, 0, 0)


@dataclass(slots=True)
class _Waiting:
    """What is known of a pool's requests that wait for their answer.

    A user who leaves before the answer begins is in no counter: that request was handed out and never ends. But whoever
    waits is in flight. What was handed out beyond that, at the quietest moment seen, are users who left.
    """

    seen: int = 0
    lost: int = 0
    left: int = 0

    def of(self, pool: PoolReading) -> PoolReading:
        """Return the pool with rising `started` and `answered`; what began anew counts as answered."""
        if pool.started < self.seen:
            self.lost, self.left = self.lost + self.seen, 0
        self.seen = pool.started
        self.left = max(self.left, pool.started - pool.answered - pool.in_flight)
        return replace(pool, started=self.lost + pool.started, answered=self.lost + pool.answered + self.left)


class Rising:
    """Remembers what each server had counted, and adds what was lost. Bounded by the servers of the config."""

    def __init__(self) -> None:
        self._generation: Generation | None = None
        self._last: dict[_Key, _Counts] = {}
        self._lost: dict[_Key, _Counts] = {}
        self._waiting: dict[tuple[ServiceName, Colour], _Waiting] = {}

    def of(self, generation: Generation, service: ServiceName, colour: Colour, pool: PoolReading) -> PoolReading:
        """Return the reading with servers whose counters rise; another generation starts from what it says."""
        if generation != self._generation:
            self._generation = generation
            self._last.clear()
            self._lost.clear()
            self._waiting.clear()
        servers = {name: self._server((service, colour, name), server) for name, server in pool.servers.items()}
        waiting = self._waiting.setdefault((service, colour), _Waiting())
        return replace(waiting.of(pool), servers=servers)

    def _server(self, key: _Key, server: ServerReading) -> ServerReading:
        now: _Counts = (server.requests, server.errors, server.retries)
        last, lost = self._last.get(key, _NONE), self._lost.get(key, _NONE)
        self._last[key] = now
        if any(new < old for new, old in zip(now, last, strict=True)):
            lost = self._lost[key] = (lost[0] + last[0], lost[1] + last[1], lost[2] + last[2])
        if lost is _NONE:
            return server
        return replace(server, requests=now[0] + lost[0], errors=now[1] + lost[1], retries=now[2] + lost[2])
