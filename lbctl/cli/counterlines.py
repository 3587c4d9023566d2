"""The lines that `lbctl judge` reads: counters of one tick, and before them what is known and set.

A line may be anything. What is not exactly a tick is told with its field and the next step, never guessed at.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, TypeVar

import msgspec

from lbctl.notjson import NOT_JSON

COUNT_MAX = 10**12
_SPAN_MAX_S = 1e9

Count = Annotated[int, msgspec.Meta(ge=0, le=COUNT_MAX)]
Counted = tuple[Count, Count]
"""Requests, and how many of them were bad."""
Moment = Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)]
Length = Annotated[float, msgspec.Meta(ge=0, le=_SPAN_MAX_S)]
Bursty = Annotated[float, msgspec.Meta(ge=1, le=1_000)]

ORDER = "write [total, bad], as in [120, 3]"
EXAMPLE = '{"t": 1, "dt": 1, "share_bp": 1000, "streams": {"error": {"candidate": [10, 0], "active": [90, 0]}}}'


class Fault(Exception):
    """A line that cannot be used: which field, what is wrong, and the next step."""

    def __init__(self, field: str, what: str, then: str) -> None:
        super().__init__(f"{field}: {what}" if field else what)
        self.then = then


class Known(msgspec.Struct, forbid_unknown_fields=True):
    """What active did before, per stream."""

    error: Counted | None = None
    slow50: Counted | None = None
    slow95: Counted | None = None
    slow99: Counted | None = None


class Bursts(msgspec.Struct, forbid_unknown_fields=True):
    """How bursty each stream is: 1 = not at all."""

    error: Bursty | None = None
    slow50: Bursty | None = None
    slow95: Bursty | None = None
    slow99: Bursty | None = None


class Opening(msgspec.Struct, forbid_unknown_fields=True):
    """The first line, if it is no tick."""

    baseline: Known = msgspec.field(default_factory=Known)
    dispersion: Bursts = msgspec.field(default_factory=Bursts)
    horizon_s: Length | None = None
    settings: dict[str, Any] = {}


class Colours(msgspec.Struct, forbid_unknown_fields=True):
    """One stream in one tick."""

    candidate: Counted
    active: Counted


class Streams(msgspec.Struct, forbid_unknown_fields=True):
    """Errors, and where times of requests are known how many were slow."""

    error: Colours
    slow50: Colours | None = None
    slow95: Colours | None = None
    slow99: Colours | None = None


class Tick(msgspec.Struct, forbid_unknown_fields=True):
    """One tick. `streams` null: the counters could not be read."""

    t: Moment
    dt: Length
    share_bp: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    streams: Streams | None
    servers: dict[str, Counted] = {}
    candidate_down: bool = False
    active_down: bool = False
    panic: bool = False


Form = TypeVar("Form", bound=msgspec.Struct)
_AT = re.compile(r" - at `(?:key in )?\$\.?([^`]*)`$")
_UNKNOWN = re.compile(r"unknown field `([^`]{0,200})`")


def line_of(line: bytes, *, first: bool) -> Opening | Tick:
    """Return what a line says: the `first` may be an opening, which has none of a tick's keys. Raises `Fault`."""
    opens = first and not {"t", "dt", "share_bp", "streams"} & _decoded(line, dict).keys()
    return _checked(line, Opening) if opens else _checked(line, Tick)


def _checked(line: bytes, form: type[Form]) -> Form:
    found: Form = _decoded(line, form)
    for place, (total, bad) in _counts(found, ""):
        if bad > total:
            raise Fault(place, f"{bad} bad of {total} requests", ORDER)
    return found


def _decoded(line: bytes, form: type[Any]) -> Any:
    try:
        return msgspec.json.decode(line, type=form)
    except msgspec.ValidationError as error:
        raise _fault(str(error), form) from None
    except NOT_JSON as error:
        then = f"write one JSON object a line, numbers as 12 or 0.5: {EXAMPLE}"
        raise Fault("", f"not JSON: {error}", then) from None


def _fault(message: str, form: type[Any]) -> Fault:
    place = _AT.search(message)
    what = message if place is None else message[: place.start()]
    field = "" if place is None else place[1]
    unknown = _UNKNOWN.search(what)
    if unknown is not None:
        return Fault(field, f"there is no {unknown[1]}", _meant(unknown[1], field, form))
    return Fault(field, f"{what[:1].lower()}{what[1:]}", ORDER if field.endswith("]") else f"a tick is {EXAMPLE}")


def _meant(name: str, field: str, form: type[Any]) -> str:
    from lbctl.config.fault import did_you_mean

    for part in filter(None, field.split(".")):
        form = _forms_of(form).get(part, form)
    return did_you_mean(name, _forms_of(form))


def _forms_of(form: type[Any]) -> Mapping[str, type[Any]]:
    """Return the fields of a form, each with the form below it."""
    if not issubclass(form, msgspec.Struct):
        return {}
    below = {"streams": Streams, "baseline": Known, "dispersion": Bursts}
    return {name: below.get(name, Colours if form is Streams else form) for name in form.__struct_fields__}


def _counts(value: Any, place: str) -> Iterator[tuple[str, Counted]]:
    if isinstance(value, tuple):
        yield place, value
    elif isinstance(value, msgspec.Struct):
        for name in value.__struct_fields__:
            yield from _counts(getattr(value, name), f"{place}.{name}" if place else name)
    elif isinstance(value, dict) and place == "servers":
        for name, one in value.items():
            yield from _counts(one, f"{place}.{name}")
