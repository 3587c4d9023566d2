"""Durations and shares as people write them: text with a unit, read exactly, never a bare number."""

import re
from collections.abc import Sequence
from decimal import Decimal

from lbctl.model.units import BP_FULL, Span, percent

_PART = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_UNIT_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_SHARE = re.compile(r"(-?[0-9]{1,9}(?:\.[0-9]{1,9})?) ?%")

STEPS_HINT = "write a rising list that ends at 100%"


def parse_span(text: str) -> Span:
    """Return the milliseconds of `500ms`, `2m`, `1h30m`: units ms, s, m, h, d, the larger one first.

    Raises:
        ValueError: it is not a duration; the text says how to write one.
    """
    units = [unit for _, unit in _PART.findall(text)]
    if not _DURATION.fullmatch(text) or units != sorted(set(units), key=list(_UNIT_MS).index):
        raise ValueError(f"{shown(text)} is not a duration")
    total = sum(Decimal(number) * _UNIT_MS[unit] for number, unit in _PART.findall(text))
    if total != int(total):
        raise ValueError(f"{shown(text)} is finer than a millisecond")
    return Span(int(total))


def parse_percent(text: str) -> Decimal:
    """Return the number before the percent sign, exactly.

    Raises:
        ValueError: it is not a share.
    """
    found = _SHARE.fullmatch(text)
    if not found:
        raise ValueError(f"{shown(text)} is not a share")
    return Decimal(found[1])


def parse_share(text: str) -> int:
    """Return the basis points of `25%` or `0.5%`, 0..10000.

    Raises:
        ValueError: not a share, outside 0..100 %, or finer than 0.01 %.
    """
    number = parse_percent(text)
    if number > 100:
        raise ValueError(f"{number.normalize():f} % is above 100 %")
    if number < 0:
        raise ValueError(f"{number.normalize():f} % is below 0 %")
    if number * 100 != int(number * 100):
        raise ValueError(f"{number.normalize():f} % is finer than 0.01 %")
    return int(number * 100)


def steps_fault(steps_bp: Sequence[int]) -> tuple[int, str] | None:
    """Return the index of the first wrong step and what is wrong, or None: steps rise strictly and end at 100 %."""
    if not steps_bp:
        return 0, "no step"
    for index, step in enumerate(steps_bp):
        if step == 0:
            return index, "0 % is not a step"
        if index and step <= steps_bp[index - 1]:
            return index, f"{percent(step)} is not above the step before it, {percent(steps_bp[index - 1])}"
    if steps_bp[-1] != BP_FULL:
        return len(steps_bp) - 1, f"the last step is {percent(steps_bp[-1])}"
    return None


def span_text(span: int) -> str:
    """Return a duration as the config writes it: `500ms`, `1h30m`, `0s`. `parse_span` reads it back exactly."""
    parts = []
    for unit, size in _UNIT_MS.items():
        count, span = divmod(span, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def share_text(share_bp: int) -> str:
    """Return a share as the config writes it: `25%`, `0.5%`."""
    return f"{(Decimal(share_bp) / 100).normalize():f}%"


def shown(text: str) -> str:
    """Return foreign text for a message: quoted, escaped, at most 60 characters."""
    return repr(text if len(text) <= 60 else text[:57] + "...")
