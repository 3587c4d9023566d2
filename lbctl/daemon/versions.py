"""Keeps the versions of the candidates known while releases move: who is asked, how often, and what was said last."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from lbctl.core.attestation import attests
from lbctl.daemon.ports import Now
from lbctl.gate.attest import Question, Said
from lbctl.model.attested import Attested
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.record import Phase, Record
from lbctl.model.topology import Service, Topology
from lbctl.model.units import Span, since

Key = tuple[ServiceName, ServerName]
Ask = Callable[[Question], Coroutine[Any, Any, Said]]

AGAIN = Span(3_000)
SOON = Span(500)
"""In preflight, and while a server says otherwise: so soon it is noticed that it was deployed to."""
AT_ONCE_MAX = 64
"""Questions under way at one time; the others wait for a place."""
ASKED_IN = frozenset({Phase.PREFLIGHT, Phase.AWAITING_APPROVAL, Phase.SHIFTING, Phase.BAKING})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A server that is to be asked: how, what it should say, and whether preflight is over. `stands`: it is on the
    board, and nothing waits for its word yet."""

    question: Question
    version: str
    proved: bool
    stands: bool = False


class Versions:
    """What candidate servers said. `attested` takes no time: who is due is asked beside it, and heard next time."""

    def __init__(self, topology: Topology, ask: Ask, now: Now) -> None:
        self._topology = topology
        self._ask = ask
        self._now = now
        self._room = asyncio.Semaphore(AT_ONCE_MAX)
        self._known: dict[Key, tuple[Question, Attested]] = {}
        self._asking: dict[Key, asyncio.Task[None]] = {}

    def configure(self, topology: Topology) -> None:
        """Take a new config: what a server said at another address, or to another question, is forgotten."""
        self._topology = topology

    def attested(self, record: Record) -> Mapping[Key, Attested]:
        """Return the last answer of every server of a candidate, and ask those that are due."""
        wanted = wanted_of(self._topology, record)
        self._known = {
            key: known for key, known in self._known.items() if key in wanted and known[0] == wanted[key].question
        }
        for key, one in wanted.items():
            if key not in self._asking and self._due(key, one):
                self._asking[key] = asyncio.create_task(self._hear(key, one.question), name=f"version of {key[1]}")
        return {key: said for key, (_, said) in self._known.items()}

    async def pool(self, service: Service, colour: Colour) -> dict[ServerName, Said]:
        """Ask every server of a pool once, now."""
        questions = {server: one for (_, server), one in _questions(service, colour).items()}
        said = await asyncio.gather(*(self._asked(one) for one in questions.values()))
        return {server: one for server, (one, _) in zip(questions, said, strict=True)}

    async def close(self) -> None:
        """Stop asking."""
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _due(self, key: Key, wanted: Wanted) -> bool:
        if key not in self._known:
            return True
        _, said = self._known[key]
        pace = AGAIN if wanted.stands or (wanted.proved and said.version == wanted.version) else SOON
        return since(said.taken_at, self._now()) >= pace

    async def _hear(self, key: Key, question: Question) -> None:
        try:
            said, taken_at = await self._asked(question)
            self._known[key] = question, Attested(said.version, said.why, taken_at)
        finally:
            del self._asking[key]

    async def _asked(self, question: Question) -> tuple[Said, Any]:
        async with self._room:
            taken_at = self._now()
            return await self._ask(question), taken_at


def wanted_of(topology: Topology, record: Record) -> dict[Key, Wanted]:
    """Return every server whose version a running release needs to know, or people who look at the board."""
    found = _of_board(topology, record)
    for release in record.releases.values():
        proved = release.phase is not Phase.PREFLIGHT
        for name, member in release.members.items() if release.phase in ASKED_IN else ():
            service = topology.services.get(name)
            if service is not None and attests(service, member.version):
                questions = _questions(service, member.to)
                found |= {key: Wanted(one, member.version, proved) for key, one in questions.items()}
    return found


def _of_board(topology: Topology, record: Record) -> dict[Key, Wanted]:
    found: dict[Key, Wanted] = {}
    for name, ready in record.board.items():
        service, adopted = topology.services.get(name), record.services.get(name)
        if service is not None and adopted is not None and attests(service, ready.version):
            questions = _questions(service, adopted.active.other)
            found |= {key: Wanted(one, ready.version, True, stands=True) for key, one in questions.items()}
    return found


def _questions(service: Service, colour: Colour) -> dict[Key, Question]:
    if service.version is None:
        return {}
    check, servers = service.version, service.pool(colour).servers
    return {(service.name, one.name): Question(check, one.address, service.tls) for one in servers}
