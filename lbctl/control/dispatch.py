"""From an HTTP request to an answer: rights, query, body, handler, problem. Nothing that goes wrong gets past here."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import msgspec
import structlog
from aiohttp import web

from lbctl.config.fault import did_you_mean
from lbctl.config.settings import Access
from lbctl.control.bodies import decode
from lbctl.control.call import Call
from lbctl.control.peer import Peer, user
from lbctl.control.port import Desk
from lbctl.control.problem import PROBLEM_JSON, Problem, of_refused
from lbctl.control.rights import Role, authorise, role_of
from lbctl.control.routes import Holder, Query, Route
from lbctl.control.stream import follow
from lbctl.control.target import chosen
from lbctl.model.errors import LbctlError, Refused

log = structlog.get_logger("lbctl.control")
Answerer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATH_PART_MAX = 63
SLOW = Problem(
    status=503,
    code="slow",
    what="the daemon did not answer in time",
    why="a change may still be carried out",
    then="lbctl status",
    exit_code=1,
)


def answerer(
    route: Route, desk: Desk, access: Callable[[], Access], own_uid: int, peer_of: Callable[[web.Request], Peer]
) -> Answerer:
    """Return the aiohttp handler of one route."""

    async def answer(request: web.Request) -> web.StreamResponse:
        peer = peer_of(request)
        path = {name: _path_part(value) for name, value in request.match_info.items()}
        if route.holder is Holder.PATH and role_of(peer, access(), (), own_uid) >= Role.OBSERVE:
            desk.services_of(path["service"])  # Who may look is told of a wrong name, not of a role that it lacks.
        await refuse_unless(route.need, peer, access(), _services(route, path, desk), own_uid)
        query = _query(request.query, route.query)
        body = None if route.body is None else decode(await request.read(), route.body)
        call = Call(desk=desk, peer=peer, path=path, query=query, body=body, request=request)
        if query.get("follow") == 1:
            return await follow(call)
        found = await route.handle(call)
        return found if isinstance(found, web.Response) else _json(found, route.status)

    return answer


async def refuse_unless(need: Role, peer: Peer, access: Access, services: Collection[str], own_uid: int) -> None:
    """Raise `Refused` unless the peer may."""
    refusal = authorise(peer, access, need, services, own_uid)
    if refusal is not None:
        what = f"{await user(peer.uid)} {refusal.what}"
        raise Refused("not_authorised", what, why=refusal.why, then=refusal.then, exit_code=6)


def _json(found: dict[str, Any], status: int) -> web.Response:
    return web.Response(body=msgspec.json.encode(found), status=status, content_type="application/json")


def _path_part(value: str) -> str:
    if len(value) <= PATH_PART_MAX and value.isprintable():
        return value
    raise Refused("no_such_thing", "there is nothing of that name", why="a name has at most 63 characters", exit_code=7)


def _services(route: Route, path: Mapping[str, str], desk: Desk) -> Collection[str]:
    """Return the services a right is asked for: of a release all of its unit. A target that does not exist has none."""
    match route.holder:
        case Holder.NONE:
            return ()
        case Holder.PATH:
            return (path["service"],)
        case Holder.TARGET:
            target = path["target"]
            release = chosen(desk.releases(None)["releases"], target)
            return _of_its_unit(target if release is None else release["unit"] or release["service"], release, desk)


def _of_its_unit(name: str, release: dict[str, Any] | None, desk: Desk) -> Collection[str]:
    members = [] if release is None else [one["service"] for one in release["members"]]
    with suppress(Refused):  # Nothing of that name, or a unit that has left the config while its release is there.
        members += desk.services_of(desk.unit_of(desk.services_of(name)[0]))
    return sorted(set(members))


def _query(given: Mapping[str, str], known: tuple[Query, ...]) -> dict[str, str | int]:
    forms = {query.name: query for query in known}
    found: dict[str, str | int] = {}
    for name, value in given.items():
        if name not in forms:
            what = f"unknown key {name[:40]!r} in the query"
            raise Refused("bad_query", what, then=did_you_mean(name, forms), exit_code=2)
        found[name] = _value(forms[name], value)
    return found


def _value(query: Query, text: str) -> str | int:
    if query.low is None or query.high is None:
        return text
    if text.isascii() and text.isdecimal() and len(text) < 20 and query.low <= int(text) <= query.high:
        return int(text)
    what = f"{query.name} in the query is not a number from {query.low} to {query.high}"
    raise Refused("bad_query", what, exit_code=2)


async def guarded(request: web.Request, handler: Answerer, answer_s: float) -> web.StreamResponse:
    """Return the handler's answer, or the problem that says why there is none. Raises only cancellation."""
    try:
        streaming = request.query.get("follow") == "1"
        async with asyncio.timeout(None if streaming else answer_s):
            return await handler(request)
    except web.HTTPException as error:
        return problem_response(_of_http(error, request))
    except Refused as refused:
        return problem_response(of_refused(refused))
    except LbctlError as error:
        problem = Problem(status=503, code="unavailable", what="this cannot be read or done now", why=str(error))
        return problem_response(problem)
    except TimeoutError:
        return problem_response(SLOW)
    except ConnectionError:
        return problem_response(SLOW)  # The peer has gone: nobody reads this.
    except Exception as error:  # noqa: BLE001 - the last line of defence: one bug must not take the socket away
        place = traceback.extract_tb(error.__traceback__)[-1]
        log.error(
            "request.failed", path=request.path[:200], error=repr(error)[:500], at=f"{place.filename}:{place.lineno}"
        )
        what = "lbctld has a fault: this request failed"
        return problem_response(Problem(status=500, code="internal", what=what, then="see lbctld's log, and report it"))


def _of_http(error: web.HTTPException, request: web.Request) -> Problem:
    words = HTTPStatus(error.status).phrase.lower()
    path = request.path[:100]
    if isinstance(error, web.HTTPMethodNotAllowed):
        why = f"{path} takes {', '.join(sorted(error.allowed_methods))}"
        return Problem(status=405, code="method_not_allowed", what=f"{words}: {request.method}", why=why, exit_code=2)
    then = "GET /v1/openapi.json lists every path"
    return Problem(status=error.status, code=words.replace(" ", "_"), what=f"{words}: {path}", then=then, exit_code=7)


def problem_response(problem: Problem) -> web.Response:
    """Return the HTTP answer of a problem."""
    return web.Response(body=problem.body(), status=problem.status, content_type=PROBLEM_JSON)
