"""Account to plain JSON values and back. What is read may have been damaged or made up by anybody."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import Field, fields, is_dataclass
from functools import cache
from typing import Any, TypeVar, get_args, get_origin

from lbctl.core.judge.bets import EXPERTS

T = TypeVar("T")

_VERSION = 3
_WHOLE_MAX = 2**63
_NUMBER_MAX = 1e15
_NAMES_MAX = 10_000
_NUMBERS = frozenset({int, float, bool})


def written(value: object) -> dict[str, object]:
    """Return a dataclass of numbers, tuples of numbers and such dataclasses as plain values."""
    return {"version": _VERSION, **_plain(value)}


def read(kind: type[T], document: object, place: str) -> T:
    """Return the `kind` that `written` wrote; raises `ValueError` naming the place of the first fault."""
    values = _object(document, place)
    version = values.pop("version", None)
    if type(version) is not int or version != _VERSION:
        raise ValueError(f"{place}.version: expected {_VERSION}, found {_shown(version)}")
    built = _built(kind, values, place)
    assert isinstance(built, kind)
    return built


def _plain(value: Any) -> dict[str, object]:
    return {name: _plain_value(getattr(value, name)) for name in _names(value.__class__)}


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _plain_value(value: object) -> object:
    # Nearly all are numbers, and this runs at every tick.
    if type(value) in _NUMBERS:
        return value
    if is_dataclass(value):
        return _plain(value)
    if isinstance(value, Mapping):
        return {str(name): _plain_value(one) for name, one in value.items()}
    assert isinstance(value, tuple), "nothing else is kept"
    return list(value)


def _object(document: object, place: str) -> dict[object, object]:
    if isinstance(document, dict):
        return dict(document)
    raise ValueError(f"{place}: expected an object, found {_shown(document)}")


def _built(kind: Any, document: object, place: str) -> object:
    given = _object(document, place)
    expected = {field.name: field for field in fields(kind)}
    if given.keys() != expected.keys():
        wrong = sorted(_shown(key) for key in given.keys() ^ expected.keys())
        raise ValueError(f"{place}: missing or unknown {', '.join(wrong[:5])}")
    return kind(**{name: _value(field, given[name], f"{place}.{name}") for name, field in expected.items()})


def _value(field: Field[Any], value: object, place: str) -> object:
    if field.type is int:
        return _whole(value, place)
    if field.type is bool:
        return _flag(value, place)
    if field.type is float:
        return _number(value, place, signed=field.name.startswith("log_"))
    if is_dataclass(field.type):
        return _built(field.type, value, place)
    if get_origin(field.type) is Mapping:
        key, kind = get_args(field.type)
        return _named(key, kind, value, place)
    if not isinstance(value, list) or len(value) != EXPERTS:
        raise ValueError(f"{place}: expected a list of {EXPERTS} numbers, found {_shown(value)}")
    return tuple(_number(item, place, signed=True) for item in value)


def _flag(value: object, place: str) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"{place}: expected true or false, found {_shown(value)}")


def _named(key: Any, kind: Any, value: object, place: str) -> dict[Any, object]:
    given = _object(value, place)
    if len(given) > _NAMES_MAX:
        raise ValueError(f"{place}: {len(given)} names are too many")
    return {_key(key, name, place): _named_value(kind, one, f"{place}.{_shown(name)}") for name, one in given.items()}


def _named_value(kind: Any, value: object, place: str) -> object:
    return _number(value, place, signed=False) if kind is float else _built(kind, value, place)


def _key(kind: Any, name: object, place: str) -> object:
    if issubclass(kind, str) and isinstance(name, str):
        with suppress(ValueError):
            return kind(name)
    if kind is int and isinstance(name, str) and name.isascii() and name.isdigit() and len(name) < 10:
        return int(name)
    raise ValueError(f"{place}: {_shown(name)} is no name here")


def _whole(value: object, place: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _WHOLE_MAX:
        return value
    raise ValueError(f"{place}: expected a whole number that is not negative, found {_shown(value)}")


def _number(value: object, place: str, *, signed: bool) -> float:
    least = -_NUMBER_MAX if signed else 0.0
    # Not-a-number and the infinities fail this comparison as well.
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= _NUMBER_MAX:
        return float(value)
    raise ValueError(f"{place}: expected a number of at least {least:g}, found {_shown(value)}")


def _shown(value: object) -> str:
    text = ascii(value) if isinstance(value, str | float | bool | None) else type(value).__name__
    return text if len(text) <= 40 else text[:37] + "..."
