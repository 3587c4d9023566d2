"""Which key means what in `lbctl watch`, and of which release. Pure: nothing is done before somebody says yes."""

from dataclasses import dataclass, replace
from typing import Any

from lbctl.cli.screens.lines import ENDED

Json = dict[str, Any]
WORDS = {"p": "pause", "r": "resume", "b": "rollback"}
QUESTIONS = {"pause": "Pause", "resume": "Resume", "rollback": "Roll back"}
HELP = "p pause   r resume   b roll back   q quit"


@dataclass(frozen=True, slots=True)
class Order:
    """What to ask the daemon for."""

    word: str
    release: str
    about: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """What stands in the last lines: a question, or what was said last."""

    asked: Order | None = None
    said: tuple[str, ...] = ()

    @property
    def foot(self) -> list[str]:
        """The last lines of the screen."""
        if self.asked is None:
            return ["", *self.said, HELP]
        word = QUESTIONS[self.asked.word]
        return ["", f"! {word} release {self.asked.release} of {self.asked.about}?   y yes   any other key no"]


def pressed(prompt: Prompt, key: str, status: Json) -> tuple[Prompt, Order | None]:
    """Return what the screen asks or says after this key, and what is to be done now."""
    if prompt.asked is not None:
        if key in {"y", "Y"}:
            return Prompt(), prompt.asked
        return Prompt(said=("nothing was changed",)), None
    if key not in WORDS:
        return replace(prompt, said=()), None
    found = running(status)
    if len(found) != 1:
        why = "no release runs" if not found else f"{len(found)} releases run: lbctl watch {next(iter(found.values()))}"
        return Prompt(said=(f"◐ {why}",)), None
    ((release, about),) = found.items()
    return Prompt(asked=Order(WORDS[key], release, about)), None


def running(status: Json) -> dict[str, str]:
    """Return the running releases of what is shown, by number, and whose they are."""
    units = status["units"]
    inside = {one for unit in units.values() for one in unit["services"]}
    alone = {name: view for name, view in status["services"].items() if name not in inside}
    found = {**alone, **units}
    return {view["release"]: name for name, view in found.items() if view["release"] and view["phase"] not in ENDED}
