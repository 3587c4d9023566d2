"""Closes sessions of one pool, whichever worker has them, by `shutdown session`, and nothing else.

A session is named by its place in memory, which another one takes soon after it ended. So the list is taken right
before, a worker that is slow to give it is left alone, and in front of every end HAProxy is asked once more who is
there: an end that hit somebody else (it ended within that millisecond by itself) is told, never hidden. Old workers
answer `shutdown sessions server` with "Proxy is disabled", so that there is no shorter way.
"""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lbctl.dataplane.closing import ANOTHER, Cut
from lbctl.dataplane.haproxy.form import Form
from lbctl.dataplane.haproxy.holders import SHOW, parse_age
from lbctl.dataplane.haproxy.looking import Look, look_at_all
from lbctl.dataplane.haproxy.workers import ask_worker, batches
from lbctl.model.errors import DataPlaneError, Garbled
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.topology import Instance, Service
from lbctl.model.units import Span

ASK_S = 0.4
FRESH_S = 0.25
"""A list that took longer says nothing about who is where now."""
_LINE = re.compile(r"^(0x[0-9a-f]+): ")
_FIELD = re.compile(r" (src|be|srv|age)=(\S+)")
_BACKEND = re.compile(r"^\s+backend=(\S+)")
_SERVER = re.compile(r"^\s+server=(\S+)")
_SOURCE = re.compile(r" source=(\S+)")


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a worker. `place` is where it is in memory."""

    place: str
    client: str
    backend: str
    server: str
    age: Span


def parse_sessions(lines: Sequence[str]) -> Iterator[Session]:
    """Yield the sessions of a `show sess` answer that a server has."""
    for line in lines:
        head, found = _LINE.match(line), dict(_FIELD.findall(line))
        if head and found.keys() >= {"be", "srv"} and found["srv"] != "<none>":
            age = parse_age(found.get("age", ""))
            yield Session(head[1], found.get("src", ""), found["be"], found["srv"], age)


def is_there(session: Session, detail: Sequence[str]) -> bool:
    """Whether `show sess PLACE` still tells of this session."""
    found = (next((one[1] for line in detail if (one := word.match(line))), "") for word in (_BACKEND, _SERVER))
    source = _SOURCE.search(detail[0]) if detail else None
    return tuple(found) == (session.backend, session.server) and (source[1] if source else "") == session.client


class Sessions:
    """The sessions of all workers of one HAProxy. `cut` is a `closing.Cutter`."""

    def __init__(self, instance: Instance, forms: Mapping[ServiceName, Form], services: Sequence[Service]) -> None:
        self._instance = instance
        self._forms = forms
        self._servers = {
            (one.name, colour): frozenset(str(server.name) for server in one.pool(colour).servers)
            for one in services
            for colour in Colour
        }

    async def cut(self, service: ServiceName, colour: Colour, most: int) -> Cut:
        """Close the oldest sessions of a pool. Raises Unreachable, Garbled."""
        form = self._forms[service]
        began = asyncio.get_running_loop().time()
        looks = await look_at_all(self._instance, dict.fromkeys([*form.steering, SHOW]), ASK_S)
        self._check_unfed(form, looks, colour)
        found = [
            (look, one)
            for look in looks
            for one in parse_sessions(look.answers[SHOW])
            if one.backend == form.backends[colour] and one.server in self._servers[service, colour]
        ]
        if asyncio.get_running_loop().time() - began > FRESH_S:
            raise Garbled(f"CLOSING_STALLED: {self._instance.name} is slow: its list of sessions is too old")
        doomed = sorted(found, key=lambda pair: -pair[1].age)[:most]
        by_worker: dict[Generation, tuple[Look, list[Session]]] = {}
        for look, one in doomed:
            by_worker.setdefault(look.life, (look, []))[1].append(one)
        done = await asyncio.gather(*(self._ended(look, some) for look, some in by_worker.values()))
        closed = sum(count for count, _ in done)
        return Cut(closed, len(found) - closed, next((trouble for _, trouble in done if trouble), ""))

    def _check_unfed(self, form: Form, looks: Sequence[Look], colour: Colour) -> None:
        """Raise Garbled if a worker still sends somebody to this pool, whatever lbctl ordered."""
        for look in looks:
            route = form.runtime(look)
            if route is not None and route.feeds(colour):
                raise Garbled(f"STILL_ROUTED: {look.life} of {self._instance.name} still sends somebody to {colour}")

    async def _ended(self, look: Look, sessions: Sequence[Session]) -> tuple[int, str]:
        """End these sessions of one worker; return how many were there, and what went wrong: what was closed counts."""
        try:
            return await self._end(look, sessions)
        except DataPlaneError as error:
            return 0, str(error)

    async def _end(self, look: Look, sessions: Sequence[Session]) -> tuple[int, str]:
        """End them. Raises Unreachable, Garbled, where nothing is known to be closed."""
        commands = [text for one in sessions for text in (f"{SHOW} {one.place}", f"shutdown session {one.place}")]
        answers: list[list[str]] = []
        for part in batches(commands):
            answers += await ask_worker(self._instance, look.worker, part, ASK_S)
        ended, trouble = 0, ""
        for one, detail, said in zip(sessions, answers[::2], answers[1::2], strict=True):
            if said:
                continue
            if not is_there(one, detail):
                trouble = f"{ANOTHER}{look.life} ended whoever had taken the place of {one.client}"
            ended += 1
        return ended, trouble
