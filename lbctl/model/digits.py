"""Whole numbers in texts that somebody else wrote. `int` takes too much, and refuses too late."""

DIGITS_MAX = 18
"""Every number of so many digits fits where numbers are kept: in 64 bits."""
COUNT_MAX = 10**DIGITS_MAX - 1


def whole(text: str) -> int | None:
    """Return the number that `text` is, in plain digits and no more than fit; None for anything else."""
    return int(text) if len(text) <= DIGITS_MAX and text.isascii() and text.isdigit() else None


def count(text: str) -> int:
    """Return the number that `text` is, 0 for what is none."""
    return whole(text) or 0
