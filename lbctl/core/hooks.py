"""Hooks: whom to ask and to tell now, and what their answers mean. Pure.

What was asked and answered is not recorded: after a restart a hook is asked anew, with the same key. Nothing here is
looked at on the way back.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from lbctl.core import preview
from lbctl.core.change import next_step
from lbctl.core.holds import Hold, waits
from lbctl.model.hook import BLOCKING, Ask, Facts, Heard, Hook, HookAnswer, HookKey, Point, Word
from lbctl.model.record import Phase, Record, Release
from lbctl.model.topology import Topology
from lbctl.model.units import BP_FULL, MINUTE, SECOND, Instant, Span, seconds, since

if TYPE_CHECKING:
    from lbctl.core.situation import Situation, Situations
    from lbctl.core.state import State

AGAIN = Span(30 * SECOND)
"""A hook that said no, or nothing, is asked again."""
VALID = Span(MINUTE)
"""How long a yes before a step counts, where something else holds the step."""
LOST = Span(10 * SECOND)
"""An answer that is so much later than its time-out never comes."""
TOLD_WITHIN = Span(10 * MINUTE)
"""After a start, what happened longer ago than this is not told again."""
TELLING = {
    Phase.ROLLED_BACK: (Point.ROLLED_BACK,),
    Phase.DRAINING: (Point.ACTIVE,),
    Phase.RETIRING: (Point.ACTIVE, Point.IDLE),
    Phase.FINISHED: (Point.ACTIVE, Point.RELEASED),
}
"""What is told in which phase, once for each release."""


def answered(state: "State", event: HookAnswer) -> "State":
    """Fold an answer in; one that nobody waits for any more is dropped."""
    heard = state.hooks.get(event.key)
    if heard is None:
        return state
    heard = replace(heard, word=event.word, text=event.text, at=event.now)
    return replace(state, hooks={**state.hooks, event.key: heard})


def hook_holds(now: "Situation", others: Sequence[Hold]) -> tuple[Hold, ...]:
    """Return a hold for every hook that must have said yes by now and has not."""
    return tuple(_hold(key, hook, now.hooks.get(key), now) for key, hook in _required(now, others))


def closed(now: "Situation") -> str:
    """Return the first hook that has not said yes to the next step, whether it was asked or not; empty if all did."""
    return next((hook.name for _, hook in _lacking(now, Point.BEFORE_STEP)), "")


def says_back(now: "Situation") -> str:
    """Return which hook wants the release to go back, and why; empty if none does."""
    for key, heard in now.hooks.items():
        if key.point in BLOCKING and heard.goes_back:
            why = heard.text or "roll back"
            return f"hook {heard.hook.name} at {key.point}: {why}"
    return ""


def asked(state: "State", here: "Situations", now: Instant) -> "tuple[State, tuple[Ask, ...]]":
    """Return the hooks to ask and to tell now, and the state that remembers them."""
    asks = [*_asks(here, state.topology), *_tellings(state, now)]
    running = {release.id for release in state.record.releases.values()}
    if not asks and all(key.release in running for key in state.hooks):
        return state, ()
    kept = {key: heard for key, heard in state.hooks.items() if key.release in running}
    return replace(state, hooks=kept | {ask.key: Heard(ask.hook, now) for ask in asks}), tuple(asks)


def _asks(here: "Situations", topology: Topology) -> Iterator[Ask]:
    for now in {one.release.id: one for one in here.values()}.values():
        # A question about a decision that may still be undone, or about the target before this one, is none.
        if now.progress is None or now.progress.epoch != now.release.epoch or not now.durable:
            continue
        others = [hold for hold in now.progress.holds if hold.code != "hook"]
        for key, hook in _required(now, others):
            if _due(now.hooks.get(key), hook, now.at):
                yield Ask(key, hook, _facts(now.record, now.release, key, topology))


def _required(now: "Situation", others: Sequence[Hold]) -> Iterator[tuple[HookKey, Hook]]:
    """Yield the hooks that hold the release now. Those of a later point wait for those before it."""
    for point in _points(now, others):
        lacking = list(_lacking(now, point))
        yield from lacking
        if lacking:
            return


def _points(now: "Situation", others: Sequence[Hold]) -> Iterator[Point]:
    """Yield the points that are reached: a step is asked for when nothing but a person's word could still hold it."""
    quiet = all(hold.overridable for hold in others) and now.reached_since is not None
    match now.release.phase:
        case Phase.PREFLIGHT if quiet:
            yield Point.PREFLIGHT
            yield Point.SMOKE
            if not now.release.unapproved_count:
                yield Point.BEFORE_STEP
        case Phase.AWAITING_APPROVAL if quiet:
            yield Point.BEFORE_STEP
        case Phase.SHIFTING | Phase.BAKING:
            if now.release.share_bp and now.release.reached_bp == now.release.share_bp:
                yield Point.AFTER_STEP
            over = not any(wait.code in {"time", "reaching"} for wait in waits(now))
            if quiet and over and now.release.phase is Phase.SHIFTING and now.release.share_bp < BP_FULL:
                yield Point.BEFORE_STEP
        case _:
            pass


def _lacking(now: "Situation", point: Point) -> Iterator[tuple[HookKey, Hook]]:
    """Yield the hooks of a point that have not said yes."""
    for key, hook in _keyed(now.configured_hooks, now.release, point):
        heard = now.hooks.get(key)
        passed = heard is not None and heard.hook == hook and heard.passes
        old = point is Point.BEFORE_STEP and heard is not None and since(heard.at, now.at) > VALID
        if not passed or old:
            yield key, hook


def _keyed(hooks: Sequence[Hook], release: Release, point: Point) -> Iterator[tuple[HookKey, Hook]]:
    for number, hook in enumerate(hooks):
        if hook.at is point:
            yield HookKey(release.id, point, release.epoch, number), hook


def _due(heard: Heard | None, hook: Hook, now: Instant) -> bool:
    if heard is None or heard.hook != hook:
        return True
    if heard.word is None:
        return since(heard.asked_at, now) > hook.timeout + LOST
    return heard.passes or since(heard.at, now) >= AGAIN


def _hold(key: HookKey, hook: Hook, heard: Heard | None, now: "Situation") -> Hold:
    who = f"hook {hook.name} at {key.point}"
    if heard is None or heard.word is None or heard.passes:
        since_when = seconds(since(heard.asked_at, now.at)) if heard is not None else "0s"
        return Hold("hook", f"{who} is asked since {since_when}", f"its answer within {seconds(hook.timeout)}")
    said = "says no" if heard.word is Word.NO else "gives no answer"
    why = f": {heard.text}" if heard.text else ""
    return Hold("hook", f"{who} {said}{why}", f"its yes; it is asked again every {seconds(AGAIN)}")


def _tellings(state: "State", now: Instant) -> Iterator[Ask]:
    """Yield who is told what is durable and was not told yet by this process."""
    for release in state.durable.releases.values():
        for point in TELLING.get(release.phase, ()):
            if since(release.phase_since, now) > TOLD_WITHIN or release.service not in state.topology.services:
                continue
            hooks = state.topology.unit_of(release.service).hooks
            told = {(key.point, key.number) for key in state.hooks if key.release == release.id}
            for key, hook in _keyed(hooks, release, point):
                if (point, key.number) not in told:
                    yield Ask(key, hook, _facts(state.durable, release, key, state.topology))


def _facts(record: Record, release: Release, key: HookKey, topology: Topology) -> Facts:
    """Return what a hook is told: of a step that is to come, its share; and how it may reach the candidate."""
    share_bp = next_step(release) if key.point is Point.BEFORE_STEP else release.share_bp
    versions = {
        name: {
            "from": member.origin.value,
            "to": member.to.value,
            "version_from": record.services[name].pool(member.origin).version,
            "version_to": member.version,
        }
        for name, member in release.members.items()
    }
    return {
        "id": str(key),
        "release": release.id,
        "unit": release.unit_name,
        "point": key.point.value,
        "phase": release.phase.value,
        "share_bp": share_bp,
        "reason": release.outcome or release.reason,
        "versions": versions,
        "preview": preview.way(topology.services[release.service], release.to),
    }
