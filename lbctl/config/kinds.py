"""The kinds of single values: how each is read, shown, described and put into JSON Schema."""

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping as Map
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from lbctl.config.fault import close_to, did_you_mean
from lbctl.config.nodes import Mapping, Node, Scalar, Sequence
from lbctl.config.place import Bad, Place
from lbctl.config.quantity import STEPS_HINT, parse_percent, parse_share, parse_span, share_text, shown, span_text
from lbctl.model.units import DAY

FEW = 5
"""So many words are a list; fewer are told as alternatives."""
LATER = "not available in this version"


class Kind(ABC):
    """What a key may hold. `words` describes it for people."""

    words: str

    @abstractmethod
    def read(self, node: Node, place: Place) -> Any:
        """Return the value, or BAD after noting what is wrong."""

    @abstractmethod
    def json(self) -> dict[str, Any]:
        """Return the JSON Schema of this kind."""

    def show(self, value: Any) -> Any:
        """Return what a person would write for `value`; None: leave the key out."""
        return value


def seen(node: Node) -> str:
    """Return what stands there, for a message. A URL is not repeated: that of a webhook is a secret."""
    match node:
        case Mapping():
            return "a mapping"
        case Sequence():
            return "a list"
        case Scalar(value=None):
            return "nothing"
        case Scalar(text=text):
            return "a URL" if "://" in text else shown(text)


def expected(node: Node, place: Place, words: str, then: str) -> Bad:
    """Note that something else was expected here."""
    return place.fault(f"expected {words}, not {seen(node)}", then)


@dataclass(frozen=True, slots=True)
class Text(Kind):
    """A text that fits `pattern` wholly."""

    words: str
    pattern: str
    then: str

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Scalar) or node.value is None:
            return expected(node, place, self.words, self.then)
        if not isinstance(node.value, str):
            return expected(node, place, self.words, f'write it in quotes: "{node.text[:60]}"')
        if not re.fullmatch(self.pattern, node.text):
            return place.fault(f"{shown(node.text)} is not {self.words}", self.then)
        return node.text

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^(?:{self.pattern})$"}


@dataclass(frozen=True, slots=True)
class Flag(Kind):
    """True or false, and no other words for it. `only`: the one that makes sense here."""

    words: str = "`true` or `false`"
    only: bool | None = None

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Scalar) and isinstance(node.value, bool) and self.only in {None, node.value}:
            return node.value
        then = "write true or false" if self.only is None else f"write {str(self.only).lower()}, or leave the key out"
        return expected(node, place, "true or false" if self.only is None else str(self.only).lower(), then)

    def json(self) -> dict[str, Any]:
        return {"type": "boolean"} if self.only is None else {"const": self.only}


@dataclass(frozen=True, slots=True)
class Choice(Kind):
    """One of some words; those in `later` are known and not built."""

    options: tuple[str, ...]
    later: tuple[str, ...] = ()

    @property
    def words(self) -> str:  # type: ignore[override]
        return " or ".join(f"`{option}`" for option in self.options)

    def read(self, node: Node, place: Place) -> Any:
        text = node.text if isinstance(node, Scalar) else None
        if text in self.options:
            return text
        if text in self.later:
            return place.fault(f"{text} is {LATER}", f"write {' or '.join(self.options)}")
        if len(self.options) < FEW:
            then = did_you_mean(text, self.options) if text else f"write {' or '.join(self.options)}"
            return expected(node, place, " or ".join(self.options), then)
        then = close_to(text or "", self.options) or "write one of them"
        return expected(node, place, f"one of {', '.join(self.options)}", then)

    def json(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole(Kind):
    """A whole number in bounds. `special` are words with a meaning of their own."""

    words: str
    lowest: int
    highest: int
    special: Map[str, Any] = field(default_factory=dict)

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Scalar) and node.text in self.special:
            return self.special[node.text]
        bounds = f"write a number within {self.lowest}..{self.highest}"
        if not isinstance(node, Scalar) or not isinstance(node.value, int) or isinstance(node.value, bool):
            return expected(node, place, "a whole number", bounds)
        if not self.lowest <= node.value <= self.highest:
            return place.fault(f"{node.text} is not within {self.lowest}..{self.highest}", bounds)
        return node.value

    def show(self, value: Any) -> Any:
        return _special(self.special, value)

    def json(self) -> dict[str, Any]:
        number = {"type": "integer", "minimum": self.lowest, "maximum": self.highest}
        return _or_special(number, self.special)


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Kind):
    """A number in bounds, or one of the words in `special`."""

    words: str
    lowest: float
    highest: float
    special: Map[str, Any] = field(default_factory=dict)

    def read(self, node: Node, place: Place) -> Any:
        bounds = f"write a number within {self.lowest:g}..{self.highest:g}"
        if isinstance(node, Scalar) and node.text in self.special:
            return self.special[node.text]
        if not isinstance(node, Scalar) or not isinstance(node.value, int | float) or isinstance(node.value, bool):
            return expected(node, place, "a number", bounds)
        if not self.lowest <= node.value <= self.highest:
            return place.fault(f"{node.text[:30]} is not within {self.lowest:g}..{self.highest:g}", bounds)
        return float(node.value)

    def json(self) -> dict[str, Any]:
        number = {"type": "number", "minimum": self.lowest, "maximum": self.highest}
        return _or_special(number, self.special)

    def show(self, value: Any) -> Any:
        return _special(self.special, value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Duration(Kind):
    """A length of time, in ms in the model."""

    words: str = "duration"
    lowest: int = 0
    highest: int = 365 * DAY
    special: Map[str, Any] = field(default_factory=dict)

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Scalar) and node.text in self.special:
            return self.special[node.text]
        then = "write a number with a unit: ms, s, m, h or d, as in 500ms, 2m or 1h30m"
        if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return place.fault(f"{node.text[:30]} has no unit", then)
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return expected(node, place, "a duration", then)
        try:
            span = parse_span(node.text)
        except ValueError as error:
            return place.fault(str(error), then)
        if not self.lowest <= span <= self.highest:
            bounds = f"{span_text(self.lowest)}..{span_text(self.highest)}"
            return place.fault(f"{node.text} is not within {bounds}", f"write a duration within {bounds}")
        return span

    def show(self, value: Any) -> Any:
        return span_text(value) if isinstance(value, int) else _special(self.special, value)

    def json(self) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]{1,3})?(ms|s|m|h|d))+$"}
        return _or_special(text, self.special)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Kind):
    """A part of 100 %: basis points, or with `ratio` a fraction of 1 within open bounds."""

    words: str = "share"
    ratio: bool = False
    then: str = 'write a share as "25%"'

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Scalar) and isinstance(node.value, int | float) and not isinstance(node.value, bool):
            return place.fault(f"{node.text[:30]} has no unit", f'write "{node.text[:30]}%"')
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return expected(node, place, "a share", 'write a share as "25%"')
        try:
            return self._value(node.text)
        except ValueError as error:
            is_number = node.text.endswith("%")
            return place.fault(str(error), self.then if is_number else 'write a share as "25%"')

    def _value(self, text: str) -> int | float:
        if not self.ratio:
            return parse_share(text)
        number = parse_percent(text)
        if not 0 < number < 100:
            side = "above 0 %" if number <= 0 else "below 100 %"
            raise ValueError(f"{number.normalize():f} % is not {side}")
        return float(number / 100)

    def show(self, value: Any) -> Any:
        if value is None:
            return None
        return f"{(Decimal(repr(value)) * 100).normalize():f}%" if self.ratio else share_text(value)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"}


STEP = Share(then=STEPS_HINT)


def _special(special: Map[str, Any], value: Any) -> Any:
    return next((word for word, meaning in special.items() if meaning == value), value)


def _or_special(schema: dict[str, Any], special: Map[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"enum": list(special)}]} if special else schema
