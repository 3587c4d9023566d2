"""Freeze windows over the control socket: those of the config and those that people made, in one view."""

from datetime import datetime, timedelta
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
    return {"windows": call.desk.freezes(call.text("service"), call.wall())}


async def freeze(call: Call) -> Json:
    """Make a freeze window, or change the one of that name: nothing goes forward, going back is always possible."""
    body = call.body
    assert isinstance(body, FreezeBody)
    if body.service is not None:
        call.desk.services_of(body.service)
    until = _end(body, call.wall())
    there = _made(call)
    over = frozenset(name for name, window in there.items() if window["over"])
    asked = await call.asked(body.reason)
    request = Freeze(**asked, name=body.name, target=body.service, until=until, zone=body.zone, over=over)
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
    return {window["name"]: window for window in call.desk.freezes(None, call.wall()) if window["name"] is not None}


def _end(body: FreezeBody, now: datetime) -> str:
    """Return when it ends; a window that lasts some time never ends earlier than asked.

    Raises:
        Refused: a zone that this host does not know, no such date, one that is over, or two ends.
    """
    try:
        zone = ZoneInfo(body.zone)
    except (KeyError, OSError, ValueError):
        raise _wrong(f"this host knows no time zone {body.zone}", "write it as Europe/Berlin, or UTC") from None
    if body.lasts_ms is not None:
        if body.until:
            raise _wrong("an end and a length", "give one of until, lasts_ms")
        return (now + timedelta(milliseconds=body.lasts_ms, minutes=1)).astimezone(zone).strftime("%Y-%m-%d %H:%M")
    if not body.until:
        return ""
    try:
        end = datetime.fromisoformat(body.until).replace(tzinfo=zone)
    except ValueError:
        raise _wrong(f"there is no such date: {body.until}", "write it as 2026-12-20 18:00") from None
    if end <= now:
        raise _wrong(f"{body.until} {body.zone} is over", "name a later end")
    return body.until


def _wrong(what: str, then: str) -> Refused:
    return Refused("bad_freeze", what, then=then, exit_code=2)
