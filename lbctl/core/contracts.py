"""Contracts between a consumer and a provider: what a version provides, what it requires, and whether that fits. Pure.

A provider says `accounts-api=2` (several of them are a set), a consumer says `accounts-api>=1,<3`. A requirement binds
the provider that offers that name; a name that nobody offers is met by nobody.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

Provides = Mapping[str, tuple[int, ...]]
Requires = Mapping[str, str]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}", re.ASCII)
_CONDITION = re.compile(r"(>=|<=|==|!=|>|<|=)?\s*([0-9]{1,9})", re.ASCII)
_HOLDS = {
    ">=": lambda have, want: have >= want,
    "<=": lambda have, want: have <= want,
    ">": lambda have, want: have > want,
    "<": lambda have, want: have < want,
    "!=": lambda have, want: have != want,
    "=": lambda have, want: have == want,
    "==": lambda have, want: have == want,
}


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why one pair of versions cannot talk: `5.0.1 requires accounts-api <2, 2.0.0 provides 2`."""

    name: str
    wanted: str
    offered: tuple[int, ...]

    def __str__(self) -> str:
        has = ", ".join(map(str, self.offered)) if self.offered else "nothing"
        return f"requires {self.name} {self.wanted}, and {has} is provided"


def conditions(text: str) -> tuple[tuple[str, int], ...]:
    """Return the conditions of `>=1,<3`; a bare number means that version.

    Raises:
        ValueError: it is no such list; the text says what is.
    """
    found = []
    for part in text.split(","):
        match = _CONDITION.fullmatch(part.strip())
        if match is None:
            raise ValueError(f"{text!r} is no range of versions: write it as >=1,<3 or 2")
        found.append((match[1] or "=", int(match[2])))
    return tuple(found)


def fits(wanted: str, version: int) -> bool:
    """Whether a version meets every condition. Raises ValueError."""
    return all(_HOLDS[word](version, number) for word, number in conditions(wanted))


def misfit(requires: Requires, provides: Provides, elsewhere: frozenset[str]) -> Misfit | None:
    """Return the first requirement that this version of a provider does not meet.

    `elsewhere`: the names that other providers offer; they are their business.
    """
    for name, wanted in sorted(requires.items()):
        offered = provides.get(name, ())
        if name not in elsewhere and not any(fits(wanted, version) for version in offered):
            return Misfit(name, wanted, tuple(offered))
    return None
