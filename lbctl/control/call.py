"""One authorised request, as the handlers see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any, TypedDict

import msgspec
from aiohttp import web

from lbctl import wall
from lbctl.control.bodies import folded
from lbctl.control.peer import Peer, actor
from lbctl.control.port import Desk
from lbctl.model.errors import Refused
from lbctl.model.request import Request


class AskedFields(TypedDict):
    """The fields common to every request of the model."""

    id: int
    actor: str
    reason: str
    nonce: str
    wall: str
    uid: int
    login: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`path` and `query` are checked against the route; `body` has the route's form (None: the route has none)."""

    desk: Desk
    peer: Peer
    path: Mapping[str, str]
    query: Mapping[str, str | int]
    body: msgspec.Struct | None
    request: web.Request

    def text(self, name: str) -> str | None:
        """Return a text of the query, None if it is not there."""
        value = self.query.get(name)
        return None if value is None else str(value)

    def number(self, name: str, default: int) -> int:
        """Return a number of the query."""
        return int(self.query.get(name, default))

    def wall(self) -> datetime:
        """Return the wall time, which people speak in."""
        return datetime.now(UTC)

    async def asked(self, reason: str) -> AskedFields:
        """Return what every request carries: who, why, when, its number and fresh randomness."""
        return AskedFields(
            id=self.desk.next_request_id(),
            actor=await actor(self.peer),
            reason=folded(reason),
            nonce=token_hex(16),
            wall=wall.text(self.wall()),
            uid=self.peer.uid,
            login=self.peer.login,
        )

    async def submit(self, request: Request) -> dict[str, Any]:
        """Return the facts of an accepted request.

        Raises:
            Refused: it was not accepted.
        """
        answer = await self.desk.submit(request)
        if answer.accepted:
            return answer.body
        body = answer.body
        raise Refused(
            str(body.get("code", "refused")),
            str(body.get("what", "refused")),
            why=str(body.get("why", "")),
            then=str(body.get("then", "")),
            exit_code=int(body.get("exit_code", 5)),
        )
