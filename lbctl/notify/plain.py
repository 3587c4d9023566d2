"""Texts made harmless: what servers, people and load balancers said must not command a terminal or call a chat room."""

import re
import unicodedata

_MENTION = re.compile(r"(?<![\w.])@(?=\w)|@(?=everyone|here|channel|all\b)", re.IGNORECASE)
"""A name, but not in the middle of an address; words that call a whole room, wherever they stand."""
_MARKUP = re.compile(r"<(?=[!@#/a-zA-Z])")


def plain(text: object, limit: int = 1_000) -> str:
    """Return `text` on one line without control, direction or invisible characters, mentions and markup broken, at
    most `limit` characters."""
    line = "".join(_visible(character) for character in str(text)[: 4 * limit])
    line = _MENTION.sub("\uff20", _MARKUP.sub("\u2039", " ".join(line.split())))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def unlinked(text: str) -> str:
    """Return `text` so that Markdown hides no address in it behind other words."""
    return text.replace("](", "] (").replace("][", "] [")


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in {"Cc", "Zl", "Zp"}:
        return " "
    return "" if category in {"Cf", "Cs", "Co", "Cn"} else character
