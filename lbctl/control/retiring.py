"""What the API does about pools and servers that are to become unused, and about the way back to an old pool."""

from typing import Any

import msgspec

from lbctl.control.boardanswers import ColourWord
from lbctl.control.bodies import DrainBody, PlanBody, StoppedBody, UndoBody
from lbctl.control.call import Call
from lbctl.control.plans import overlaid
from lbctl.control.voids import VoidedView
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ReleaseId, ServerName, ServiceName, UnitName
from lbctl.model.request import DrainServer, SayStopped, Undo

Json = dict[str, Any]


class CertificateView(msgspec.Struct):
    """Who looked at an old pool (`counted`: requests ever, by load balancer and generation), and since when it is
    unused. `unseen`: what could not be looked at, with confidence `partial`."""

    confidence: str
    unseen: list[str]
    unused_since_ms: int
    certified_since_ms: int
    counted: dict[str, dict[str, int]]
    census: str = ""


class WatchView(msgspec.Struct):
    """Whether lbctl looks out for callers of a certified pool past its load balancers, and whom nobody sees."""

    watched: bool
    text: str


class HolderView(msgspec.Struct):
    """A request, WebSocket or connection in flight for long. `client` empty: the load balancer does not tell;
    `at_least`: it may be older."""

    client: str
    server: str
    age_ms: int
    at_least: bool
    instance: str
    generation: str | None = None


class ConnectionView(msgspec.Struct):
    """Connections of one program of lbctl's host to one server, as its kernel knows them, idle ones too. `pid` null and
    `process` empty: it is not told whose they are, other than the user's number."""

    process: str
    pid: int | None
    uid: int
    server: str
    count: int


class SessionsLeft(msgspec.Struct):
    """About how many sessions an old pool still has, null where nobody counts them, and what becomes of them."""

    left: int | None
    text: str


class RetiredAnswer(msgspec.Struct):
    """Whether the old pool of a service of a release is proved unused. `waits`: what for, if not, and `reasons`: that
    and everything else that speaks against it now; `final`: it never will be. `sessions` null: it honours none.
    `holders`: who is there, the oldest first; `connections`: what the kernel sees, while it is not proved."""

    release: str
    service: str
    colour: ColourWord
    version: str
    phase: str
    certified: bool
    final: bool
    waits: str
    certificate: CertificateView | None
    holders: list[HolderView]
    connections: list[ConnectionView] = []
    voided: VoidedView | None = None
    past: WatchView | None = None
    reasons: list[str] = []
    sessions: SessionsLeft | None = None


class UndoneAnswer(msgspec.Struct):
    """What an undo began: a rollback of `release`, or a new one. `again`: the last release ends first, ask again."""

    unit: str
    service: str
    release: str
    phase: str
    did: str
    again: bool = False


class DrainAnswer(msgspec.Struct):
    """What is wanted of a server from now on; `status` says how far it is. `already`: nothing was changed. `waits`: why
    no load balancer is told now, or who else keeps the server out; empty if nothing stands against it."""

    service: str
    colour: ColourWord
    server: str
    drained: bool
    already: bool = False
    waits: str = ""


async def drain(call: Call) -> Json:
    """Give a server no new sessions, or let it be ready again."""
    body = call.body
    assert isinstance(body, DrainBody)
    wanted = DrainServer(
        **await call.asked(body.reason),
        service=ServiceName(call.path["service"]),
        colour=Colour(body.pool),
        server=ServerName(body.server),
        on=body.on,
    )
    return await call.submit(wanted)


async def retired(call: Call) -> Json:
    """Whether the old pool of a service is proved unused since this release; else who still uses it."""
    pool = call.text("pool")
    if pool not in {None, *Colour}:
        raise Refused("bad_query", f"{pool!r} is no pool", then="pool=blue or pool=green", exit_code=2)
    return await call.desk.retired(call.path["target"], call.text("service"), pool)


async def stopped(call: Call) -> Json:
    """The old pool of the service is stopped: nothing of it calls anybody any more."""
    body = call.body
    assert isinstance(body, StoppedBody)
    service = ServiceName(call.path["service"])
    found = (await call.desk.release(body.release or service))["release"]
    said = SayStopped(**await call.asked(body.reason), release=ReleaseId(found["id"]), service=service)
    return await call.submit(said)


async def undo(call: Call) -> Json:
    """Go back to what served before the last release: by a rollback, or by a new release of the recorded versions."""
    body = call.body
    assert isinstance(body, UndoBody)
    name = call.path["target"]
    if name.isdigit():
        raise Refused("no_such_unit", f"{name} is a release", then="lbctl undo SERVICE|UNIT", exit_code=7)
    unit = call.desk.unit_of(call.desk.services_of(name)[0])
    times = PlanBody(service=unit, steps=body.steps, hold=body.hold, bake=body.bake, retain=body.retain)
    plan = overlaid(call.desk.default_plan(unit), times)
    return await call.submit(Undo(**await call.asked(body.reason), unit=UnitName(unit), plan=plan))
