"""Judge a recorded release again, with today's judge, and with other settings if asked. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from lbctl.core.judge import Account, Settings, Verdict, judge, new_step
from lbctl.model.names import ServiceName
from lbctl.model.topology import JudgeSettings
from lbctl.store.recording import Judged, Opening, checksum


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A verdict that is another one than the tick before, now or as recorded."""

    at: int
    service: ServiceName
    verdict: Verdict
    recorded: tuple[str, str]

    @property
    def same(self) -> bool:
        """Whether it asks for what the recorded one asked for."""
        return self.verdict.word.value == self.recorded[0]


@dataclass(slots=True)
class Replay:
    """What came of it. `exact` ticks are the same to the last digit; `lbctl` is the version that recorded."""

    release: str = ""
    lbctl: str = ""
    began: int | None = None
    ended: int = 0
    ticks: int = 0
    exact: int = 0
    turns: list[Turn] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every verdict asks for what the recorded one asked for."""
        return all(turn.same for turn in self.turns)


def again(lines: Iterable[Opening | Judged], other: Mapping[ServiceName, JudgeSettings] | None = None) -> Replay:
    """Return what the judge says of these ticks now. `other`: by service, settings instead of the recorded ones.

    Raises:
        ValueError: the recording does not begin with what it was judged by, or has an account that cannot be.
    """
    replay, judged = Replay(), _Judging(other or {})
    last: dict[ServiceName, tuple[object, ...]] = {}
    for line in lines:
        if isinstance(line, Opening):
            replay.release, replay.lbctl = line.release, replay.lbctl or line.lbctl
            judged.open(line)
            continue
        replay.began = line.at if replay.began is None else replay.began
        replay.ended = line.at
        for name, verdict in judged.verdicts(line).items():
            word, code, sum_ = line.said[name]
            replay.ticks += 1
            replay.exact += checksum(verdict) == sum_
            now = (verdict.word, verdict.code, word, code)
            if last.get(name) != now:
                last[name] = now
                replay.turns.append(Turn(at=line.at, service=name, verdict=verdict, recorded=(word, code)))
    return replay


class _Judging:
    """The accounts of one release, from line to line."""

    def __init__(self, other: Mapping[ServiceName, JudgeSettings]) -> None:
        self._other = other
        self._accounts: dict[ServiceName, Account] = {}
        self._settings: dict[ServiceName, Settings] = {}
        self._fresh = False

    def open(self, line: Opening) -> None:
        if not self._accounts:
            self._accounts = {name: Account.from_json(one) for name, one in line.accounts.items()}
            self._fresh = True
        for name, one in line.settings.items():
            if not (
                _sound(one.false_rollback, one.margin_abs, one.active_limit) and one.margin_rel > 0 < one.horizon_s
            ):
                raise ValueError(f"{name} is judged by settings that cannot be")
        members = len(line.settings)
        self._settings = {name: _settings(one, self._other.get(name), members) for name, one in line.settings.items()}

    def verdicts(self, line: Judged) -> dict[ServiceName, Verdict]:
        found = {}
        for _ in range(0 if self._fresh else line.steps):
            # The share is that of the next tick: nothing is judged by it.
            share_bp = next((one.share_bp for one in line.samples.values()), 0)
            self._accounts = {n: new_step(a, self._settings[n], share_bp=share_bp) for n, a in self._accounts.items()}
        self._fresh = False
        for name, sample in line.samples.items():
            if name not in self._accounts or name not in self._settings or name not in line.said:
                raise ValueError(f"{name} is judged, and nothing says by what")
            self._accounts[name], found[name] = judge(self._accounts[name], sample, self._settings[name])
        return found


def _sound(chance: float, margin: float, limit: float) -> bool:
    return 0 < chance <= 0.5 and 0 <= margin <= 0.9 and 0 < limit <= 0.9


def _settings(recorded: Settings, other: JudgeSettings | None, members: int) -> Settings:
    """Return the recorded settings with those of a config in their place; the planned length stays."""
    if other is None:
        return recorded
    return replace(
        recorded,
        false_rollback=other.false_rollback / members,
        margin_abs=1 - other.slo_ratio,
        margin_rel=other.margin_rel,
        active_limit=other.active_limit,
        blind_limit_s=None if other.blind_limit is None else other.blind_limit / 1_000,
        retreat_above_bp=other.retreat_above_bp,
    )
