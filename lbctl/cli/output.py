"""Data to stdout, everything else to stderr. Foreign text is made harmless here, before it is laid out."""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import click

from lbctl.model.visible import escaped

Json = dict[str, Any]
GLYPH_COLOUR = {"●": "green", "◐": "yellow", "✖": "red", "!": "red"}


def clean(value: Any) -> Any:
    """Return the same JSON with every character escaped that could move the cursor or reorder a line."""
    if isinstance(value, str):
        return escaped(value)
    if isinstance(value, dict):
        return {clean(key): clean(one) for key, one in value.items()}
    if isinstance(value, list):
        return [clean(one) for one in value]
    return value


def emit(data: Json, form: str, screen: Callable[[Json], str]) -> None:
    """Print data as JSON or as a screen for people."""
    if form == "json":
        write(json.dumps(data, indent=2))
    else:
        write(painted(screen(clean(data))))


def write(text: str) -> None:
    """Print one block to stdout, at once; characters the terminal has no word for are escaped."""
    encoding = sys.stdout.encoding or "utf-8"
    safe = text.encode(encoding, errors="backslashreplace").decode(encoding)
    sys.stdout.write(safe + "\n")
    sys.stdout.flush()


def tell(text: str) -> None:
    """Print a remark to stderr."""
    encoding = sys.stderr.encoding or "utf-8"
    safe = str(clean(text)) if "\n" not in text else "\n".join(map(str, clean(text.split("\n"))))
    sys.stderr.write(safe.encode(encoding, errors="backslashreplace").decode(encoding) + "\n")
    sys.stderr.flush()


def on_screen() -> bool:
    """Whether stdout is a terminal on which lines can be drawn over."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") not in {"dumb", "unknown"}


def coloured() -> bool:
    """Whether stdout wants colours: a terminal, and nobody said no."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def painted(text: str) -> str:
    """Return text with its glyphs in colour on a terminal; the glyph and the word beside it say the same."""
    if not coloured():
        return text
    return "".join(click.style(char, fg=GLYPH_COLOUR[char]) if char in GLYPH_COLOUR else char for char in text)
