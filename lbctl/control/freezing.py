"""Freeze windows over the control socket: those of the config and those that people made, in one view."""

from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import msgspec

from lbctl.control.bodies import FreezeBody, UnfreezeBody
from lbctl.control.call import Call
from lbctl.model.errors import Refused
from lbctl.model.request import Freeze, Unfreeze

Json = dict[str, Any]


class WindowView(msgspec.Struct):
    """One window. `name` null: it is the config's. `from` empty: since it was made; `until` empty: until it is removed.

    `services` are those that do not go forward while it is `open`. `days` only of one that comes back every week.
    """

    name: str | None
    source: Literal["config", "person"]
    services: list[str]
    open: bool
    from_: str = msgspec.field(name="from")
    until: str
    zone: str
    reason: str
    over: bool = False
    days: list[str] = []
    by: str = ""
    since: str = ""
    target: str | None = None


class Windows(msgspec.Struct):
    """Every freeze window, the config's first."""

    windows: list[WindowView]


class FreezeAnswer(msgspec.Struct):
    """`changed` false: it was so already."""

    freeze: str
    changed: bool


async def freezes(call: Call) -> Json:
    """Every freeze window: of the config, and made by people."""
    return {"windows": call.desk.freezes(call.text("service"))}


async def freeze(call: Call) -> Json:
    """Make a freeze window, or change the one of that name: nothing goes forward, going back is always possible."""
    body = call.body
    assert isinstance(body, FreezeBody)
    if body.service is not None:
        call.desk.services_of(body.service)
    _check(body)
    there = _made(call)
    over = frozenset(name for name, window in there.items() if window["over"])
    asked = await call.asked(body.reason)
    request = Freeze(**asked, name=body.name, target=body.service, until=body.until, zone=body.zone, over=over)
    await call.submit(request)
    return {"freeze": body.name, "changed": _made(call).get(body.name) != there.get(body.name)}


async def unfreeze(call: Call) -> Json:
    """Remove a freeze window that a person made."""
    body = call.body
    assert isinstance(body, UnfreezeBody)
    there = body.name in _made(call)
    await call.submit(Unfreeze(**await call.asked(body.reason), name=body.name))
    return {"freeze": body.name, "changed": there}


def _made(call: Call) -> dict[str, Json]:
    return {window["name"]: window for window in call.desk.freezes(None) if window["name"] is not None}


def _check(body: FreezeBody) -> None:
    """Refuse a zone that this host does not know, a date that there is not, and one that is over."""
    try:
        zone = ZoneInfo(body.zone)
    except (KeyError, OSError, ValueError):
        what = f"this host knows no time zone {body.zone}"
        raise Refused("bad_freeze", what, then="write it as Europe/Berlin, or UTC", exit_code=2) from None
    if not body.until:
        return
    try:
        end = datetime.fromisoformat(body.until).replace(tzinfo=zone)
    except ValueError:
        what, then = f"there is no such date: {body.until}", "write it as 2026-12-20 18:00"
        raise Refused("bad_freeze", what, then=then, exit_code=2) from None
    if end <= datetime.now(UTC):
        raise Refused("bad_freeze", f"{body.until} {body.zone} is over", then="name a later end", exit_code=2)
