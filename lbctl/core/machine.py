"""The only door of the core: an event goes in, the next state and the effects come out. Pure.

One loop, in the shell's hands: observe → fold → decide → record → plan → apply → read back → tell. At most one change
of the record per step. Start-up is not special: the last record and what the load balancers say are all it needs.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lbctl.core import judge, matrix, ready
from lbctl.core.calm import calms
from lbctl.core.change import Change
from lbctl.core.commit import recorded, retried, take, tellable, told_in_time
from lbctl.core.countedsince import counted_anew
from lbctl.core.counting import Books, Counted, count
from lbctl.core.draining import administer, administered, undrained
from lbctl.core.evidence import begin, follow, learn, replace_in
from lbctl.core.hooks import answered, asked
from lbctl.core.lanes import applied, apply_all
from lbctl.core.late import voided
from lbctl.core.leaving import leave_on
from lbctl.core.noreturn import waits_for_the_journal, withdrawn
from lbctl.core.notes import noted
from lbctl.core.requests import admit
from lbctl.core.rest import at_rest, remembered
from lbctl.core.rules import decide
from lbctl.core.situation import Situation, Situations, situations
from lbctl.core.standing import standing
from lbctl.core.state import (
    OPERATION_TIMEOUT,
    Administered,
    Applied,
    Configured,
    Effect,
    Lane,
    Mark,
    Progress,
    Recorded,
    Reply,
    State,
    Tick,
)
from lbctl.core.targets import target
from lbctl.core.waning import ebbs
from lbctl.core.wellness import every_pool
from lbctl.core.witnesses import sights, unwitnessed
from lbctl.model.errors import Refused
from lbctl.model.hook import HookAnswer
from lbctl.model.names import InstanceName, ReleaseId, ServiceName
from lbctl.model.reading import Observed, Token
from lbctl.model.record import Phase, Record
from lbctl.model.request import Answer, Asked, Request
from lbctl.model.topology import Topology
from lbctl.model.units import Instant, after

Event = Tick | Recorded | Applied | Administered | Configured | HookAnswer


def start(
    record: Record,
    topology: Topology,
    now: Instant,
    accounts: Mapping[ReleaseId, Mapping[ServiceName, judge.Account]] | None = None,
    learned: dict[ServiceName, judge.Learned] | None = None,
    tallies: Mapping[ServiceName, matrix.Tally] | None = None,
) -> State:
    """Return the state of a daemon that just read `record`. Every instance counts as unresolved for one time-out:
    a stalled load balancer may still carry out what an earlier process sent."""
    lane = _unresolved("lbctl was started: an earlier operation may still land", now)
    instances = [instance.name for plane in topology.planes.values() for instance in plane.instances]
    return State(
        topology=topology,
        record=record,
        durable=record,
        durable_at=now,
        changed_at=now,
        last_rev=record.rev,
        accounts=accounts or {},
        learned=learned or {},
        matrix=tallies or {},
        lanes=dict.fromkeys(instances, lane),
        wells=every_pool(topology, Observed(instances={})),
    )


def step(state: State, event: Event) -> tuple[State, tuple[Effect, ...]]:
    """Return what follows from one event."""
    match event:
        case Tick():
            return _tick(state, event)
        case Recorded():
            state, effects = recorded(state, event)
            state, more = _unparked(state, event.now)
            return state, (*effects, *more)
        case Applied():
            return applied(state, event), ()
        case Administered():
            return administered(state, event), ()
        case Configured():
            return _configured(state, event), ()
        case HookAnswer():
            return answered(state, event), ()


def ask(state: State, request: Request, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Return what follows from a person's or CI's request: a change and later its answer, or a refusal now."""
    if waits_for_the_journal(state, request):
        return replace(state, parked=(*state.parked, request)), ()
    try:
        change, facts = admit(state, request, now)
    except Refused as refused:
        return state, (Reply(_refusal(request, refused)),)
    effects: tuple[Effect, ...] = ()
    if change is not None:
        state, effects = take(state, change, now)
    goes_back = change is not None and any(mark.token is Token.BACK for mark in change.marks)
    answer = Answer(
        request.id, accepted=True, body=dict(facts), after_rev=state.record.rev, goes_back=goes_back, at=now
    )
    if tellable(state, answer):
        return state, (*effects, Reply(answer))
    state, told = told_in_time(replace(state, answers=(*state.answers, answer)), now)
    return state, (*effects, *told)


def _unparked(state: State, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Decide the ways back that waited for a first certificate, as soon as its outcome is known."""
    state, effects = withdrawn(state, now)
    waiting, state = state.parked, replace(state, parked=()) if state.parked else state
    for request in waiting:
        state, more = ask(state, request, now)
        effects = (*effects, *more)
    return state, effects


def _refusal(request: Asked, refused: Refused) -> Answer:
    body = {
        "code": refused.code,
        "what": refused.what,
        "why": refused.why,
        "then": refused.then,
        "exit_code": refused.exit_code,
    }
    return Answer(request.id, accepted=False, body=body)


def _tick(state: State, tick: Tick) -> tuple[State, tuple[Effect, ...]]:
    state, unparked = _unparked(state.seeing(tick.observed), tick.now)
    state, here = _folded(state, tick.now)
    effects: list[Effect] = [*unparked]
    change = _chosen(state, here, tick.now)
    if change is not None:
        state, taken = take(state, change, tick.now)
        effects += taken
        here = situations(state, tick.now)
    state, again = retried(state, tick.now)
    effects += again
    state, told = told_in_time(state, tick.now)
    effects += told
    state, operations = apply_all(state, here, tick.now)
    effects += operations
    state, orders = administer(state, tick.now)
    effects += orders
    state = replace(state, ebbs=ebbs(state, tick.now))
    state, notes = noted(state, here, tick.now)
    state, asks = asked(state, here, tick.now)
    return state, (*effects, *_tokens(state), *notes, *asks)


def _folded(state: State, now: Instant) -> tuple[State, Situations]:
    """Take the observation in: what was counted, what is learned of it, evidence and holds of every running release.
    Returns the situation of every service in one, too."""
    state = replace(state, matrix=dict(_matrix(state, now)), calms=calms(state, now), sights=sights(state))
    here = situations(state, now)
    counts = {name: _counted(state, name, now) for name in state.topology.services}
    counted = {name: seen for name, (_, seen) in counts.items() if seen is not None}
    learned = {name: _learned(state, name, here.get(name), counted.get(name)) for name in state.topology.services}
    progress: dict[ReleaseId, Progress] = {}
    found: dict[ServiceName, Situation] = {}
    for one in {now_one.release.id: now_one for now_one in here.values()}.values():
        progress[one.release.id] = _followed(state, one, counted, now)
        after = replace_in(one, progress[one.release.id])
        found |= dict.fromkeys(one.release.members, after)
    books = {name: after for name, (after, _) in counts.items()}
    return replace(state, progress=progress, books=books, learned=learned), found


def _followed(state: State, here: Situation, counted: Mapping[ServiceName, Counted], now: Instant) -> Progress:
    """Follow a running release with what was known of its services before this tick."""
    release, known = here.release, here.progress
    if known is None or known.epoch != release.epoch:
        accounts = state.accounts.get(release.id, {})
        if known is not None:
            accounts = {release.service: known.account, **known.followers}
        word = None if known is None else known.verdict or known.judged_before
        known = replace(begin(release, state.topology.services, accounts, state.learned, now), judged_before=word)
    mine = {name: seen for name, seen in counted.items() if name in release.members}
    return follow(replace_in(here, known), known, mine, state.learned)


def _counted(state: State, name: ServiceName, now: Instant) -> tuple[Books, Counted | None]:
    observed, instances = state.observed, state.topology.instances_of(name)
    readings = {instance: observed.instances.get(instance) for instance in instances}
    timing = {i: observed.timing[i, name] for i in instances if (i, name) in observed.timing}
    slow_limit = state.topology.services[name].judge.slow_limit
    return count(state.books.get(name, Books()), readings, timing, name, slow_limit, now)


def _matrix(state: State, now: Instant) -> Iterator[tuple[ServiceName, matrix.Tally]]:
    """Count the calls of every service that has consumers; a release of one of those is about its pins, too."""
    for name, service in state.topology.services.items():
        if not service.consumers:
            continue
        readings = {one: state.observed.instances.get(one) for one in state.topology.instances_of(name)}
        running = (state.record.running(one) for one in (name, *service.consumers))
        release = next((one.id for one in running if one is not None), None)
        want = target(state.topology, state.record, name)
        yield name, matrix.fold(state.matrix.get(name, matrix.Tally()), readings, name, want, release, now)


def _learned(state: State, name: ServiceName, here: Situation | None, counted: Counted | None) -> judge.Learned:
    """Learn of active while its pool alone takes new traffic; a way back teaches nothing."""
    known, adopted = state.learned.get(name, judge.Learned()), state.record.services.get(name)
    if adopted is None or counted is None or (here is not None and here.release.phase is Phase.ROLLING_BACK):
        return known
    moving = here is not None and here.moving
    active = here.release.members[name].origin if here is not None and moving else adopted.active
    return learn(known, counted, active, moving=moving)


def _chosen(state: State, here: Situations, now: Instant) -> Change | None:
    """Return the one change of this tick: a lowering of any service before a step forward of another."""
    found = (_change_of(state, here, name, now) for name in state.topology.services)
    # A certificate that does not hold any more, and what hides who is there, come before anything is built on them.
    first = (*voided(state, now), *unwitnessed(state, now), *remembered(state))
    changes = [change for change in (*first, *found, *_due(state, now)) if change is not None]
    forward = changes if state.settled and not state.offered else []
    chosen = next((change for change in changes if change.lowering), None) or next(iter(forward), None)
    if chosen is None and state.overtaken and state.ordered is state.record:
        # The same decision under a revision that load balancers accept; it raises nothing, so it waits for nobody.
        return Change(record=state.record, lowering=True)
    return chosen


def _change_of(state: State, here: Situations, name: ServiceName, now: Instant) -> Change | None:
    if name not in here:
        return at_rest(state, name, now)
    return decide(here[name]) if name == here[name].release.service else None


def _due(state: State, now: Instant) -> Iterator[Change | None]:
    """Look at claims and versions that wait, and for a set to cut in every unit with a record on the board; a service
    that left the config waits there."""
    yield from standing(state, now)
    yield from counted_anew(state)
    yield from undrained(state, now)
    waiting = [name for name in state.record.board if name in state.topology.services]
    units = {unit.name: unit for unit in map(state.topology.unit_of, waiting)}
    yield from (ready.due(state, unit, now) for unit in units.values())
    yield from leave_on(state, now)


def _tokens(state: State) -> Iterable[Mark]:
    """Turn a held token back once its lowering is durable, and remove what belongs to no running release."""
    for release in state.record.releases.values():
        token = state.observed.tokens.get(release.id, Token.NONE)
        if release.phase.ended and token is not Token.NONE and state.durable.releases.get(release.unit_name) == release:
            yield Mark(release.id, release.nonce, Token.NONE)


def _configured(state: State, event: Configured) -> State:
    """Take a new config. A load balancer that is new in it may have had another name: what was sent to that one may
    still land."""
    topology = event.topology
    fresh = _unresolved("it is new in the config: an operation under an earlier name may still land", event.now)
    names = [instance.name for plane in topology.planes.values() for instance in plane.instances]
    lanes: dict[InstanceName, Lane] = {name: state.lanes.get(name, fresh) for name in names}
    return replace(state, topology=topology, lanes=lanes).seeing(state.observed)


def _unresolved(why: str, now: Instant) -> Lane:
    return Lane(unresolved=why, resolvable_at=after(now, OPERATION_TIMEOUT))
