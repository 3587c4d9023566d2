"""Text for terminals: foreign text made harmless, columns, glyphs. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lbctl.model.units import percent

Json = dict[str, Any]

TEXT_MAX = 2_000
TINTS = {"●": "32", "◐": "36", "▲": "33", "✖": "31", "✔": "32", "○": "2"}
"""Each glyph stands before a word that says the same, so that colour is never needed."""


def plain(text: str) -> str:
    """Return text that cannot steer a terminal: what is not printable is escaped, very long text is cut."""
    cut = text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"
    return cut if cut.isprintable() else "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cut)


def clean(value: Any) -> Any:
    """Return a JSON value with every text in it made harmless, keys too."""
    match value:
        case str():
            return plain(value)
        case dict():
            return {plain(str(key)): clean(item) for key, item in value.items()}
        case list():
            return [clean(item) for item in value]
        case _:
            return value


def tint(line: str) -> str:
    """Return the line with its glyphs in colour."""
    return "".join(f"\x1b[{TINTS[char]}m{char}\x1b[0m" if char in TINTS else char for char in line)


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> Iterator[str]:
    """Yield rows of cells as lines with aligned columns; the first row is the head."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def labelled(pairs: Iterable[tuple[str, str]], indent: str = "  ") -> Iterator[str]:
    """Yield `label  text` lines, leaving out empty texts."""
    for label, text in pairs:
        if text:
            yield f"{indent}{label:<7} {text}"


def share(share_bp: int | None) -> str:
    """Return a share for people, `?` where nobody knows it."""
    return "?" if share_bp is None else percent(share_bp)


def known(value: object) -> str:
    """Return a value for a cell, `-` where there is none."""
    return "-" if value is None or value == "" else str(value)


def clock(wall: object) -> str:
    """Return the time of day of an ISO 8601 text, and any other text as it is."""
    text = known(wall)
    return text[11:19] if len(text) >= 19 and text[10] in "T " else text
