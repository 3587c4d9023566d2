"""What one decision looks at, in every phase of a release: to ask each rule by itself, with one fact changed."""

from dataclasses import replace
from functools import cache
from typing import Any

from lbctl.core.holds import Hold
from lbctl.core.judge import Counts, Verdict, Word
from lbctl.core.situation import Situation, situation
from lbctl.core.state import Progress, State
from lbctl.model.names import InstanceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Release
from lbctl.model.units import Instant
from tests.asking import at as at_once
from tests.shop import SHOP, A, B, Shop

HOLD = Hold("any", "something holds", "something else")


def state_of(phase: str, going: str = "both") -> State:
    """The state in that phase; everybody shares it."""
    return in_phase(phase, going).state


@cache
def in_phase(phase: str, going: str = "both") -> Shop:
    """A shop in that phase, a moment after it began; everybody shares it."""
    shop = at_once(going, phase)
    if phase in {"preflight", "awaiting_approval"}:
        shop.run(3)
    return shop


def here(phase: str, going: str = "both", **changes: Any) -> Situation:
    """The situation in that phase, with these facts instead."""
    shop = in_phase(phase, going)
    return replace(at(shop.state, shop.now), **changes)


def at(state: State, now: Instant) -> Situation:
    """The situation of the one release there is."""
    found = situation(state, A if A in state.record.services and state.record.running(A) else B, now)
    assert found is not None
    return found


def progress(now: Situation, **changes: Any) -> Progress:
    """Its progress, with these facts instead."""
    assert now.progress is not None
    return replace(now.progress, **changes)


def going_on(now: Situation, **changes: Any) -> Situation:
    """The situation with some of its progress changed."""
    return replace(now, progress=progress(now, **changes))


def released(now: Situation, **changes: Any) -> Situation:
    """The situation with some of its release changed, in the record as well."""
    release = replace(now.release, **changes)
    return replace(now, release=release, record=now.record.with_release(release))


def planned(now: Situation, **changes: Any) -> Situation:
    """The situation with some of the release's plan changed."""
    return released(now, plan=replace(now.release.plan, **changes))


def said(word: Word, code: str = "ok", **changes: Any) -> Verdict:
    """A verdict."""
    verdict = Verdict(
        word=word,
        code=code,
        reason=f"the judge says {code}",
        odds=1.0,
        limit=1_000.0,
        candidate=Counts(100, 1),
        active=Counts(900, 1),
        evidence_count=100,
        since_s=1.0,
        alert=False,
    )
    return replace(verdict, **changes)


def judged(now: Situation, word: Word, code: str = "ok", **changes: Any) -> Situation:
    """The situation in which the judge said that."""
    return going_on(now, verdict=said(word, code, **changes))


def with_traffic(now: Situation, count: int) -> Situation:
    """So many candidate requests were seen in this step."""
    assert now.progress is not None
    step = replace(now.progress.account.step, candidate=Counts(count, 0))
    return going_on(now, account=replace(now.progress.account, step=step))


def running(state: State) -> Release:
    """The one release."""
    return state.record.releases[SHOP]


def reading_of(now: Situation, name: InstanceName) -> InstanceReading:
    """What was read of a load balancer."""
    reading = now.readings[name]
    assert isinstance(reading, InstanceReading)
    return reading
