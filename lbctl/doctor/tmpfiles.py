"""What systemd-tmpfiles would do to lbctl's map files: at boot, or when they have not changed for long. Reads only."""

import re
import shlex
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from lbctl.dataplane.haproxy.existing.findings import Finding, Weight

PLACES = ("etc/tmpfiles.d", "run/tmpfiles.d", "usr/lib/tmpfiles.d")
"""A file hides those of the same name in the places behind its own."""
FILES = ("state.map", "service.callers", "service.state")
_SPECIFIERS = {"%S": "/var/lib", "%C": "/var/cache", "%t": "/run", "%T": "/tmp", "%V": "/var/tmp", "%%": "%"}  # noqa: S108
_AGED = frozenset("dDeqQvC")
FILE_BYTES_MAX = 1 << 20


def cleaned(directories: Sequence[str], root: Path) -> Iterator[Finding]:
    """Yield every line that takes lbctl's map files away."""
    lines = [(path, line) for path in _files(root) for line in _lines(path)]
    kept = [_fields(line)[1] for _, line in lines if _fields(line)[0] == "x"]
    for path, line in lines:
        kind, pattern, age = _fields(line)
        for directory in directories:
            if what := _what(kind, pattern, age, directory, kept):
                text = f"`{line[:80]}` {what}: HAProxy would not start, or reload"
                yield Finding("MAP_MANAGED", Weight.FAULT, str(path), text, f"delete that line, or add `x {directory}`")


def _what(kind: str, pattern: str, age: str, directory: str, kept: Sequence[str]) -> str:
    """Return what a line does to the map files of `directory`; empty for nothing."""
    above = [directory, *(str(one) for one in Path(directory).parents if str(one) != "/")]
    within = any(_fits(pattern, one) for one in above)
    if kind == "D" and within and age in {"", "-"}:
        return f"empties {directory} at boot"
    if kind == "R" and within:
        return f"removes {directory} at boot"
    if kind in {"R", "r"} and any(_fits(pattern, f"{directory}/{file}") for file in FILES):
        return f"removes map files of {directory} at boot"
    if kind in _AGED and within and age not in {"", "-"} and not any(_fits(one, up) for one in kept for up in above):
        return f"removes what has not changed for {age} from {directory}"
    return ""


def _fits(pattern: str, path: str) -> bool:
    """As glob: a star never stands for a slash."""
    names, wanted = path.split("/"), pattern.rstrip("/").split("/")
    return len(names) == len(wanted) and all(map(fnmatchcase, names, wanted))


def _files(root: Path) -> Iterator[Path]:
    seen: set[str] = set()
    for place in PLACES:
        for path in sorted((root / place).glob("*.conf")):
            if path.name not in seen:
                seen.add(path.name)
                yield path


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open("rb") as stream:
            text = stream.read(FILE_BYTES_MAX).decode("utf-8", "replace")
    except OSError:
        return
    yield from (line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#"))


def _fields(line: str) -> tuple[str, str, str]:
    """Return type, path and age of a line."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    kind, pattern, *rest = [*words, "", ""][: max(2, len(words))]
    pattern = re.sub("%[SCtTV%]", lambda found: _SPECIFIERS[found[0]], pattern)
    return kind[:1], pattern, rest[3].lstrip("~") if len(rest) > 3 else ""
