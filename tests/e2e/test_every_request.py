"""Every request of the control socket, one after the other, on one real daemon with a real HAProxy.

What was answered is in the journal with who, why, what was before and what is after. Who asks the same again changes
nothing, or is refused by name.
"""

import typing
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from lbctl.control.routes import ROUTES
from lbctl.demo.control import RefusedError
from lbctl.model.entry import Entry, Kind
from lbctl.model.record import Record, Release
from lbctl.model.request import (
    Adopt,
    Approve,
    Cancel,
    Claim,
    DrainServer,
    Freeze,
    GiveBack,
    Maintenance,
    Pause,
    Promote,
    Request,
    Resume,
    Rollback,
    SayReady,
    SayStopped,
    Switch,
    Undo,
    Unfreeze,
    Withdraw,
)
from tests.e2e.audited import ACCOUNTS, ROOT, SELF, STOREFRONT, UNIT, Audited, Json, audited
from tests.e2e.scene import until

CHANGES_NOTHING = {"plan", "test_alert", "reload"}
"""What is asked by POST and changes no record. The config is a file; that it was taken is told all the same."""
Changes = Callable[[Record], object]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One request, what it is told as, and what it changes of a record.

    `once`: how who asks again may be refused; empty: the same is answered and nothing changed; none: the same again is
    another request. `before`: what is waited for.
    """

    request: type[Request]
    kind: Kind
    path: str
    body: Json
    changes: Changes
    once: tuple[str, ...] = ("",)
    before: Callable[[Audited], Awaitable[object]] | None = None
    by_another: bool = False

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.request.__name__} ({self.path})"


# ---- what comes before a request


async def granted(here: Audited) -> None:
    """Wait until accounts' claim may be deployed to."""
    await until(lambda: _granted(here, ACCOUNTS))


async def claimed(here: Audited) -> None:
    """Claim both idle pools, and wait until they may be deployed to."""
    for service in (ACCOUNTS, STOREFRONT):

        async def there(service: str = service) -> bool:
            with suppress(RefusedError):
                await here.post(f"/v1/services/{service}/claim", {"reason": "next"})
            return await _granted(here, service)

        await until(there)


async def _granted(here: Audited, service: str) -> bool:
    claims = (await here.unit())["claims"]
    return service in claims and claims[service]["granted"]


async def shifting(here: Audited) -> None:
    """Wait until the newest release shifts, with another user's yes where one is needed."""
    if ROOT:
        await here.phase_is("awaiting_approval")
        await here.post(APPROVE.path, APPROVE.body, by_another=True)
    await here.phase_is("shifting")


async def certified(here: Audited) -> None:
    """Promote the newest release to 100 %, and wait until the old storefront is certified."""
    await shifting(here)

    async def through() -> bool:
        with suppress(RefusedError):
            await here.post("/v1/releases/{release}/promote", {"full": True, "reason": "quick"})
        return (await here.unit())["phase"] in {"draining", "retiring"}

    await until(through)
    await here.phase_is("retiring")


async def over(here: Audited) -> None:
    """Wait until the newest release has finished."""
    await here.phase_is("finished")


async def reached(here: Audited) -> None:
    """Wait until the first step is recorded as read back everywhere."""

    async def there() -> bool:
        return Kind.STEP_REACHED in [one["kind"] for one in (await here.control.get("/v1/events?tail=9"))["events"]]

    await until(there)


# ---- the table


def of_release(name: str) -> Changes:
    """A field of the newest release; None while there is none."""

    def field(record: Record) -> object:
        newest: Release | None = max(record.releases.values(), key=lambda one: int(one.id), default=None)
        return getattr(newest, name, None)

    return field


def is_ready(record: Record) -> bool:
    """Whether accounts is on the board."""
    return ACCOUNTS in record.board


def build(record: Record) -> str | None:
    """Which build holds accounts' idle pool."""
    held = record.claims.get(ACCOUNTS)
    return None if held is None else held.build


def on_release(request: type[Request], kind: Kind, word: str, changes: str, **more: Any) -> Row:
    """A request on the newest release."""
    path, body = f"/v1/releases/{{release}}/{word}", {"reason": f"ticket 12, to {word}"}
    return Row(request=request, kind=kind, path=path, body=body, changes=of_release(changes), **more)


def on_service(request: type[Request], kind: Kind, path: str, body: Json, changes: Changes, **more: Any) -> Row:
    """A request on a service."""
    path, body = f"/v1/services/{path}", {**body, "reason": f"ticket 13 of {path}"}
    return Row(request=request, kind=kind, path=path, body=body, changes=changes, **more)


def adopt(service: str) -> Row:
    """Adopt a service on blue."""
    body, path = {"active": "blue", "version": "1"}, f"{service}/adopt"
    return on_service(Adopt, Kind.SERVICE_ADOPTED, path, body, lambda record: len(record.services))


def drain(kind: Kind, *, on: bool) -> Row:
    """Drain the server of storefront's idle pool, or let it be ready."""
    body = {"pool": "green", "server": f"{STOREFRONT}-green", "on": on}
    path = f"{STOREFRONT}/drain"
    return on_service(DrainServer, kind, path, body, lambda record: dict(record.services[STOREFRONT].drained))


def maintenance(*, on: bool) -> Row:
    """Of storefront alone."""
    return Row(
        request=Maintenance,
        kind=Kind.MAINTENANCE_CHANGED,
        path="/v1/maintenance",
        body={"on": on, "service": STOREFRONT, "reason": "new cables"},
        changes=lambda record: record.services[STOREFRONT].maintenance,
    )


def freeze(request: type[Request], path: str, **body: str) -> Row:
    """Make or remove a window."""
    body = {"name": "dinner", "reason": f"ticket 14 of {path}", **body}
    kind = Kind.FREEZE_CHANGED
    return Row(request=request, kind=kind, path=path, body=body, changes=lambda record: len(record.freezes))


def undo(kind: Kind, changes: str, **more: Any) -> Row:
    """Go back from a release that retires: it ends first, and who asks again gets a new one."""
    path, body = f"/v1/units/{UNIT}/undo", {"reason": "the old one was better"}
    return Row(request=Undo, kind=kind, path=path, body=body, changes=of_release(changes), once=(), **more)


APPROVE = on_release(Approve, Kind.APPROVAL_GIVEN, "approve", "approvals", by_another=True)
SWITCH = Row(
    request=Switch,
    kind=Kind.RELEASE_STARTED,
    path="/v1/releases",
    body={"service": UNIT, "versions": {ACCOUNTS: "2", STOREFRONT: "2"}, "unchecked": True, "reason": "ticket 15"},
    changes=of_release("id"),
    once=("in_release",),
    before=claimed,
)
NEXT = {"unit": UNIT, "version": "2", "build": "ci/2"}
TABLE = (
    adopt(ACCOUNTS),
    adopt(STOREFRONT),
    freeze(Freeze, "/v1/freezes", service=UNIT),
    freeze(Unfreeze, "/v1/freezes/remove"),
    maintenance(on=True),
    maintenance(on=False),
    drain(Kind.SERVER_DRAINED, on=True),
    drain(Kind.SERVER_UNDRAINED, on=False),
    on_service(Claim, Kind.POOL_CLAIMED, f"{ACCOUNTS}/claim", {"build": "ci/1"}, build),
    on_service(Claim, Kind.POOL_CLAIMED, f"{ACCOUNTS}/take-over", {"build": "ci/2"}, build),
    on_service(SayReady, Kind.VERSION_READY, f"{ACCOUNTS}/ready", NEXT, is_ready, before=granted),
    on_service(Withdraw, Kind.VERSION_WITHDRAWN, f"{ACCOUNTS}/withdraw", {"unit": UNIT}, is_ready),
    on_service(GiveBack, Kind.CLAIM_ENDED, f"{ACCOUNTS}/give-back", {"build": "ci/2"}, build),
    SWITCH,
    on_release(Pause, Kind.RELEASE_PAUSED, "pause", "paused_by"),
    *([APPROVE] if ROOT else []),
    on_release(Resume, Kind.RELEASE_RESUMED, "resume", "paused_by"),
    on_release(Promote, Kind.STEP_STARTED, "promote", "share_bp", before=reached, once=()),
    on_release(Rollback, Kind.ROLLBACK_STARTED, "rollback", "phase", once=("", "ended")),
    SWITCH,
    on_release(Cancel, Kind.RELEASE_CANCELLED, "cancel", "phase", once=("ended",)),
    SWITCH,
    on_service(
        SayStopped, Kind.POOL_STOPPED, f"{STOREFRONT}/stopped", {}, of_release("stopped"), before=certified
    ),
    undo(Kind.RELEASE_CUT_SHORT, "cut_short"),
    undo(Kind.RELEASE_STARTED, "id", before=over),
)  # fmt: skip


# ---- tests


def test_no_request_is_missing_in_the_table() -> None:
    assert {row.request for row in (*TABLE, APPROVE)} == set(typing.get_args(Request))
    sent = [row.path.split("/") for row in (*TABLE, APPROVE)]
    posted = [route for route in ROUTES if route.method == "POST" and route.name not in CHANGES_NOTHING]
    assert [route.path for route in posted if not any(_goes_to(route.path.split("/"), one) for one in sent)] == []


def _goes_to(route: list[str], sent: list[str]) -> bool:
    return len(route) == len(sent) and all(
        one == other or one.startswith("{") for one, other in zip(route, sent, strict=True)
    )


@pytest.mark.haproxy
async def test_every_change_that_is_answered_is_on_the_disk_with_who_why_before_and_after() -> None:
    async with audited() as here:
        for row in TABLE:
            if row.before is not None:
                await row.before(here)
            await is_told(here, row)
            await is_not_told_twice(here, row)
        await a_reload_is_told(here)


async def a_reload_is_told(here: Audited) -> None:
    """Have the config file taken anew, and find it on the disk: nothing stands on that, so it is not waited for."""
    newest = here.journal.newest()
    who = await here.post("/v1/config/reload", {"reason": "ticket 16"})

    async def there() -> bool:
        return "ticket 16" in str([one for _, one in here.journal.entries(newest, who)])

    await until(there, 5)
    ((_, told),) = here.journal.entries(newest, who)
    assert told.kind is Kind.CONFIG_RELOADED


async def is_told(here: Audited, row: Row) -> None:
    """Ask, and find it on the disk as soon as it is answered."""
    newest = here.journal.newest()
    who = await here.post(row.path, row.body, by_another=row.by_another)
    wall, told = only(here.journal.entries(newest, who), row)
    assert told.kind is row.kind, f"{row.name} is told as {told}"
    assert row.body["reason"] in f"{told.text} {told.data.get('reason')}", f"{row.name} is told without why: {told}"
    before, after = here.journal.around(wall)
    assert row.changes(before) != row.changes(after), f"{row.name} changed nothing: {told.text}"


def only(found: list[tuple[str, Entry]], row: Row) -> tuple[str, Entry]:
    """The one entry of a request."""
    assert len(found) == 1, f"{row.name} is told as {found}"
    return found[0]


async def is_not_told_twice(here: Audited, row: Row) -> None:
    """Ask the same again: it is answered and nothing is told or changed, or it is refused by name."""
    if not row.once:
        return
    newest, who, code = here.journal.newest(), SELF, ""
    try:
        who = await here.post(row.path, row.body, by_another=row.by_another)
    except RefusedError as refused:
        code = refused.code
    assert code in row.once, f"{row.name} again: {code or 'it was answered'}"
    assert here.journal.entries(newest, who) == [], f"{row.name} is told twice"
