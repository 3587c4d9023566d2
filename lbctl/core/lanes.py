"""One lane per instance: what is sent to it, what came back, what is still unresolved. Pure.

A lane carries one batch at a time. After an unknown outcome the instance gets no raise, is sent its target even if it
reads back right, and proves nothing, until an operation sent later is done: operations stay in order on their way.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.closing import closings
from lbctl.core.holds import may_raise
from lbctl.core.reconcile import Leave, lowering, reconcile
from lbctl.core.situation import Situation, Situations, home_open
from lbctl.core.state import OPERATION_TIMEOUT, Applied, Apply, Effect, Lane, State
from lbctl.core.targets import exposed, target
from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.operation import Operation, SetClosing, SetRoute, Status
from lbctl.model.reading import InstanceReading, Token
from lbctl.model.record import By, Phase
from lbctl.model.units import Instant, after

STALE_MAX = 3
"""So many stale answers in a row mean that a load balancer has seen a higher fence: an earlier process had decided
more than it could record."""
FENCE_LEAP = 100
"""How far revisions jump then: more than a process decides without a journal."""


def apply_all(state: State, here: Situations, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Send every idle lane what its services need."""
    effects: list[Effect] = []
    lanes = dict(state.lanes)
    for name, lane in state.lanes.items():
        if lane.busy:
            continue
        if lane.fresh or lane.rev != state.ordered.rev:
            lanes[name] = lane = replace(lane, rev=state.ordered.rev, fresh=lane.rev != state.ordered.rev)
        operations: list[Operation] = []
        for service in _services_on(state, name):
            operations += _operations(state, service, here.get(service), name, now)
            operations += _closings(state, service, name, now)
        if operations:
            services = frozenset(operation.service for operation in operations)
            lanes[name] = replace(lane, busy=True, services=services, sent_at=now)
            effects.append(Apply(name, tuple(operations)))
    return replace(state, lanes=lanes), tuple(effects)


def applied(state: State, event: Applied) -> State:
    """Fold in the results of a batch. What was refused is told by `notes`, once for each lane."""
    lane = state.lanes.get(event.instance, Lane())
    lane = replace(lane, busy=False, ended_at=event.now)
    worst = {result.status for result in event.results}
    if Status.UNKNOWN in worst:
        why = next(result.detail for result in event.results if result.status is Status.UNKNOWN)
        lane = replace(lane, unresolved=why or "no answer", resolvable_at=after(event.now, OPERATION_TIMEOUT))
    elif worst == {Status.DONE} and event.sent_at >= lane.resolvable_at:
        lane = replace(lane, unresolved="")
    lane = replace(lane, stale_count=lane.stale_count + 1 if Status.STALE in worst else 0)
    if lane.stale_count >= STALE_MAX:
        lane = replace(lane, stale_count=0)
        state = replace(state, overtaken=True, last_rev=state.last_rev + FENCE_LEAP)
    for operation, result in zip(event.operations, event.results, strict=True):
        if result.status is Status.REFUSED:
            lane = replace(lane, refusal=(operation.service, result.detail), refused_at=event.now)
    return replace(state, lanes={**state.lanes, event.instance: lane})


def _services_on(state: State, instance: InstanceName) -> list[ServiceName]:
    return [name for name in state.topology.services if instance in state.topology.instances_of(name)]


def _operations(
    state: State, name: ServiceName, here: Situation | None, instance: InstanceName, now: Instant
) -> tuple[SetRoute, ...]:
    record, lane = state.ordered, state.lanes[instance]
    want = target(state.topology, record, name)
    if want is None or _untouchable(state, name, here):
        return ()
    reading = state.observed.instances.get(instance)
    release = record.running(name)
    going_back = release is not None and release.phase is Phase.ROLLING_BACK
    # What was sent before the way back was decided does not delay it; afterwards the next reading or time-out is due.
    anew = going_back and release is not None and lane.sent_at < release.phase_since
    open_home = home_open(state, name)
    if not isinstance(reading, InstanceReading):
        due = anew or now >= after(lane.sent_at, OPERATION_TIMEOUT)
        return lowering(name, want, record.rev) if going_back and open_home and due else ()
    outdated = reading.taken_at <= lane.ended_at
    if outdated and not (anew and open_home):
        return ()
    resolvable = bool(lane.unresolved) and now >= lane.resolvable_at
    leave = Leave(
        raises=not outdated and state.settled and (here is None or may_raise(here)),
        lowers=open_home and not _may_be_forgotten(here),
        resend=resolvable or outdated,
        resolved=not lane.unresolved,
    )
    return reconcile(name, want, reading, exposed(record, name), record.rev, leave)


def _closings(state: State, name: ServiceName, instance: InstanceName, now: Instant) -> Iterator[SetClosing]:
    """Yield what is to be closed by force; a reading from before the last batch says nothing about it."""
    reading, lane = state.observed.instances.get(instance), state.lanes[instance]
    if isinstance(reading, InstanceReading) and reading.taken_at > lane.ended_at:
        yield from closings(state, name, instance, now)


def _may_be_forgotten(here: Situation | None) -> bool:
    """Whether a way back may have been taken that nobody remembers: then nothing more goes to the new pool, although
    it is the active one. From the first certificate on there is no way back."""
    return here is not None and here.release.phase is Phase.DRAINING and here.token is not Token.GO


def _untouchable(state: State, name: ServiceName, here: Situation | None) -> bool:
    """In maintenance only a person's rollback still writes, also while its end is not on disk. A release is in it with
    any of its services."""
    names = (name,) if here is None else tuple(here.services)
    if not any(one.in_maintenance(*names) for one in (state.record, state.ordered, state.durable)):
        return False
    return not (here is not None and here.release.phase is Phase.ROLLING_BACK and here.release.back_by is By.PERSON)
