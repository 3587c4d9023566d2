"""What the control socket shows of sticky sessions: how many are where, how they leave, and when none is left."""

from collections.abc import Iterator
from typing import Any

from lbctl.core.claims import sessions_there
from lbctl.core.ebb import ends_in
from lbctl.core.lastseen import over_after
from lbctl.core.leaving import gone_from, hindered
from lbctl.core.measured import between, drawn
from lbctl.core.parting import parts_until, waits_for
from lbctl.core.seating import Seats, seats_of
from lbctl.core.state import State
from lbctl.daemon.uncounted import parts_words, uncounted
from lbctl.daemon.why_line import why_line
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.record import Pool, Release
from lbctl.model.sessions import Leaving
from lbctl.model.units import BP_FULL, Instant, Span, seconds, since

Json = dict[str, Any]


def sessions(state: State, name: ServiceName, now: Instant) -> dict[str, Json]:
    """Return what is known of the sessions of both pools."""
    counts = {colour: _count(state, name, colour, now) for colour in Colour}
    known = [count for count in counts.values() if count is not None]
    total = sum(known) if len(known) == len(counts) else 0
    adopted = state.record.services.get(name)
    stay = kept_view(state, name, now)
    return {
        colour.value: {
            "count": count,
            "kept": stay["text"] if stay is not None and stay["colour"] == colour.value else "",
            "share_bp": None if not total or count is None else round(count * BP_FULL / total),
            "leaving": None if adopted is None else _leaving(state, name, colour, adopted.pool(colour), now),
        }
        for colour, count in counts.items()
    }


def kept_view(state: State, name: ServiceName, now: Instant) -> Json | None:
    """Return whose sessions stay on the pool that is not active, although nothing moves them; None: nobody's."""
    adopted = state.record.services.get(name)
    if adopted is None or name not in state.topology.services:
        return None
    colour = adopted.active.other
    who = "" if adopted.pool(colour).leaving is not None else sessions_there(state, name, colour, now)
    if not who:
        return None
    left, long = state.record.latest(name), seconds(over_after(state, name, colour, now))
    since_words = "" if left is None else f" since release {left.id} ({left.phase.value.replace('_', ' ')})"
    text = f"{who} stay there{since_words}, each until it has not come for {long}; new users go to {adopted.active}"
    return {"colour": colour.value, "who": who, "text": text}


def measured(state: State, name: ServiceName, instance: InstanceName) -> Json | None:
    """Return what one instance gave the candidate of a running release, beside the share that is set."""
    release, seen = state.record.running(name), state.observed.sessions.get((instance, name))
    progress = None if release is None else state.progress.get(release.id)
    if release is None or progress is None or seen is None or release.service != name:
        return None
    grown = between(progress.measured.since_reached, drawn({instance: seen}), instance)
    given = {colour: sum(draws) for colour, draws in grown.items()}
    here = {colour: len(seen.buckets.get(colour, ())) for colour in Colour}
    return {
        "requests": sum(given.values()),
        "request_share_bp": _part(given[release.to], sum(given.values())),
        "session_share_bp": _part(here[release.to], sum(here.values())),
    }


def _part(count: int, total: int) -> int | None:
    return round(count * BP_FULL / total) if total else None


def _count(state: State, name: ServiceName, colour: Colour, now: Instant) -> int | None:
    """About how many came back within the last minute; None: nobody can say, or not yet."""
    seen: Seats | None = seats_of(state, name, colour, now)
    return None if seen is None or not seen.known else seen.count()


def _leaving(state: State, name: ServiceName, colour: Colour, pool: Pool, now: Instant) -> Json | None:
    leaving = pool.leaving
    if leaving is None:
        return None
    seen, ebb = seats_of(state, name, colour, now), state.ebbs.get((name, colour))
    counted = seen is not None and seen.known
    count = seen.alive(pool.keep_bp) if seen is not None and counted else leaving.left
    count = count if pool.keep_bp else 0
    until = parts_until(leaving, seen) if pool.keep_bp else None
    ends = ends_in(leaving, count, ebb) if until is None else Span(max(0, until - now))
    half_life = None if ebb is None else ebb.half_life
    hindrance = hindered(state, name, colour, now) if gone_from(state.record, name, colour) else "its release moves"
    hindrance = hindrance or waits_for(pool.keep_bp, leaving, seen, now)
    view: Json = {
        "policy": "wait" if leaving.per_second is None else f"move {leaving.per_second}/s",
        "idle_ms": over_after(state, name, colour, now),
        "keep_bp": pool.keep_bp,
        "left": count,
        "ends_in_ms": ends,
        "half_life_ms": half_life,
        "deadline_ms": max(0, leaving.deadline - now),
        "at_deadline": leaving.at_deadline.value,
        "closing": leaving.closing,
        "since_ms": since(leaving.began_at, now),
        "hindered": hindrance,
        "pace": _pace(leaving, until),
        "uncounted": "" if until is None else parts_words(uncounted(state, name), ends or 0, closing=leaving.closing),
    }
    return {**view, "text": leaving_words(view)}


def _pace(leaving: Leaving, parts_end: Instant | None) -> str:
    if leaving.per_second is None:
        return "own_end"
    return "rate" if parts_end is None else "equal_parts"


def leaving_lines(state: State, release: Release, now: Instant) -> Iterator[Json]:
    """Yield what `why` says of the sessions of a release's services."""
    for name in release.members:
        for colour, view in sessions(state, name, now).items() if name in state.topology.services else ():
            found = view["leaving"]
            if found is not None and found["keep_bp"]:
                moves = not found["hindered"] and found["policy"] != "wait"
                needs = found["hindered"] or ("time" if moves else "their end")
                what = f"sessions of {colour} of {name}: {found['text']}"
                yield why_line("sessions", what, found["since_ms"], needs, by_itself=moves)


def leaving_words(view: Json) -> str:
    """Return how a pool's sessions leave it, for people."""
    left = "sessions not counted" if view["left"] is None else f"about {view['left']} sessions left"
    stays = f"each stays until it has not come for {seconds(view['idle_ms'])}"
    how = stays if view["policy"] == "wait" else f"{view['policy']}"
    half = "" if view["half_life_ms"] is None else f", half-life {seconds(view['half_life_ms'])}"
    return f"{left}, {how}: {_when(view)}{half}; {_then(view)}"


def _when(view: Json) -> str:
    if view["uncounted"]:
        return str(view["uncounted"])
    if view["ends_in_ms"] is not None:
        return f"none in about {seconds(view['ends_in_ms'])}"
    return "no half-life measured yet" if view["policy"] == "wait" else "counting"


def _then(view: Json) -> str:
    if view["closing"]:
        return "the deadline is over: what is connected after that is closed"
    return f"at the deadline in {seconds(view['deadline_ms'])}: {view['at_deadline']}"
