"""The operations that bring one instance from what it reads back to what the record wants. Pure.

Operations are absolute and safe to repeat; equal inputs give equal plans. A lowering writes runtime and boot value at
once, neither waits for the other. A raise writes the runtime, is read back, and only then writes the boot value: a
crash plus a reload by hand can then only lower the share. What may not be raised now is left where it is.
"""

from dataclasses import dataclass, replace

from lbctl.model.names import Colour, ServiceName
from lbctl.model.operation import Place, SetRoute
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave:
    """What may be done to this instance now. `resend`: an earlier operation is unresolved, so its target is sent even
    if it reads back right (that carries the fence). `resolved`: nothing sent earlier can land any more."""

    raises: bool
    lowers: bool
    resend: bool = False
    resolved: bool = True


def reconcile(
    service: ServiceName, want: Route, reading: InstanceReading, exposed: Colour, fence: int, leave: Leave
) -> tuple[SetRoute, ...]:
    """Return the operations for one service on one instance, at most one for each place."""
    seen = reading.services.get(service)
    if seen is None:
        return ()
    if reading.generation not in seen.runtime:
        # What was not read is not raised: it may be less than the record says, and is then taken as a step. Where
        # nothing may be lowered it is not touched at all: it may be more.
        if not leave.lowers:
            return ()
        leave = replace(leave, raises=False)
    runtime = _runtime(service, want, reading, exposed, fence, leave)
    newest = runtime.route if runtime is not None else seen.runtime.get(reading.generation)
    boot = _boot(service, want, reading, exposed, fence, leave, newest)
    return tuple(operation for operation in (runtime, boot) if operation is not None)


def lowering(service: ServiceName, want: Route, fence: int) -> tuple[SetRoute, ...]:
    """Return the operations of a rollback for an instance that cannot be read: sent as soon as it can be reached."""
    return tuple(SetRoute(service=service, place=place, route=want, fence=fence) for place in Place)


def _runtime(
    service: ServiceName, want: Route, reading: InstanceReading, exposed: Colour, fence: int, leave: Leave
) -> SetRoute | None:
    seen = reading.services[service]
    routes = tuple(seen.effective.values())
    goal = _permitted(want, routes, exposed, leave)
    if goal is None or (goal.share_bp(exposed) and reading.generation not in seen.runtime):
        # A life that has not told its routes may have less: what older ones have, or less of it, would be a raise.
        return None
    # A share that servers moved stands as ordered: short of what is wanted, it is left as it stands.
    ordered = seen.runtime.values() if goal == want else ()
    if routes and not leave.resend and all(route == goal for route in (*routes, *ordered)):
        return None
    bound = not routes or _bound(goal, exposed, leave)
    newest = seen.runtime.get(reading.generation)
    return SetRoute(
        service=service,
        place=Place.RUNTIME,
        route=goal,
        fence=fence,
        expect_generation=reading.generation if bound else None,
        expect=newest if bound else None,
    )


def _boot(
    service: ServiceName,
    want: Route,
    reading: InstanceReading,
    exposed: Colour,
    fence: int,
    leave: Leave,
    newest: Route | None,
) -> SetRoute | None:
    seen, routing = reading.services[service], reading.routes_of(service)
    boot = seen.boot
    settled = bool(routing) and all(route == want for route in routing)
    if boot == want:
        return None
    goal = _permitted(want, () if boot is None else (boot,), exposed, leave)
    if goal is not None and boot is not None and leave.lowers and not settled:
        # Too high a boot value comes down to what routes, not to a target that is not routed yet.
        routes = (boot, goal, *seen.runtime.values())
        low = min(route.share_bp(exposed) for route in routes)
        if low < goal.share_bp(exposed) < boot.share_bp(exposed):
            goal = goal.with_share(exposed, low).with_keep(exposed, min(route.keep_bp(exposed) for route in routes))
    raises = goal is not None and (boot is None or _raised(boot, goal, exposed))
    if goal is None or goal == boot or (raises and not settled):
        return None
    if goal.share_bp(exposed) > want.share_bp(exposed) and not leave.resolved:
        # A lowering may still land: the share that is only left where it was would then be a raise.
        return None
    bound = _bound(goal, exposed, leave)
    return SetRoute(
        service=service,
        place=Place.BOOT,
        route=goal,
        fence=fence,
        expect_generation=reading.generation if bound else None,
        expect=newest if bound else None,
    )


def _permitted(want: Route, routes: tuple[Route, ...], exposed: Colour, leave: Leave) -> Route | None:
    """Return as much of `want` as may be written now: the share stays between the allowed bounds, keeps are corrected.

    A candidate's keep is not corrected before the write that first raises its share: honouring sessions that a
    rollback moved away would be a raise of its own.
    """
    share_bp = want.share_bp(exposed)
    if not routes:
        return want if leave.raises or not share_bp else None
    shares = [route.share_bp(exposed) for route in routes]
    keeps = [route.keep_bp(exposed) for route in routes]
    if not leave.raises:
        share_bp = min(share_bp, *shares)
    if not leave.lowers:
        share_bp = max(share_bp, *shares)
    if share_bp > min(shares) and (not leave.raises or share_bp > want.share_bp(exposed)):
        # Generations disagree, and one value for all of them would raise one that must not be.
        return None
    goal = want.with_share(exposed, share_bp)
    if share_bp == 0 and want.share_bp(exposed) > 0:
        goal = goal.with_keep(exposed, min(keeps))
    if not leave.lowers and want.keep_bp(exposed) < max(keeps):
        # The sessions of a pool whose way home is closed stay where they are, like its new traffic.
        goal = goal.with_keep(exposed, max(keeps))
    return goal


def _bound(goal: Route, exposed: Colour, leave: Leave) -> bool:
    """Whether an operation must meet what was read. A share above 0 may turn out to be a raise by the time it lands
    (after a reload), and any share a lowering; share 0 with the way home open is right whatever it meets."""
    return goal.share_bp(exposed) > 0 or not leave.lowers


def _raised(before: Route, goal: Route, exposed: Colour) -> bool:
    return goal.share_bp(exposed) > before.share_bp(exposed)


def routed(reading: InstanceReading, service: ServiceName, want: Route) -> bool:
    """Whether this reading proves `want`: every generation that still routes, and the boot value."""
    seen, routes = reading.services.get(service), reading.routes_of(service)
    return (
        seen is not None
        and bool(routes)
        and all(route == want for route in (*routes, *seen.skewed.values()))
        and seen.boot == want
    )
