"""The judge over lines of counters: what it is set to, and its verdict on each tick. No daemon, no clock."""

from collections.abc import Mapping
from dataclasses import fields, replace
from math import inf
from typing import Any, get_type_hints

import msgspec

from lbctl.cli.counterlines import Fault, Opening, Streams, Tick
from lbctl.core.judge import Account, Counts, Pair, Sample, Settings, Stream, Terms, Verdict, judge, new_step
from lbctl.core.judge.terms import SLOW

Json = dict[str, Any]
Range = tuple[float, float]

UNJUDGED = (
    "slow requests are not judged: the first tick had none, and the parts of the capital are fixed from then on; put "
    '"dispersion": {"slow50": 2, "slow95": 2, "slow99": 2} on the first line'
)
_LIMITS: dict[str, Range] = {
    "false_rollback": (1e-9, 0.5),
    "margin_abs": (0.0, 0.9),
    "active_limit": (1e-6, 0.9),
    "dispersion": (1.0, 1_000.0),
}
_LIMITS_BY_UNIT: dict[str, Range] = {"_s": (0.0, 1e9), "_bp": (0, 10_000), "_rel": (0.01, 100.0)}
_ANY: Range = (0.0, 1e9)
# What active did before is a first guess: a long past must not outweigh the present for hours.
_GUESS_COUNT = 10_000


class Judging:
    """One release: its account, and what it is judged by."""

    def __init__(self) -> None:
        self._opening = Opening()
        self._settings = Settings()
        self._account: Account | None = None
        self._share_bp = -1
        self._at = -inf
        self._told = False

    def open(self, opening: Opening) -> None:
        """Take in what is known and set before the first tick. Raises `Fault` for a setting that cannot be."""
        self._opening, self._settings = opening, _settings(opening)

    def unjudged(self, tick: Tick) -> bool:
        """Whether this tick is the first with slow requests that the release did not begin with."""
        if self._told or self._account is None or self._account.terms.latency:
            return False
        self._told = tick.streams is not None and bool(_slow(tick.streams))
        return self._told

    def verdict(self, tick: Tick) -> Json:
        """Return what the judge says about one tick. Raises `Fault` if it lies before the tick before."""
        if tick.t < self._at:
            raise Fault("t", f"{tick.t:g} is before {self._at:g} of the line before", "put the lines in order of time")
        if self._account is None:
            self._account = _opened(self._opening, tick, self._settings)
        if tick.share_bp != self._share_bp:
            self._account = new_step(self._account, self._settings, share_bp=tick.share_bp)
        self._share_bp, self._at = tick.share_bp, tick.t
        self._account, said = judge(self._account, _sample(tick), self._settings)
        return _told(tick.t, said)


def _told(at: float, said: Verdict) -> Json:
    return {
        "t": at,
        "verdict": said.word.value,
        "code": said.code,
        "reason": said.reason,
        "odds": said.odds,
        "limit": said.limit,
    }


def _settings(opening: Opening) -> Settings:
    hints = get_type_hints(Settings)
    known = {field.name: hints[field.name] for field in fields(Settings)}
    given: dict[str, Any] = {} if opening.horizon_s is None else {"horizon_s": opening.horizon_s}
    given |= {name: _setting(name, value, known) for name, value in opening.settings.items()}
    return replace(Settings(), **given)


def _setting(name: str, value: Any, known: Mapping[str, Any]) -> Any:
    place = f"settings.{name}"
    if name not in known:
        from lbctl.config.fault import did_you_mean

        raise Fault(place, "there is no such setting", did_you_mean(name, known))
    try:
        found = msgspec.convert(value, known[name])
    except msgspec.ValidationError as error:
        raise Fault(place, str(error).partition(" - at ")[0], "leave it out for its default") from None
    low, high = _range_of(name)
    if isinstance(found, int | float) and not low <= found <= high:
        raise Fault(place, f"{found!r} is out of range", f"write a number in {low:g}..{high:g}")
    return found


def _range_of(name: str) -> Range:
    by_unit = (limits for unit, limits in _LIMITS_BY_UNIT.items() if name.endswith(unit))
    return _LIMITS.get(name) or next(by_unit, _ANY)


def _opened(opening: Opening, first: Tick, settings: Settings) -> Account:
    known = opening.baseline.error
    bursts = {stream: value for stream in Stream if (value := getattr(opening.dispersion, stream)) is not None}
    slow = {*bursts, *(stream for stream in SLOW if getattr(opening.baseline, stream) is not None)} & {*SLOW}
    timed = first.streams is not None and bool(_slow(first.streams))
    terms = Terms(
        dispersion=bursts.pop(Stream.ERROR, settings.dispersion),
        slow_dispersion=bursts,
        latency=bool(slow) or timed,
        baseline=Counts(0, 0) if known is None else Counts(*known),
    )
    return Account.fresh(settings, terms=terms, active=_guess(terms.baseline))


def _guess(known: Counts) -> Counts:
    if known.total <= _GUESS_COUNT:
        return known
    return Counts(_GUESS_COUNT, round(known.bad * _GUESS_COUNT / known.total))


def _sample(tick: Tick) -> Sample:
    found = tick.streams
    return Sample(
        dt_s=tick.dt,
        share_bp=tick.share_bp,
        candidate=None if found is None else Counts(*found.error.candidate),
        active=None if found is None else Counts(*found.error.active),
        slow={} if found is None else _slow(found),
        servers={name: Counts(*counted) for name, counted in tick.servers.items()},
        candidate_down=tick.candidate_down,
        active_down=tick.active_down,
        active_probed_healthy=not tick.active_down,
        panic=tick.panic,
    )


def _slow(found: Streams) -> dict[Stream, Pair]:
    pairs = ((stream, getattr(found, stream)) for stream in SLOW)
    return {stream: Pair(Counts(*one.candidate), Counts(*one.active)) for stream, one in pairs if one is not None}
