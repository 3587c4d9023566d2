"""Who is in flight for long on a pool that gets nothing new, as far as Envoy tells: on which server, for how long at
least. Whose requests they are it does not tell."""

from collections.abc import Callable
from dataclasses import dataclass

from lbctl.model.names import Colour, Generation, ServerName, ServiceName
from lbctl.model.reading import Holder, PoolReading
from lbctl.model.units import Instant, since

_Key = tuple[ServiceName, Colour, ServerName]


@dataclass(frozen=True, slots=True)
class _Still:
    begun: int
    since: Instant


class Lingering:
    """Remembers since when no server has been given anything new: what is in flight there is older than that.
    Bounded by the servers of the config."""

    def __init__(self, clock: Callable[[], Instant]) -> None:
        self._clock = clock
        self._life: Generation | None = None
        self._still: dict[_Key, _Still] = {}

    def of(self, life: Generation, service: ServiceName, colour: Colour, pool: PoolReading) -> tuple[Holder, ...]:
        """Return one holder for each request in flight; another life begins anew."""
        now = self._clock()
        if life != self._life:
            self._life = life
            self._still.clear()
        found = []
        for name, server in pool.servers.items():
            key, begun = (service, colour, name), server.requests + server.in_flight
            known = self._still.get(key)
            if known is None or begun != known.begun:
                known = self._still[key] = _Still(begun, now)
            found += [Holder(name, since(known.since, now), least=True, generation=life)] * server.in_flight
        return tuple(found)
