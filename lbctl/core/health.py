"""A server's health from its probes: rise and fall, flap damping, the panic rule. Pure; time comes in.

Unknown is a state of its own: a probe that could not tell moves nothing, and a server nobody heard of for too long is
neither up nor down.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from operator import attrgetter

from lbctl.model.reading import Health
from lbctl.model.topology import HealthCheck
from lbctl.model.units import MINUTE, SECOND, Instant, Span, seconds, since

REFUSED = "connection refused"
"""What the prober says of a server whose host answers that nothing listens there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    """`rise` good probes in a row make a server up, `fall` bad ones down. More than `flips_max` changes within
    `flap_window` keep it down until it has been still for `calm`."""

    rise: int = 2
    fall: int = 3
    interval: Span = SECOND
    timeout: Span = Span(500)
    flips_max: int = 5
    flap_window: Span = MINUTE
    calm: Span = Span(30 * SECOND)

    @classmethod
    def of(cls, check: HealthCheck) -> "HealthSettings":
        """The settings of a configured check; damping has its defaults."""
        return cls(rise=check.rise, fall=check.fall, interval=check.interval, timeout=check.timeout)

    @property
    def stale_after(self) -> Span:
        """Without a result for longer than this nothing is known."""
        return Span(3 * self.interval + self.timeout)


@dataclass(frozen=True, slots=True)
class HealthState:
    """One server. `up` is what others may act on; `seen_up` is the same before damping.

    `since` is when `up` last changed. `good` and `bad` count probes in a row. `flips` are the last changes of
    `seen_up` between up and down, at most `flips_max` + 1 of them.
    """

    up: bool | None
    since: Instant
    detail: str = "not probed yet"
    seen_up: bool | None = None
    good: int = 0
    bad: int = 0
    refused_since: Instant | None = None
    flips: tuple[Instant, ...] = ()
    heard_at: Instant | None = None
    """The last one: `_heard` gives it anew after all others."""

    @classmethod
    def unknown(cls, now: Instant) -> "HealthState":
        """A server that was not probed yet."""
        return cls(up=None, since=now)

    @property
    def health(self) -> Health:
        """The same in the words of a reading."""
        return Health(self.up, self.since, self.detail, self.refused_since)


def observe(
    state: HealthState, ok: bool | None, now: Instant, settings: HealthSettings, detail: str = ""
) -> HealthState:
    """Return the state after one probe. A probe that could not tell (`ok` None) neither raises nor lowers."""
    if ok is None:
        told = replace(state, detail=detail or "the checker could not tell") if state.up is None else state
        return refresh(told, now, settings)
    if ok and _is_steady(state, settings, detail):
        return _heard(state, now)
    good, bad = (min(state.good + 1, settings.rise), 0) if ok else (0, min(state.bad + 1, settings.fall))
    seen_up = True if good >= settings.rise else False if bad >= settings.fall else state.seen_up
    flips = state.flips
    if state.seen_up is not None and seen_up is not state.seen_up:
        flips = (*flips, now)[-settings.flips_max - 1 :]
    refused_since = _refused_since(state, now, settings) if detail == REFUSED and not ok else None
    heard = replace(state, good=good, bad=bad, seen_up=seen_up, heard_at=now, flips=flips, refused_since=refused_since)
    return _settled(heard, now, settings, detail)


def _heard(state: HealthState, now: Instant) -> HealthState:
    """`replace` takes more than twice as long, and this is done for each of thousands a second."""
    return _NEW(*_ALL_BUT_HEARD_AT(state), now)


_NEW: Callable[..., HealthState] = HealthState
_ALL_BUT_HEARD_AT = attrgetter(*(field.name for field in fields(HealthState)[:-1]))


def _refused_since(state: HealthState, now: Instant, settings: HealthSettings) -> Instant:
    """Return since when every check was refused. Nobody asked during a silence (the host slept): it begins anew."""
    asked = state.heard_at is not None and since(state.heard_at, now) <= settings.stale_after
    return state.refused_since if asked and state.refused_since is not None else now


def _is_steady(state: HealthState, settings: HealthSettings, detail: str) -> bool:
    """Whether one more good probe changes nothing but when it was: nearly all of thousands a second do not."""
    is_well = state.up is True and state.good == settings.rise
    return is_well and not state.flips and state.detail == detail


def refresh(state: HealthState, now: Instant, settings: HealthSettings) -> HealthState:
    """Return the state as time alone changes it: unknown after more than three intervals and a time-out of silence."""
    if state.heard_at is None or since(state.heard_at, now) <= settings.stale_after:
        return state
    silent = f"no result for {seconds(since(state.heard_at, now))}"
    changed = now if state.up is not None else state.since
    return replace(state, up=None, seen_up=None, since=changed, good=0, bad=0, detail=silent, refused_since=None)


def _settled(state: HealthState, now: Instant, settings: HealthSettings, detail: str) -> HealthState:
    """Return the state with damping applied. A server that flaps counts as down while it looks up."""
    is_damped = state.seen_up is True and _is_flapping(state, now, settings)
    up = False if is_damped else state.seen_up
    is_rising = not state.seen_up and 0 < state.good < settings.rise
    rising = f"{state.good} of {settings.rise} good checks in a row"
    words = _flapping_words(state, now, settings) if is_damped else rising if is_rising else detail
    return replace(state, up=up, since=now if up is not state.up else state.since, detail=words)


def _is_flapping(state: HealthState, now: Instant, settings: HealthSettings) -> bool:
    if not state.flips or since(state.flips[-1], now) >= settings.calm:
        return False
    recent = sum(since(flip, now) <= settings.flap_window for flip in state.flips)
    return recent > settings.flips_max or _was_damped(state)


def _was_damped(state: HealthState) -> bool:
    """Once damped it stays so until it is calm, even when old changes leave the window meanwhile."""
    return state.detail.startswith(_HELD_DOWN)


def _flapping_words(state: HealthState, now: Instant, settings: HealthSettings) -> str:
    still = since(state.flips[-1], now)
    return f"{_HELD_DOWN}: it changed {len(state.flips)} times, still for {seconds(still)} of {seconds(settings.calm)}"


_HELD_DOWN = "answers, but held down for flapping"


def panic(
    blue: Sequence[HealthState], green: Sequence[HealthState], now: Instant, settings: HealthSettings
) -> str | None:
    """Return why the checker itself is suspect, or None.

    Suspect: more than half of *both* pools look dead, or more than 20 % of all servers, at least three and some of
    each pool, changed within two intervals. One pool alone that dies at once is a fault of that pool, not of the
    checker: the other pool's answers prove that the checker works.
    """
    dead = [sum(state.up is False for state in pool) for pool in (blue, green)]
    if dead[0] * 2 > len(blue) and dead[1] * 2 > len(green):
        return f"{dead[0]} of {len(blue)} blue and {dead[1]} of {len(green)} green servers look dead at once"
    flipped = [sum(_flipped_lately(state, now, settings) for state in pool) for pool in (blue, green)]
    total = len(blue) + len(green)
    if min(flipped) > 0 and sum(flipped) >= 3 and sum(flipped) * 5 > total:
        return f"{sum(flipped)} of {total} servers of both pools changed within {seconds(2 * settings.interval)}"
    return None


def _flipped_lately(state: HealthState, now: Instant, settings: HealthSettings) -> bool:
    return bool(state.flips) and since(state.flips[-1], now) <= 2 * settings.interval
