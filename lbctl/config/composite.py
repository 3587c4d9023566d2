"""Kinds made of others: sections with known keys, mappings by name, lists."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lbctl.config.fault import did_you_mean
from lbctl.config.kinds import LATER, Kind, Text, expected
from lbctl.config.nodes import Mapping, Node, Sequence
from lbctl.config.place import BAD, Bad, Place
from lbctl.config.quantity import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """One key of a section. `default` None: absent; `default_words` where it depends on the rest of the config.

    `whole`: an absent section counts as given with nothing in it. Not `built`: the key is known and refused.
    """

    kind: Kind
    doc: str
    default: Any = None
    default_words: str = ""
    required: bool = False
    whole: bool = False
    built: bool = True


class Values:
    """What a section holds: given values, else defaults; BAD where a fault was noted."""

    __slots__ = ("_places", "_values", "hidden", "place", "refused", "section")

    def __init__(self, section: "Section", place: Place) -> None:
        self.section = section
        self.place = place
        self.refused: set[str] = set()
        """Keys given here that are unknown, or not in this version."""
        self.hidden: frozenset[str] = frozenset()
        """Keys that mean nothing here, because of the rest of the config: they are not shown."""
        self._values: dict[str, Any] = {}
        self._places: dict[str, Place] = {}

    def __getitem__(self, key: str) -> Any:
        return self._values[key] if key in self._values else self.section.keys[key].default

    def given(self, key: str) -> bool:
        """Whether the text has this key."""
        return key in self._places

    def at(self, key: str) -> Place:
        """The place of a key's value, or of the section where the key is absent."""
        return self._places.get(key, self.place)

    def put(self, key: str, value: Any, place: Place) -> None:
        """Take what the text gives."""
        self._values[key] = value
        self._places[key] = place

    def fill(self, key: str, value: Any) -> None:
        """Set a default that depends on the rest of the config; what the text gives wins."""
        if not self.given(key):
            self._values[key] = value

    def good(self, *keys: str) -> bool:
        """Whether none of these values is BAD."""
        return all(self[key] is not BAD for key in keys)


Check = Callable[[Values], None]


@dataclass(frozen=True, slots=True)
class Section(Kind):
    """A mapping with known keys; `checks` look at several keys at once and must live with BAD values."""

    keys: dict[str, Key]
    checks: tuple[Check, ...] = ()
    words: str = "section"

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Mapping):
            some = ", ".join(key for key, about in self.keys.items() if about.built)
            return expected(node, place, "a mapping", f"its keys are: {some}")
        values = Values(self, place)
        for entry in node.entries:
            self._take(values, entry.key, place.key(entry.key[:64], entry.mark), entry.value)
        self._complete(values, place)
        for check in self.checks:
            check(values)
        return values

    def _take(self, values: Values, name: str, at_key: Place, node: Node) -> None:
        key = self.keys.get(name)
        if key is None:
            values.refused.add(name)
            at_key.fault("unknown key", did_you_mean(name, [one for one, about in self.keys.items() if about.built]))
        elif not key.built:
            values.refused.add(name)
            at_key.fault(LATER, "delete it")
        else:
            at_value = Place(at_key.path, node.mark, at_key.scope)
            at_key.scope.places[at_key.path] = node.mark
            values.put(name, key.kind.read(node, at_value), at_value)

    def _complete(self, values: Values, place: Place) -> None:
        for name, key in self.keys.items():
            if key.required and not values.given(name):
                place.fault(f"the key {name} is missing", f"add {name}: {key.kind.words.replace('`', '')}")
                values.put(name, BAD, place)
            elif key.whole and not values.given(name):
                values.fill(name, key.kind.read(Mapping((), place.mark), place))

    def show(self, value: Any) -> Any:
        if value is None:
            return None
        shown_keys = {name: key for name, key in self.keys.items() if key.built and name not in value.hidden}
        pairs = ((name, key.kind.show(value[name])) for name, key in shown_keys.items())
        return {name: shown_value for name, shown_value in pairs if shown_value is not None}

    def json(self) -> dict[str, Any]:
        built = {name: key for name, key in self.keys.items() if key.built}
        properties = {name: {"description": key.doc, **key.kind.json()} for name, key in built.items()}
        needed = [name for name, key in built.items() if key.required]
        required = {"required": needed} if needed else {}
        return {"type": "object", "properties": properties, "additionalProperties": False, **required}


@dataclass(frozen=True, slots=True)
class Named(Kind):
    """A mapping from names to values of one kind, in the order of the text. `empty_then` says what to do if empty."""

    name: Text
    value: Kind
    words: str
    empty: tuple[str, str]
    highest: int = 1_000

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Mapping):
            return expected(node, place, "a mapping", self.empty[1])
        if not node.entries:
            return place.fault(*self.empty)
        if len(node.entries) > self.highest:
            return place.fault(f"{len(node.entries)} entries", f"at most {self.highest} are supported")
        found: dict[str, Any] = {}
        for entry in node.entries:
            at_key = place.key(entry.key[:64], entry.mark)
            place.scope.keys[at_key.path] = at_key
            name = self._name(entry.key, at_key)
            value = self.value.read(entry.value, place.key(entry.key[:64], entry.value.mark))
            found[entry.key] = BAD if name is BAD else value
        return found

    def _name(self, name: str, place: Place) -> str | Bad:
        problem = name_fault(self.name, name)
        return place.fault(*problem) if problem else name

    def show(self, value: Any) -> Any:
        return None if value is None else {name: self.value.show(item) for name, item in value.items()}

    def json(self) -> dict[str, Any]:
        names = {"pattern": f"^(?:{self.name.pattern})$"}
        return {
            "type": "object",
            "propertyNames": names,
            "additionalProperties": self.value.json(),
            "minProperties": 1,
        }


def name_fault(kind: Text, name: str) -> tuple[str, str] | None:
    """Return what is wrong with a name used as a key, and the next step."""
    return None if re.fullmatch(kind.pattern, name) else (f"{shown(name)} is not {kind.words}", kind.then)


@dataclass(frozen=True, slots=True)
class Items(Kind):
    """A list of one kind. `check` looks at the whole list, given the place of each item, when every item is good."""

    item: Kind
    words: str
    then: str
    lowest: int = 0
    highest: int = 100
    check: Callable[[list[Any], list[Place]], None] | None = field(default=None)

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Sequence):
            return expected(node, place, "a list", self.then)
        if not self.lowest <= len(node.items) <= self.highest:
            what = "the list is empty" if not node.items else f"{len(node.items)} items"
            return place.fault(what, self.then if not node.items else f"at most {self.highest} are supported")
        places = [place.item(index, item.mark) for index, item in enumerate(node.items)]
        found = [self.item.read(item, at) for item, at in zip(node.items, places, strict=True)]
        if BAD in found:
            return BAD
        before = len(place.scope.faults)
        if self.check is not None:
            self.check(found, places)
        return BAD if len(place.scope.faults) > before else found

    def show(self, value: Any) -> Any:
        return None if value is None else [self.item.show(item) for item in value]

    def json(self) -> dict[str, Any]:
        return {"type": "array", "items": self.item.json(), "minItems": self.lowest, "maxItems": self.highest}


def sections(values: dict[str, Any] | Any) -> Iterator[tuple[str, Values]]:
    """Yield the readable sections of a `Named` value."""
    if isinstance(values, dict):
        for name, value in values.items():
            if isinstance(value, Values):
                yield name, value
