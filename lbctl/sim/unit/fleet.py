"""What runs in the four pools of the simulated unit, and which versions can speak with each other.

Whether two can is a matter of sets here, of the apis that one offers and the other knows: nothing of the core is asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.record import Contract
from lbctl.model.units import Instant
from lbctl.sim.unit.site import SERVERS, A

API = "accounts-api"
Key = tuple[ServiceName, Colour]


class Life(StrEnum):
    """How the servers of a pool are."""

    SERVES = "serves"
    DEPLOYING = "is deployed to"
    STOPPED = "is stopped"


@dataclass(frozen=True, slots=True)
class Version:
    """A version: of accounts with the apis that it offers, of storefront with those that it knows."""

    number: int
    apis: frozenset[int]

    @property
    def contract_of_provider(self) -> Contract:
        """What accounts declares."""
        return Contract(provides={API: tuple(sorted(self.apis))})

    @property
    def contract_of_consumer(self) -> Contract:
        """What storefront declares: it knows a range of apis, without gaps."""
        return Contract(requires={API: f">={min(self.apis)},<={max(self.apis)}"})

    def contract(self, name: ServiceName) -> Contract:
        """What this version of a service declares."""
        return self.contract_of_provider if name == A else self.contract_of_consumer

    def speaks_with(self, other: "Version") -> bool:
        """Whether the two can talk."""
        return bool(self.apis & other.apis)


FIRST = Version(1, frozenset({1}))


@dataclass(frozen=True, slots=True)
class Runs:
    """What a pool runs, how it is, since when; `until`: when its deployment is done."""

    version: Version = FIRST
    life: Life = Life.SERVES
    since: Instant = Instant(0)
    until: Instant = Instant(0)
    coming: Version = FIRST


@dataclass(slots=True)
class Fleet:
    """All pools. `dead`: servers that died by themselves."""

    runs: dict[Key, Runs] = field(default_factory=lambda: dict.fromkeys(SERVERS, Runs()))
    dead: set[ServerName] = field(default_factory=set)
    newest: int = 1

    def version(self, apis: Iterable[int]) -> Version:
        """Return a version that nobody built before."""
        self.newest += 1
        return Version(self.newest, frozenset(apis))

    def deploy(self, key: Key, version: Version, now: Instant, done: Instant) -> None:
        """Stop what runs there and bring up another version."""
        self.runs[key] = Runs(self.runs[key].version, Life.DEPLOYING, now, done, version)

    def stop(self, key: Key, now: Instant) -> None:
        """Nothing listens there any more."""
        self.runs[key] = replace(self.runs[key], life=Life.STOPPED, since=now)

    def begin(self, key: Key, now: Instant) -> None:
        """Start again what ran there."""
        self.runs[key] = replace(self.runs[key], life=Life.SERVES, since=now)

    def pass_time(self, now: Instant) -> None:
        """End deployments that are done."""
        for key, one in self.runs.items():
            if one.life is Life.DEPLOYING and one.until <= now:
                self.runs[key] = Runs(one.coming, Life.SERVES, now)

    def serves(self, name: ServiceName, colour: Colour) -> bool:
        """Whether the pool was neither stopped nor is being deployed to."""
        return self.runs[name, colour].life is Life.SERVES

    @property
    def up(self) -> set[ServerName]:
        """The servers that answer."""
        alive = (server for key, one in self.runs.items() if one.life is Life.SERVES for server in SERVERS[key])
        return {*alive} - self.dead
