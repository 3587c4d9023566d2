"""One line of HAProxy's config as words: quotes, escapes, comments and environment variables, as its manual has it."""

import re
from collections.abc import Mapping

_VARIABLE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?:\[\*\])?(?:-([^}]*))?\}|([A-Za-z_][A-Za-z0-9_]*)")
_HEX = re.compile(r"[0-9A-Fa-f]{2}")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
UNKNOWN = "\ufffd"
"""Stands in a word for the value of a variable that nobody told."""


class Unreadable(ValueError):
    """HAProxy would not read this line either; the text says why."""


class Reader:
    """Reads the lines of one config; remembers the variables it met and did not know."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)
        self.unknown: set[str] = set()

    def words(self, line: str) -> list[str]:
        """Return the words. A variable that is not known leaves `UNKNOWN`, never nothing. Raises Unreadable."""
        found: list[str] = []
        word: list[str] | None = None
        quote, at = "", 0
        while at < len(line):
            char = line[at]
            if not quote and char in " \t\r":
                found, word, at = _ended(found, word), None, at + 1
                continue
            if not quote and char == "#":
                break
            word = [] if word is None else word
            if char == quote or (not quote and char in "\"'"):
                quote, at = "" if quote else char, at + 1
            elif char == "\\" and quote != "'":
                text, at = _escaped(line, at, quoted=bool(quote))
                word.append(text)
            elif char == "$" and quote == '"':
                text, at = self._variable(line, at)
                word.append(text)
            else:
                word.append(char)
                at += 1
        if quote:
            raise Unreadable(f"a quote {quote} is not closed")
        return _ended(found, word)

    def _variable(self, line: str, at: int) -> tuple[str, int]:
        found = _VARIABLE.match(line, at + 1)
        if found is None:
            raise Unreadable("a $ without a variable's name: write \\$ for the character")
        name = found[1] or found[3]
        if name in self.variables:
            return self.variables[name], found.end()
        if found[2] is not None:
            return found[2], found.end()
        self.unknown.add(name)
        return UNKNOWN, found.end()


def _ended(found: list[str], word: list[str] | None) -> list[str]:
    return found if word is None else [*found, "".join(word)]


def _escaped(line: str, at: int, *, quoted: bool) -> tuple[str, int]:
    """Return what an escape at `at` stands for, and where the line goes on."""
    following = line[at + 1 : at + 2]
    if not following:
        raise Unreadable("a backslash at the end of the line")
    if quoted:
        # Inside double quotes only these are escapes; else the backslash is itself.
        return (following, at + 2) if following in '\\"$' else ("\\", at + 1)
    if following == "x":
        digits = _HEX.match(line, at + 2)
        if digits is None:
            raise Unreadable("\\x without two hexadecimal digits")
        return chr(int(digits[0], 16)), at + 4
    return _ESCAPES.get(following, following), at + 2
