"""What the POST routes do: build the request, hand it to the desk, tell the facts."""

from collections.abc import Callable
from typing import Any

from lbctl.control.bodies import (
    AdoptBody,
    ClaimBody,
    GiveBackBody,
    MaintenanceBody,
    PromoteBody,
    ReadyBody,
    SwitchBody,
    TakeOverBody,
    Why,
    WithdrawBody,
    folded,
)
from lbctl.control.call import Call
from lbctl.control.contracts import contract
from lbctl.control.peer import actor
from lbctl.control.plans import overlaid
from lbctl.control.port import Asked
from lbctl.control.target import chosen
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.request import (
    Adopt,
    Approve,
    Cancel,
    Claim,
    GiveBack,
    Maintenance,
    Pause,
    Promote,
    Resume,
    Rollback,
    SayReady,
    Switch,
    Withdraw,
)

Json = dict[str, Any]


async def adopt(call: Call) -> Json:
    """Start driving a service."""
    body = call.body
    assert isinstance(body, AdoptBody)
    _one_service(call)
    found = await call.submit(
        Adopt(
            **await call.asked(body.reason),
            service=ServiceName(call.path["service"]),
            active=Colour(body.active),
            version=folded(body.version),
            contract=contract(body.provides, body.requires),
            settle=body.settle,
        )
    )
    return {**found, "warning": await call.desk.doubt(found["service"], found["active"], found["version"])}


async def claim(call: Call) -> Json:
    """Hold the pool that may be deployed to, and say which it is."""
    body = call.body
    assert isinstance(body, ClaimBody)
    service = _one_service(call) if body.unit is None else _of_unit(call, body.unit)
    asked = Claim(**await call.asked(body.reason), service=service, build=folded(body.build))
    return call.desk.tried(asked) if body.dry_run else await call.submit(asked)


async def take_over(call: Call) -> Json:
    """Hold that pool although another build or user has it."""
    body = call.body
    assert isinstance(body, TakeOverBody)
    service = _one_service(call)
    return await call.submit(
        Claim(**await call.asked(body.reason), service=service, build=folded(body.build), take_over=True)
    )


async def give_back(call: Call) -> Json:
    """End the claim that one holds: its deployment failed."""
    body = call.body
    assert isinstance(body, GiveBackBody)
    asked = GiveBack(**await call.asked(body.reason), service=_one_service(call), build=folded(body.build))
    return call.desk.tried(asked) if body.dry_run else await call.submit(asked)


async def ready(call: Call) -> Json:
    """A version is deployed to the claimed pool and may go as soon as it fits."""
    body = call.body
    assert isinstance(body, ReadyBody)
    said = SayReady(
        **await call.asked(body.reason),
        service=_of_unit(call, body.unit),
        version=folded(body.version),
        build=folded(body.build),
        contract=contract(body.provides, body.requires),
    )
    if body.dry_run:
        return {**call.desk.tried(said), "unit": body.unit}
    found = await call.submit(said)
    warning = "" if found.get("release") else await call.desk.doubt(said.service, None, said.version)
    return {**found, "unit": body.unit, "warning": warning}


async def withdraw(call: Call) -> Json:
    """Take a version off the board."""
    body = call.body
    assert isinstance(body, WithdrawBody)
    service = _of_unit(call, body.unit)
    found = await call.submit(Withdraw(**await call.asked(body.reason), service=service))
    return {**found, "unit": body.unit}


async def maintenance(call: Call) -> Json:
    """Stop or resume all writes."""
    body = call.body
    assert isinstance(body, MaintenanceBody)
    services = [None] if body.service is None else [ServiceName(one) for one in call.desk.services_of(body.service)]
    for service in services:
        await call.submit(Maintenance(**await call.asked(body.reason), service=service, on=body.on))
    return {"maintenance": body.on, "service": body.service}


async def switch(call: Call) -> Json:
    """Start a release."""
    body = call.body
    assert isinstance(body, SwitchBody)
    plan = overlaid(call.desk.default_plan(body.service), body)
    named = {name: folded(version) for name, version in body.versions.items()}
    going = await call.desk.going(body.service, folded(body.version), named)
    carrier, *others = going
    facts = await call.submit(
        Switch(
            **await call.asked(body.reason),
            service=ServiceName(carrier),
            to=_colour(body, others),
            version=going[carrier],
            plan=plan,
            followers={ServiceName(name): going[name] for name in others},
            unchecked=body.unchecked,
        )
    )
    return {**facts, "unit": body.service if others else None, "members": going}


def _colour(body: SwitchBody, others: list[str]) -> Colour | None:
    if body.to is not None and others:
        what = f"{body.service} has several services, and each goes to its own other pool"
        raise Refused("bad_members", what, then="leave `to` out", exit_code=2)
    return None if body.to is None else Colour(body.to)


async def promote(call: Call) -> Json:
    """Go to the next step now, or to 100 %."""
    body = call.body
    assert isinstance(body, PromoteBody)
    release = ReleaseId(found(call)["id"])
    return await call.submit(Promote(**await call.asked(body.reason), release=release, full=body.full))


async def approve(call: Call) -> Json:
    """Say yes before first traffic, as one of the group that the plan names."""
    body = call.body
    assert isinstance(body, Why)
    release = ReleaseId(found(call)["id"])
    return await call.submit(Approve(**await call.asked(body.reason), release=release, groups=call.peer.groups))


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


async def reload(call: Call) -> Json:
    """Take the config file anew, whole or not at all, and say why not."""
    body = call.body
    assert isinstance(body, Why)
    return await call.desk.reload(Asked(await actor(call.peer), folded(body.reason)))


async def test_alert(call: Call) -> Json:
    """Send a test through one alert channel."""
    return await call.desk.test_alert(call.path["name"])


async def _simple(call: Call, form: Callable[..., Pause | Resume | Rollback | Cancel]) -> Json:
    body = call.body
    assert isinstance(body, Why)
    return await call.submit(form(**await call.asked(body.reason), release=ReleaseId(found(call)["id"])))


def found(call: Call) -> Json:
    """Return the release a target means: a number, or a service or unit (its running or last one). Needs no journal.

    Raises:
        Refused: there is no such release, service or unit.
    """
    target = call.path["target"]
    known = call.desk.releases(None if target.isdigit() else target)["releases"]
    release = chosen(known, target)
    if release is not None:
        return dict(release)
    what = f"there is no running release {target}" if target.isdigit() else f"{target} had no release yet"
    raise Refused("no_such_release", what, then="lbctl release list", exit_code=7)


def _one_service(call: Call) -> ServiceName:
    """Return the service of the path. Raises `Refused`: there is none, or it is a unit of several."""
    name = call.path["service"]
    services = call.desk.services_of(name)
    if name not in services:
        why, then = f"it has {', '.join(services)}", f"name one of them: {services[0]}"
        raise Refused("no_such_service", f"{name} is a unit, not a service", why=why, then=then, exit_code=7)
    return ServiceName(name)


def _of_unit(call: Call, unit: str) -> ServiceName:
    """Return the service of the path. Raises `Refused`: there is none, or it is released with another unit."""
    service = _one_service(call)
    right = call.desk.unit_of(service)
    if unit != right:
        what = (
            f"{service} is released with unit {right}, not {unit}" if right != service else f"{service} is in no unit"
        )
        raise Refused("no_such_unit", what, then=f"lbctl release ready {right} --service {service} …", exit_code=7)
    return service
