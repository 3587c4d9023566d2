"""Where in a config something stands, and what reading it may ask of this host."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from lbctl.config.accounts import Accounts
from lbctl.config.fault import Fault, Mark
from lbctl.config.hosts import Names


class Bad(Enum):
    """Stands for a value that was refused: its fault is already noted, and nobody complains about it again."""

    BAD = "bad"


BAD: Final = Bad.BAD


@dataclass(slots=True, kw_only=True)
class Scope:
    """One reading of one config. `base` is the absolute directory of the file: relative paths start there."""

    base: str
    environ: Mapping[str, str]
    names: Names
    accounts: Accounts
    read_secrets: bool = True
    faults: list[Fault] = field(default_factory=list)
    warnings: list[Fault] = field(default_factory=list)
    places: dict[str, Mark] = field(default_factory=dict)
    """Where the value of each path stands."""
    keys: "dict[str, Place]" = field(default_factory=dict)
    """Where each name stands that the config gives to something."""


@dataclass(frozen=True, slots=True)
class Place:
    """A value's path and its mark."""

    path: str
    mark: Mark
    scope: Scope

    def key(self, name: str, mark: Mark) -> "Place":
        """Return the place of a key below."""
        return self._below(f"{self.path}.{name}" if self.path else name, mark)

    def item(self, index: int, mark: Mark) -> "Place":
        """Return the place of a list item below."""
        return self._below(f"{self.path}[{index}]", mark)

    def _below(self, path: str, mark: Mark) -> "Place":
        self.scope.places[path] = mark
        return Place(path, mark, self.scope)

    def fault(self, what: str, then: str) -> Bad:
        """Note a fault here; the value is then BAD."""
        self.scope.faults.append(Fault(self.mark, self.path, what, then))
        return BAD

    def warn(self, what: str, then: str) -> None:
        """Note what works but is likely not meant."""
        self.scope.warnings.append(Fault(self.mark, self.path, what, then))
