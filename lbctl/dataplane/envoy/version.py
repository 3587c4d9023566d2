"""Versions: the text of a route configuration, which carries fence and route so that reading it back proves both."""

import re
from dataclasses import dataclass

from lbctl.model.digits import whole
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import Caller, Pin, Route

_PIN = re.compile(r" ([a-z0-9][a-z0-9._-]{0,62})-(blue|green)=(blue|green|split|none)")
_TEXT = re.compile(rf"([0-9]{{1,18}});(?:-|([0-9]{{1,5}}):([0-9]{{1,5}}):([0-9]{{1,5}})((?:{_PIN.pattern})*))")


@dataclass(frozen=True, slots=True)
class Written:
    """What a route file says: the fence of the operation that wrote it, and its route (None: not adopted yet)."""

    fence: int
    route: Route | None

    def __str__(self) -> str:
        return f"{self.fence};{'-' if self.route is None else self.route}"


NOT_ADOPTED = Written(0, None)
"""The first content of every route file: a 503 on every path."""


def parse(text: str) -> Written | None:
    """Return what a version text says, None if lbctl did not write it."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    fence, green, keep_blue, keep_green, pins, *_ = found.groups()
    if green is None:
        return Written(int(fence), None)
    try:
        return Written(int(fence), Route(int(green), int(keep_blue), int(keep_green), _pins(pins)))
    except ValueError:
        return None


def _pins(text: str) -> tuple[tuple[Caller, Pin], ...]:
    return tuple(
        (Caller(ServiceName(service), Colour(colour)), Pin(pin)) for service, colour, pin in _PIN.findall(text)
    )


def version_of(number: str) -> tuple[int, ...]:
    """Return Envoy's own version, `1.40.0`, as numbers that compare; nothing for what is none."""
    return tuple(found for part in number.split(".") if (found := whole(part)) is not None)
