"""Backends that HAProxy looks up in a map file: `use_backend %[…,map(/etc/haproxy/tenants.map)]`. Pure.

The file says which they are when HAProxy starts. Where another converter comes behind the map, nobody can say it.
"""

import re
from collections.abc import Mapping

Maps = Mapping[str, frozenset[str]]
"""The values of each file that could be read."""

_LOOKED_UP = re.compile(
    r"%\[[^\]]*\bmap(?:_str|_beg|_dir|_dom|_end|_reg|_sub|_ip|_int)?(?:_str)?\((/[^(),\s]+)(?:,([A-Za-z0-9_.:-]*))?\)\]"
)
_END = re.compile(r"[\r\0]")
_ROW = re.compile(r"[ \t]*[^ \t]+[ \t]+([^ \t].*)", re.DOTALL)


def file_of(target: str) -> str:
    """Return the map file that a computed backend comes from alone; empty if there is none."""
    found = _LOOKED_UP.fullmatch(target)
    return found[1] if found is not None else ""


def named(target: str, maps: Maps) -> frozenset[str] | None:
    """Return every backend that a computed one may be; None: nobody knows."""
    found = _LOOKED_UP.fullmatch(target)
    if found is None or found[1] not in maps:
        return None
    return maps[found[1]] | ({found[2]} if found[2] else set())


def values(text: str) -> frozenset[str]:
    """Return the values of a map file, as HAProxy reads it: blanks are spaces and tabs, a comment begins its line."""
    lines = (_END.split(line, maxsplit=1)[0] for line in text.split("\n") if not line.startswith("#"))
    return frozenset(row[1].strip(" \t") for row in map(_ROW.fullmatch, lines) if row is not None)
