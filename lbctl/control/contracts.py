"""Contracts as people write them: `accounts-api=2` is provided, `accounts-api>=1,<3` is required. Pure."""

from collections.abc import Sequence

from lbctl.core.contracts import NAME, conditions, fits
from lbctl.model.digits import whole
from lbctl.model.errors import Refused
from lbctl.model.record import Contract

NUMBER_MAX = 999_999_999


def contract(provides: Sequence[str], requires: Sequence[str]) -> Contract:
    """Return what a version promises and wants; a name that is given several times is a set, or must fit every time.

    Raises:
        Refused: one of the texts cannot be understood, or can be met by no version; it is named.
    """
    offered: dict[str, set[int]] = {}
    for text in provides:
        name, number = _provided(text)
        offered.setdefault(name, set()).add(number)
    wanted: dict[str, list[str]] = {}
    for text in requires:
        name, ranges = _required(text)
        wanted.setdefault(name, []).append(ranges)
    joined = {name: ",".join(ranges) for name, ranges in wanted.items()}
    for name, ranges in joined.items():
        if not _possible(ranges):
            raise _not_understood("requires", f"{name}{ranges}", f"no version meets {ranges}")
    return Contract(provides={name: tuple(sorted(numbers)) for name, numbers in offered.items()}, requires=joined)


def _provided(text: str) -> tuple[str, int]:
    name, equals, number = (part.strip() for part in text.partition("="))
    if not equals or not NAME.fullmatch(name):
        raise _not_understood("provides", text, "it is not a name and a number")
    found = whole(number)
    if found is None or found > NUMBER_MAX:
        raise _not_understood("provides", text, f"{number!r} is not a whole number up to {NUMBER_MAX}")
    return name, found


def _required(text: str) -> tuple[str, str]:
    found = NAME.match(text.strip())
    if found is None:
        raise _not_understood("requires", text, "it does not begin with a name")
    ranges = text.strip()[found.end() :].strip()
    if not ranges:
        raise _not_understood("requires", text, "it has no range")
    try:
        conditions(ranges)
    except ValueError as error:
        raise _not_understood("requires", text, str(error)) from None
    return found[0], "".join(ranges.split())


def _possible(ranges: str) -> bool:
    """Whether some version meets all conditions. One that does lies at, or beside, a number they name."""
    near = {number + step for _, number in conditions(ranges) for step in (-1, 0, 1)} | {0}
    return any(number >= 0 and fits(ranges, number) for number in near)


def _not_understood(place: str, text: str, why: str) -> Refused:
    shown = text if len(text) <= 60 else text[:57] + "..."
    then = "write NAME=NUMBER, as in accounts-api=2" if place == "provides" else "write it as 'accounts-api>=1,<3'"
    return Refused("bad_contract", f"{place} {shown!r} cannot be understood", why=why, then=then, exit_code=2)
