"""Account to plain JSON values and back. What is read may have been damaged or made up by anybody."""

from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

from lbctl.core.judge.bets import EXPERTS

T = TypeVar("T")

_VERSION = 1
_WHOLE_MAX = 2**63
_NUMBER_MAX = 1e15


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
    return {field.name: _plain_value(getattr(value, field.name)) for field in fields(value)}


def _plain_value(value: object) -> object:
    if is_dataclass(value):
        return _plain(value)
    return list(value) if isinstance(value, tuple) else value


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
    if field.type is float:
        return _number(value, place, signed=field.name.startswith("log_"))
    if is_dataclass(field.type):
        return _built(field.type, value, place)
    if not isinstance(value, list) or len(value) != EXPERTS:
        raise ValueError(f"{place}: expected a list of {EXPERTS} numbers, found {_shown(value)}")
    return tuple(_number(item, place, signed=True) for item in value)


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
