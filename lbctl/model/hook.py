"""Programs and addresses of the operators' that are asked, or told, at named points of a release."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from lbctl.model.names import ReleaseId
from lbctl.model.units import SECOND, Instant, Span


class Point(StrEnum):
    """Where in a release. `smoke`: the last of preflight, by preview; `active`: the old pool drains; `idle`: it is
    proved unused; `released`: finished."""

    PREFLIGHT = "preflight"
    SMOKE = "smoke"
    BEFORE_STEP = "before_step"
    AFTER_STEP = "after_step"
    ROLLED_BACK = "rolled_back"
    ACTIVE = "active"
    IDLE = "idle"
    RELEASED = "released"


BLOCKING = (Point.PREFLIGHT, Point.SMOKE, Point.BEFORE_STEP, Point.AFTER_STEP)
"""Points whose hooks are asked and waited for. At the others they are told, and nobody waits."""


class NoAnswer(StrEnum):
    """What it means that a hook gave no answer in time, or none that can be understood."""

    HOLD = "hold"
    PASS = "pass"  # noqa: S105 - a word, no password
    ROLLBACK = "rollback"


class Word(StrEnum):
    """What a hook said. `none`: nothing in time, or nothing that can be understood."""

    YES = "yes"
    NO = "no"
    BACK = "back"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A program (`argv`) or an address (`url`), never both."""

    at: Point
    argv: tuple[str, ...] = ()
    url: str = ""
    timeout: Span = Span(30 * SECOND)
    no_answer: NoAnswer = NoAnswer.HOLD

    @property
    def name(self) -> str:
        """What people call it: the program's path, or the host. The rest of an address may be a secret."""
        return self.argv[0] if self.argv else urlsplit(self.url).netloc.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class HookKey:
    """One question: the same after a restart, so that a hook can tell a repeated one. `number`: which hook."""

    release: ReleaseId
    point: Point
    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.release}/{self.point}/{self.epoch}/{self.number}"


Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Heard:
    """A hook that was asked, and what it said; `word` None: not yet."""

    hook: Hook
    asked_at: Instant
    word: Word | None = None
    text: str = ""
    at: Instant = Instant(0)

    @property
    def passes(self) -> bool:
        """Whether the release may go on."""
        return self.word is Word.YES or (self.word is Word.NONE and self.hook.no_answer is NoAnswer.PASS)

    @property
    def goes_back(self) -> bool:
        """Whether the release must go back."""
        return self.word is Word.BACK or (self.word is Word.NONE and self.hook.no_answer is NoAnswer.ROLLBACK)


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask a hook, or tell it: `facts` are what it is told. Reports `HookAnswer`."""

    key: HookKey
    hook: Hook
    facts: Facts


@dataclass(frozen=True, slots=True)
class HookAnswer:
    """A hook answered, or did not. `text` is its first line, or why there is none."""

    now: Instant
    key: HookKey
    word: Word
    text: str = ""
