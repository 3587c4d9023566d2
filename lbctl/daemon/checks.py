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

    def heard(self, results: Sequence[ProbeResult]) -> None:
        """Fold a batch of results in. Results of servers that left the config are dropped."""
        now = self._now()
        for result in results:
            key = self._keys.get(result.key)
            if key is not None:
                settings = self._settings[key[0]]
                self._states[key] = observe(self._states[key], result.ok, now, settings, result.detail)

    def health(self, now: Instant) -> Mapping[Key, Health]:
        """Return what is known of every server; silence alone makes a server unknown."""
        self._states = {key: refresh(state, now, self._settings[key[0]]) for key, state in self._states.items()}
        return {key: state.health for key, state in self._states.items()}

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


def _keys_of(service: Service) -> Iterator[tuple[str, Key]]:
    if service.health is not None:
        for server in (*service.blue.servers, *service.green.servers):
            yield key_of(service, service.health, server), (service.name, server.name)
