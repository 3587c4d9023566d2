"""What people are told that changes no record: holds that begin, page and end, instances lost and found. Pure.

Each standing fact is told once when it begins and once when it ends. A hold is told after it stood for a second, so
that the ordinary pauses of a release (a write under way, the next reading) make no noise.
"""

from collections.abc import Iterator
from dataclasses import replace

from lbctl.core.change import entry
from lbctl.core.closing import closing_news
from lbctl.core.holds import Hold
from lbctl.core.judge.wording import figures
from lbctl.core.matrix import WATCHED_MIN
from lbctl.core.reconcile import routed
from lbctl.core.servers import changed
from lbctl.core.situation import Situation, Situations, home_open
from lbctl.core.state import REFUSED_FOR, Effect, Note, Progress, State
from lbctl.core.targets import exposed, target
from lbctl.core.told import with_numbers
from lbctl.model.entry import Entry, Kind, Scalar, Severity
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading, Unreadable
from lbctl.model.record import Phase
from lbctl.model.route import Route
from lbctl.model.units import MINUTE, SECOND, Instant, Span, seconds, since

Standing = tuple[Kind, str, ServiceName | None]

PAGE_AFTER = Span(15 * MINUTE)
"""A hold with traffic on the candidate that stands this long needs a person."""
PAGING = {Kind.ROLLBACK_BLOCKED, Kind.OPERATION_FAILED}
GOOD = {Kind.CONNECTIONS_CLOSED}
SAID = frozenset({"approval"})
"""What the change of phase has told already."""
ENDINGS = {
    "lost": (Kind.INSTANCE_FOUND, "answers again"),
    "refused": (Kind.OPERATION_RECOVERED, f"has refused nothing for {seconds(REFUSED_FOR)}"),
    "drift": (Kind.DRIFT_CORRECTED, "routes as recorded again"),
}
"""What is told when a standing trouble of an instance is over."""


def noted(state: State, here: Situations, now: Instant) -> tuple[State, tuple[Effect, ...]]:
    """Return the state that remembers what was told, and the notes to write."""
    entries: list[Entry] = []
    progress = dict(state.progress)
    for one in {one.release.id: one for one in here.values()}.values():
        if one.progress is not None:
            progress[one.release.id], said = _holds(one, one.progress)
            entries += said
    state = _confirmed(state)
    standing = dict(_standing(state, now))
    for key in sorted(standing.keys() - state.told):
        entries.append(_begun(state, key, standing[key], now))
    for key in sorted(state.told - standing.keys()):
        word, instance, *_ = key.split()
        if word in ENDINGS and instance in state.lanes:
            kind, text = ENDINGS[word]
            entries.append(Entry(kind=kind, at=now, text=f"{instance} {text}", data={"instance": instance}))
    told = frozenset(standing)
    if progress != state.progress or told != state.told:
        state = replace(state, progress=progress, told=told)
    state, news = changed(state, now)
    entries += news
    return state, (Note(with_numbers(state, entries)),) if entries else ()


def _standing(state: State, now: Instant) -> Iterator[tuple[str, Standing]]:
    for instance, reading in state.observed.instances.items():
        if isinstance(reading, Unreadable):
            yield f"lost {instance}", (Kind.INSTANCE_LOST, f"{instance} cannot be read: {reading.reason}", None)
    for instance, lane in state.lanes.items():
        if lane.refusal is not None and since(lane.refused_at, now) < REFUSED_FOR:
            service, why = lane.refusal
            text = f"{instance} refuses a change of {service}, which is tried again: {why}"
            yield f"refused {instance}", (Kind.OPERATION_FAILED, text, service)
    for name, why in state.observed.checker_suspect.items():
        yield f"checker {name}", (Kind.CHECKER_SUSPECTED, f"the health checker of {name} is suspect: {why}", name)
    yield from closing_news(state)
    for name in state.topology.services:
        yield from _drift(state, name, now)
        release = state.record.running(name)
        if release is not None and release.phase is Phase.ROLLING_BACK and not home_open(state, name):
            text = f"release {release.id} cannot go back: {release.origin} is not fit to take traffic; repair it"
            yield f"blocked {name}", (Kind.ROLLBACK_BLOCKED, text, name)


def _begun(state: State, key: str, standing: Standing, now: Instant) -> Entry:
    """Return what is told when a trouble begins; what is in the way of a release going back belongs to that release."""
    kind, text, service = standing
    severity = Severity.PAGE if kind in PAGING else Severity.INFO if kind in GOOD else Severity.WARNING
    release = state.record.running(service) if kind is Kind.ROLLBACK_BLOCKED and service is not None else None
    if release is not None:
        return entry(kind, release, now, text, severity=severity)
    word, about, *_ = key.split()
    data: dict[str, Scalar] = {"instance": about} if word in ENDINGS else {}
    return Entry(kind=kind, at=now, text=text, severity=severity, service=service, data=data)


def _confirmed(state: State) -> State:
    """Remember of every instance which target it has read back."""
    found = dict(state.confirmed)
    for name in state.topology.services:
        want = target(state.topology, state.ordered, name)
        for instance in state.topology.instances_of(name) if want is not None else ():
            reading = state.observed.instances.get(instance)
            if want is not None and isinstance(reading, InstanceReading) and routed(reading, name, want):
                found[instance, name] = want
    return state if found == state.confirmed else replace(state, confirmed=found)


def _drift(state: State, name: ServiceName, now: Instant) -> Iterator[tuple[str, Standing]]:
    """What somebody else changed and lbctl puts right without a decision: anything at rest, too much in a release."""
    want, release = target(state.topology, state.ordered, name), state.ordered.running(name)
    if want is None or (release is not None and release.phase is Phase.ROLLING_BACK):
        return
    for instance in state.topology.instances_of(name):
        key, lane, reading = f"drift {instance} {name}", state.lanes[instance], state.observed.instances.get(instance)
        fresh = isinstance(reading, InstanceReading) and reading.taken_at > max(state.changed_at, lane.ended_at)
        if not fresh or lane.fresh or lane.unresolved or (lane.busy and lane.sent_at < now):
            # Nothing new is known: what was told stands.
            if key in state.told:
                yield key, (Kind.DRIFT_FOUND, "", name)
            continue
        assert isinstance(reading, InstanceReading)
        colour = None if release is None else exposed(state.ordered, name)
        ours = state.confirmed.get((instance, name))
        wrong = next((one for one in _wrong(reading, name, want, colour) if one != ours), None)
        if wrong is not None:
            text = f"{instance} has {name} at {wrong} instead of {want}, not by lbctl: put right as soon as it may be"
            yield key, (Kind.DRIFT_FOUND, text, name)
        elif ours is not None and _unkept(reading, name):
            text = f"{instance} has nothing written for its next start about {name} any more, not by lbctl"
            yield key, (Kind.DRIFT_FOUND, f"{text}: written again as soon as it may be", name)


def _unkept(reading: InstanceReading, name: ServiceName) -> bool:
    """Whether the boot value that was there once is gone: a file that was deleted, or that nobody can read."""
    seen = reading.services.get(name)
    return seen is not None and seen.boot is None


def _wrong(reading: InstanceReading, name: ServiceName, want: Route, exposed: Colour | None) -> list[Route]:
    seen = reading.services.get(name)
    if seen is None:
        return []
    routes = [*seen.runtime.values(), *([] if seen.boot is None else [seen.boot])]
    if exposed is None:
        return [route for route in routes if route != want]
    return [route for route in routes if route.share_bp(exposed) > want.share_bp(exposed)]


def _holds(now: Situation, progress: Progress) -> tuple[Progress, list[Entry]]:
    news = [hold for hold in progress.holds if hold.code not in SAID]
    stood = {hold.code: hold for hold in news if since(progress.held_since[hold.code], now.at) >= _soon(now, hold)}
    entries = [_started(now, stood[code]) for code in stood if code not in progress.told]
    if progress.told and not progress.holds:
        entries.append(entry(Kind.HOLD_ENDED, now.release, now.at, "nothing holds the release any more"))
    paging = {code: why for code, hold in stood.items() if (why := _pages(now, progress, hold))}
    for code, why in paging.items():
        if code not in progress.paged:
            entries.append(_paged(now, stood[code], why))
    told = frozenset(stood) if progress.holds else frozenset()
    paged = (progress.paged | paging.keys()) if progress.holds else frozenset()
    if (told, paged) == (progress.told, progress.paged):
        return progress, entries
    return replace(progress, told=told, paged=paged), entries


def _soon(now: Situation, hold: Hold) -> Span:
    """Return for how long a hold is no news: calls are watched under a new pin before every first step, and after a
    start every server is unknown until its first checks are done."""
    if hold.code == "watching":
        return Span(2 * SECOND + WATCHED_MIN)
    if hold.code != "candidate" or now.candidate.down:
        return SECOND
    checks = [one.health for one in now.services.values() if one.health is not None]
    return Span(SECOND + max((one.rise * one.interval + one.timeout for one in checks), default=0))


def _pages(now: Situation, progress: Progress, hold: Hold) -> str:
    """Return why a person must come for this hold; empty if none is needed yet."""
    if hold.pages:
        return "it needs a person"
    if not now.moving or not progress.account.step.candidate.total:
        return ""
    if since(progress.held_since[hold.code], now.at) >= PAGE_AFTER:
        return f"held with traffic for {seconds(PAGE_AFTER)}"
    if now.release.phase is Phase.SHIFTING and since(progress.target_since, now.at) >= now.release.plan.hold_max:
        return f"this step takes longer than {seconds(now.release.plan.hold_max)}"
    return ""


def _started(now: Situation, hold: Hold) -> Entry:
    text = f"held: {hold.reason}; needs {hold.needs}"
    numbers = figures(now.verdict)
    return entry(Kind.HOLD_STARTED, now.release, now.at, text, severity=Severity.WARNING, code=hold.code, **numbers)


def _paged(now: Situation, hold: Hold, why: str) -> Entry:
    text = f"{why}: {hold.reason}; needs {hold.needs}"
    stop = f"lbctl rollback {now.release.id}"
    return entry(Kind.HOLD_PAGED, now.release, now.at, text, severity=Severity.PAGE, code=hold.code, stop=stop)
