"""What a config text consists of: values that know their places, and what plain words mean in YAML 1.2."""

import re
from dataclasses import dataclass

from lbctl.config.fault import Fault, Mark

_INT = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?([eE][-+]?[0-9]{1,3})?")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `text` is as written, `value` what it means."""

    value: str | int | float | bool | None
    text: str
    mark: Mark


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    items: tuple["Node", ...]
    mark: Mark


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a mapping."""

    key: str
    mark: Mark
    value: "Node"


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys in the order of the text; no key twice."""

    entries: tuple[Entry, ...]
    mark: Mark


Node = Scalar | Sequence | Mapping


class Malformed(Exception):
    """Not usable as YAML at all; reading stopped at `fault`."""

    def __init__(self, mark: Mark, what: str, then: str) -> None:
        super().__init__(what)
        self.fault = Fault(mark, "", what, then)


def core_scalar(text: str) -> str | int | float | bool | None:
    """Return what a plain scalar means in the YAML 1.2 core schema, less its octal, hexadecimal and endless numbers."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
