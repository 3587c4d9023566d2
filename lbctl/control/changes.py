"""What the POST routes do: build the request, hand it to the desk, tell the facts."""

from collections.abc import Callable
from typing import Any

from lbctl.control.bodies import AdoptBody, MaintenanceBody, PromoteBody, SwitchBody, Why, folded
from lbctl.control.call import Call
from lbctl.control.plans import overlaid
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.request import Adopt, Cancel, Maintenance, Pause, Promote, Resume, Rollback, Switch

Json = dict[str, Any]


async def adopt(call: Call) -> Json:
    """Start driving a service."""
    body = call.body
    assert isinstance(body, AdoptBody)
    return await call.submit(
        Adopt(
            **await call.asked(body.reason),
            service=ServiceName(call.path["service"]),
            active=Colour(body.active),
            version=folded(body.version),
            settle=body.settle,
        )
    )


async def maintenance(call: Call) -> Json:
    """Stop or resume all writes."""
    body = call.body
    assert isinstance(body, MaintenanceBody)
    service = None if body.service is None else ServiceName(body.service)
    return await call.submit(Maintenance(**await call.asked(body.reason), service=service, on=body.on))


async def switch(call: Call) -> Json:
    """Start a release."""
    body = call.body
    assert isinstance(body, SwitchBody)
    plan = overlaid(call.desk.default_plan(body.service), body)
    return await call.submit(
        Switch(
            **await call.asked(body.reason),
            service=ServiceName(body.service),
            to=None if body.to is None else Colour(body.to),
            version=folded(body.version),
            plan=plan,
        )
    )


async def promote(call: Call) -> Json:
    """Go to the next step now, or to 100 %."""
    body = call.body
    assert isinstance(body, PromoteBody)
    release = ReleaseId(found(call)["id"])
    return await call.submit(Promote(**await call.asked(body.reason), release=release, full=body.full))


async def pause(call: Call) -> Json:
    """Hold the release where it is."""
    return await _simple(call, Pause)


async def resume(call: Call) -> Json:
    """End a pause, clear latched holds, give a new go-token where there is none."""
    return await _simple(call, Resume)


async def rollback(call: Call) -> Json:
    """Go back now."""
    return await _simple(call, Rollback)


async def cancel(call: Call) -> Json:
    """End the release: before first traffic at once, afterwards as a rollback."""
    return await _simple(call, Cancel)


async def test_alert(call: Call) -> Json:
    """Send a test through one alert channel."""
    return await call.desk.test_alert(call.path["name"])


async def _simple(call: Call, form: Callable[..., Pause | Resume | Rollback | Cancel]) -> Json:
    body = call.body
    assert isinstance(body, Why)
    return await call.submit(form(**await call.asked(body.reason), release=ReleaseId(found(call)["id"])))


def found(call: Call) -> Json:
    """Return the release a target means: a number, or a service (its running or last one). Needs no journal.

    Raises:
        Refused: there is no such release or service.
    """
    target = call.path["target"]
    known = call.desk.releases(None if target.isdigit() else target)["releases"]
    for release in known:
        if target in {release["id"], release["service"]}:
            return dict(release)
    what = f"there is no running release {target}" if target.isdigit() else f"{target} had no release yet"
    raise Refused("no_such_release", what, then="lbctl release list", exit_code=7)
