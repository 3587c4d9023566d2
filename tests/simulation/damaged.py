"""A copy of the decision core with one rule damaged, in a package of its own: the real core is never touched."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import lbctl.core
from lbctl.sim.chance import FAULTS, Rates
from lbctl.sim.core import Core

CORE = Path(lbctl.core.__file__).parent
# The judge and the planner are pure arithmetic beside the rules: all copies share them.
_OWN = re.compile(r"from lbctl\.core\.(?!judge|planner)")
_OF_CORE = re.compile(r"^from lbctl\.core import (.*)$", re.MULTILINE)
_SHARED = {"judge", "planner"}


@dataclass(frozen=True)
class Mutant:
    """One rule left out or read loosely: in `module`, the text `old` (there exactly once) becomes `new`.

    `also`: further places, where a rule is kept twice. `liveness`: only peace shows it, something never ends.
    `rates` and `seed`: where it shows soon.
    """

    name: str
    module: str
    old: str
    new: str
    also: tuple[tuple[str, str, str], ...] = ()
    liveness: bool = False
    rates: Rates = FAULTS
    seed: int = 1
    """Where it shows: tried first."""


class _Loader(importlib.abc.InspectLoader):
    def __init__(self, package: str, mutant: Mutant) -> None:
        self._package = package
        self._mutant = mutant

    def is_package(self, fullname: str) -> bool:
        return fullname == self._package

    def get_source(self, fullname: str) -> str:
        name = fullname.removeprefix(self._package).removeprefix(".")
        if not name:
            return ""
        text = (CORE / f"{name}.py").read_text()
        mutant = self._mutant
        for module, old, new in ((mutant.module, mutant.old, mutant.new), *mutant.also):
            if module == name:
                assert text.count(old) == 1, f"{mutant.name}: its place in {name} is gone: {old}"
                text = text.replace(old, new)
        return _OF_CORE.sub(self._modules, _OWN.sub(f"from {self._package}.", text))

    def _modules(self, line: re.Match[str]) -> str:
        """Return the import of whole modules, each from where it belongs."""
        homes = {name: "lbctl.core" if name in _SHARED else self._package for name in line[1].split(", ")}
        return "; ".join(f"from {home} import {name}" for name, home in homes.items())


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, package: str, mutant: Mutant) -> None:
        self._package = package
        self._loader = _Loader(package, mutant)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if fullname != self._package and not fullname.startswith(f"{self._package}."):
            return None
        return importlib.util.spec_from_loader(fullname, self._loader)


def damaged(mutant: Mutant) -> Core:
    """Return the core with that one damage."""
    package = f"damaged_{re.sub('[^a-z]+', '_', mutant.name.lower())}"
    finder = _Finder(package, mutant)
    sys.meta_path.insert(0, finder)
    try:
        machine = importlib.import_module(f"{package}.machine")
        state = importlib.import_module(f"{package}.state")
        invariants = importlib.import_module(f"{package}.invariants")
    finally:
        sys.meta_path.remove(finder)
    return Core(
        start=machine.start,
        step=machine.step,
        ask=machine.ask,
        tick=state.Tick,
        recorded=state.Recorded,
        applied=state.Applied,
        broken=invariants.InvariantViolatedError,
    )
