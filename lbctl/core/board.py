"""The board: versions that are deployed and ready, and the largest set of them that may go together now. Pure.

A set may go if every consumer and provider that its pins let talk at any moment can speak with each other, and if the
pairs that remain can: together, new meets new; a provider alone meets the consumer's active version; a consumer alone
meets the provider's active version. A record that fits nothing yet waits, blocks nobody else, and gets no request.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from lbctl.core import coupling
from lbctl.core.contracts import misfit
from lbctl.model.errors import Refused
from lbctl.model.names import ServiceName
from lbctl.model.record import Contract, Record
from lbctl.model.topology import Rendezvous, Topology, Unit

MEMBERS_MAX = 10
"""Sets of more services than that are not searched through; the config refuses larger units."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a set cannot go: whose record waits for whom, and for what."""

    service: ServiceName
    waits_for: ServiceName
    why: str

    def __str__(self) -> str:
        return f"waiting for {self.waits_for}: {self.why}"


def rendezvous(unit: Unit, record: Record) -> Rendezvous:
    """Return which records may go together: as configured, else by contract where every record declares one."""
    if unit.rendezvous is not None:
        return unit.rendezvous
    waiting = [record.board[name] for name in unit.services if name in record.board]
    return Rendezvous.CONTRACT if all(one.contract.declared for one in waiting) else Rendezvous.ALL


def contract_unread(topology: Topology, name: ServiceName, contract: Contract) -> None:
    """Raises:
    Refused: it is declared where nobody would look at it.
    """
    unit = topology.unit_of(name)
    if unit.rendezvous is Rendezvous.NONE and contract.declared:
        what = f"{name} declares a contract, and unit {unit.name} has `rendezvous: none`: nobody would look at it"
        raise Refused("contract_unchecked", what, then="leave the contract out, or configure `rendezvous: contract`")


def largest_set(topology: Topology, record: Record, unit: Unit) -> tuple[ServiceName, ...]:
    """Return the largest set of records on the board that may go now, the carrier first; empty if there is none."""
    waiting = [name for name in unit.services if name in record.board]
    for size in _sizes(rendezvous(unit, record), len(waiting), len(unit.services)):
        for chosen in combinations(waiting, size):
            first = _carrier(topology, chosen)
            if first is not None and obstacle(topology, record, unit, chosen) is None:
                return (first, *(name for name in chosen if name != first))
    return ()


def _sizes(rule: Rendezvous, waiting: int, all_count: int) -> range:
    match rule:
        case Rendezvous.CONTRACT:
            return range(waiting, 0, -1)
        case Rendezvous.ALL:
            return range(waiting, all_count - 1, -1)
        case Rendezvous.NONE:
            return range(min(waiting, 1), 0, -1)


def _carrier(topology: Topology, chosen: tuple[ServiceName, ...]) -> ServiceName | None:
    try:
        return coupling.carrier(topology, chosen)
    except Refused:
        return None


def obstacle(topology: Topology, record: Record, unit: Unit, chosen: tuple[ServiceName, ...]) -> Obstacle | None:
    """Return the first pair of a set that could not speak with each other; None if the set may go."""
    if rendezvous(unit, record) is not Rendezvous.CONTRACT:
        return None
    for consumer, provider in _edges(topology, unit):
        if consumer not in chosen and provider not in chosen:
            continue
        ours, theirs = _spoken(record, consumer, chosen), _spoken(record, provider, chosen)
        if ours is None or theirs is None:
            continue
        elsewhere = _elsewhere(topology, record, consumer, provider, chosen)
        why = _unspoken(consumer, provider, ours, theirs, elsewhere)
        if why:
            waits, other = (provider, consumer) if provider in chosen else (consumer, provider)
            return Obstacle(waits, other, why)
    return None


def _unspoken(
    consumer: ServiceName,
    provider: ServiceName,
    ours: tuple[str, Contract],
    theirs: tuple[str, Contract],
    elsewhere: frozenset[str],
) -> str:
    """Return why two versions cannot be let talk; empty if they can. What is not declared is not known."""
    for name, (version, contract) in ((consumer, ours), (provider, theirs)):
        if not contract.declared:
            return (
                f"{name} {version} declares no contract: nobody knows whom it can speak with (where it is active: "
                f"lbctl adopt {name} --active COLOUR --version {version} --provides NAME=N --requires 'NAME>=N')"
            )
    wrong = misfit(ours[1].requires, theirs[1].provides, elsewhere - theirs[1].provides.keys())
    return "" if wrong is None else f"{consumer} {ours[0]} {wrong} by {provider} {theirs[0]}"


def _edges(topology: Topology, unit: Unit) -> Iterator[tuple[ServiceName, ServiceName]]:
    for provider in unit.services:
        for consumer in topology.services[provider].consumers:
            if consumer in unit.services:
                yield consumer, provider


def _spoken(record: Record, name: ServiceName, chosen: tuple[ServiceName, ...]) -> tuple[str, Contract] | None:
    """Return the version of a service that talks if the set goes, and its contract: the new one, else the active."""
    if name in chosen:
        return record.board[name].version, record.board[name].contract
    adopted = record.services.get(name)
    return None if adopted is None else (adopted.pool(adopted.active).version, adopted.pool(adopted.active).contract)


def _elsewhere(
    topology: Topology, record: Record, consumer: ServiceName, provider: ServiceName, chosen: tuple[ServiceName, ...]
) -> frozenset[str]:
    """Return the names that another provider of `consumer` answers for.

    That is one whose version that talks offers it. What none of them offers now is the business of those that ever
    offered it: two such providers never leave it to each other.
    """
    others = [name for name in coupling.providers_of(topology, consumer) if name != provider]
    spoken = [found[1] for name in others if (found := _spoken(record, name, chosen)) is not None]
    offered = frozenset(name for contract in spoken for name in contract.provides)
    known = frozenset[str]().union(*(_ever_offered(record, name) for name in others))
    return offered | (known - _ever_offered(record, provider))


def _ever_offered(record: Record, name: ServiceName) -> frozenset[str]:
    """Return what every known version of a service offers: of its pools, and of the board."""
    adopted = record.services.get(name)
    contracts = [] if adopted is None else [adopted.blue.contract, adopted.green.contract]
    contracts += [record.board[name].contract] if name in record.board else []
    return frozenset(offered for contract in contracts for offered in contract.provides)
