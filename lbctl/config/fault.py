"""What is wrong in a config, and exactly where. Faults are collected, so that one run shows all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from lbctl.model.errors import LbctlError
from lbctl.model.visible import escaped

FAULTS_SHOWN = 100


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the text, both counted from 1 as editors do."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One fault. `path` is like `services.web.steps[1]` (empty: the text itself); `then` is the next step."""

    mark: Mark
    path: str
    what: str
    then: str = ""

    def render(self, file: str) -> str:
        """Return `FILE:LINE:COLUMN: PATH: WHAT; NEXT STEP` in one line."""
        said = f"{self.what}; {self.then}" if self.then else self.what
        text = f"{file}:{self.mark.line}:{self.mark.column}: {self.path + ': ' if self.path else ''}{said}"
        return escaped(text)


class ConfigError(LbctlError):
    """The config cannot be used. `faults` holds every fault found, in the order of the text."""

    def __init__(self, file: str, faults: Iterable[Fault]) -> None:
        self.file = file
        self.faults = tuple(sorted(set(faults)))
        super().__init__(self.render())

    def render(self) -> str:
        """Return one fault a line; after the first hundred only their number."""
        lines = [fault.render(self.file) for fault in self.faults[:FAULTS_SHOWN]]
        if len(self.faults) > FAULTS_SHOWN:
            lines.append(f"{self.file}: and {len(self.faults) - FAULTS_SHOWN} more")
        return "\n".join(lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the next step for a name that is not known: the closest one, else all of them."""
    names = sorted(known)
    listed = f"known are: {', '.join(names[:40])}" if names else "none is declared"
    return close_to(name, names) or listed


def close_to(name: str, known: Iterable[str]) -> str:
    """Return the question whether the closest known name was meant; empty where none is close."""
    close = get_close_matches(name[:64].lower(), sorted(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else ""
