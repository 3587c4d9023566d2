"""What the prober says, folded into one view per server: rise and fall, flaps, and when not to believe it at all."""

from collections.abc import Iterator, Mapping, Sequence

from lbctl.core.health import HealthSettings, HealthState, observe, panic, refresh
from lbctl.daemon.ports import Now
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.reading import Health
from lbctl.model.topology import Service, Topology
from lbctl.model.units import Instant, Span, since
from lbctl.probe.port import ProbeResult, key_of

Key = tuple[ServiceName, ServerName]


class Checks:
    """The health of every server with a check. `heard` takes the prober's batches; the rest only reads."""

    def __init__(self, topology: Topology, now: Now) -> None:
        self._now = now
        self._states: dict[Key, HealthState] = {}
        self._known: dict[Key, Health] = {}
        """What is known of each server, as of its last change."""
        self._quiet_until = now()
        """Until then no silence is long enough to change anything."""
        self._settings: dict[ServiceName, HealthSettings] = {}
        self._keys: dict[str, Key] = {}
        self._services: dict[ServiceName, Service] = {}
        self.configure(topology)

    def configure(self, topology: Topology) -> None:
        """Take a new config: servers that stay where they were keep what is known of them."""
        services = {name: service for name, service in topology.services.items() if service.health is not None}
        self._services = services
        self._settings = {
            name: HealthSettings.of(one.health) for name, one in services.items() if one.health is not None
        }
        before, self._keys = self._keys, {text: key for one in services.values() for text, key in _keys_of(one)}
        unknown = HealthState.unknown(self._now())
        self._states = {key: self._states[key] if text in before else unknown for text, key in self._keys.items()}
        self._known = {key: state.health for key, state in self._states.items()}
        self._quiet_until = self._now()

    def heard(self, results: Sequence[ProbeResult]) -> None:
        """Fold a batch of results in. Results of servers that left the config are dropped."""
        now = self._now()
        for result in results:
            key = self._keys.get(result.key)
            if key is not None:
                self._take(key, observe(self._states[key], result.ok, now, self._settings[key[0]], result.detail))

    def health(self, now: Instant) -> Mapping[Key, Health]:
        """Return what is known of every server; silence alone makes a server unknown."""
        if now > self._quiet_until:
            self._quiet_until = self._look_for_silence(now)
        return dict(self._known)

    def _look_for_silence(self, now: Instant) -> Instant:
        """Make unknown who was silent for too long; return until when nobody's silence can say anything new."""
        patience = {name: one.stale_after for name, one in self._settings.items()}
        ends = now + max(patience.values(), default=0)
        for key, state in self._states.items():
            if state.heard_at is not None:
                end = state.heard_at + patience[key[0]]
                ends = min(ends, end)
                if end < now:
                    self._take(key, refresh(state, now, self._settings[key[0]]))
        return Instant(ends)

    def _take(self, key: Key, state: HealthState) -> None:
        """Thousands of servers are heard of every second, and hardly ever anything new."""
        before, self._states[key] = self._states[key], state
        if before.heard_at is None:
            # It may be silent before those that were heard of so far.
            self._quiet_until = min(self._quiet_until, self._now())
        if _told(before) != _told(state):
            self._known[key] = state.health

    def silences(self, now: Instant) -> Mapping[ServiceName, Span]:
        """Return for how long each service's server that was checked least lately was not."""
        found: dict[ServiceName, Span] = {}
        for (service, _), state in self._states.items():
            heard = state.since if state.heard_at is None else state.heard_at
            found[service] = max(found.get(service, Span(0)), since(heard, now))
        return found

    def suspects(self, now: Instant) -> Mapping[ServiceName, str]:
        """Return the services for which the checker itself is suspect, and why."""
        found = {name: self._panic(service, now) for name, service in self._services.items()}
        return {name: why for name, why in found.items() if why}

    def _panic(self, service: Service, now: Instant) -> str | None:
        blue, green = (
            [self._states[service.name, server.name] for server in service.pool(colour).servers] for colour in Colour
        )
        return panic(blue, green, now, self._settings[service.name])


def _told(state: HealthState) -> tuple[object, ...]:
    return state.up, state.since, state.detail, state.refused_since


def _keys_of(service: Service) -> Iterator[tuple[str, Key]]:
    if service.health is not None:
        for server in (*service.blue.servers, *service.green.servers):
            yield key_of(service, service.health, server), (service.name, server.name)
