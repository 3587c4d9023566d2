"""Every effect of the daemon on anything outside of it stands between crash points, and every point is passed."""

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import lbctl
from lbctl.crash import Point

PACKAGE = Path(lbctl.__file__).parent
FILES = [
    file
    for part in ("control", "daemon", "dataplane", "gate", "notify", "store")
    for file in PACKAGE.glob(f"{part}/**/*.py")
]
MARKERS = {"passing", "halves"}
EFFECTS = {
    "rename", "link", "unlink", "posix_fallocate", "fsync", "fdatasync", "pwrite", "ftruncate",
    "create_subprocess_exec", "write_eof", "send", "administer", "set_cursor",
}  # fmt: skip
"""Calls by whose name something outside of the process changes. `replace` is both a file's and a text's."""
WITHIN = {
    "control/connection.py:_refuse": "an answer that refuses; nothing was decided",
    "control/listener.py:remove": "removes the daemon's own socket at its end, between stop.asked and stop.done",
    "control/listener.py:_clear": "removes a dead daemon's socket, between start.journal and start.socket",
    "control/scraping.py:_answered": "an answer to a reader of metrics; nothing was decided",
    "control/server.py:_written": "an event to whoever follows; the journal has it",
    "daemon/executor.py:_told": "stands between administer.before and administer.after",
    "dataplane/slotfile.py:_repair": "stands behind slot.before; unit tests cut it at every system call",
    "dataplane/slotfile.py:_put": "stands between slot.before and slot.filled",
    "dataplane/slotfile.py:_link": "stands between slot.filled and slot.linked",
    "dataplane/slotfile.py:_make_spare": "makes room for the next write; nothing depends on it",
    "dataplane/slotfile.py:_grow": "makes room for the next write; nothing depends on it",
    "dataplane/slotfile.py:_sync_directory": "stands between slot.kept and slot.after",
    "dataplane/slotfile.py:_sync": "begins between slot.before and slot.filled; a disk that hangs ends it later",
    "dataplane/slotfile.py:synced": "begins between slot.before and slot.filled; a disk that hangs ends it later",
    "dataplane/slotfile.py:_written": "stands between slot.before and slot.filled",
    "dataplane/envoy/files.py:_fill": "stands before envoy.file.before; nobody reads a file of that name",
    "dataplane/envoy/files.py:sweep": "removes what a writer that died left behind; a start removes it as well",
    "dataplane/envoy/binary.py:probe": "asks a binary for its version; nothing changes",
    "dataplane/envoy/process.py:launch": "stands between envoy.launch.before and envoy.launch.after",
    "dataplane/envoy/process.py:_rotate": "stands between envoy.launch.before and envoy.launch.after",
    "gate/hook.py:_run": "stands between hook.before and hook.after",
    "notify/lane.py:_end": "said again after a crash; an incident that is over stays so",
    "notify/outbox.py:test": "a test message that a person asked for",
    "notify/outbox.py:send": "stands between alert.before and alert.after",
    "notify/program.py:run": "stands between alert.before and alert.after",
    "store/ballast.py:free": "gives room away in the middle of a transaction that is tried again",
    "store/files.py:take_lock": "writes a pid for people; the lock is the kernel's",
    "store/kept.py:sweep": "removes what nobody names any more; a start removes it as well",
    "store/recording.py:sweep": "removes old recordings, which are for people; a start removes them as well",
    "store/token.py:remove": "stands between token.before and token.after",
    "store/token.py:unlink": "stands between token.before and token.after",
    "store/token.py:sweep": "stands between start.socket and start.tokens",
    "store/token.py:_renamed": "one rename, of which token.between knows",
    "store/witness.py:write": "stands between journal.committed and journal.witnessed",
}
"""Functions with an effect and no point of their own, and where their points are."""


def _effects(file: Path) -> Iterator[tuple[str, bool]]:
    """Yield the functions of a file that have an effect, and whether they pass a point."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (calls := _calls(node)) & EFFECTS:
            yield f"{file.relative_to(PACKAGE)}:{node.name}", bool(calls & MARKERS)


def _calls(node: ast.AST) -> set[str]:
    calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
    return {one.attr if isinstance(one, ast.Attribute) else getattr(one, "id", "") for one in calls}


def _points(file: Path) -> Iterator[str]:
    text = file.read_text()
    for node in ast.walk(ast.parse(text)) if "passing(" in text else ():
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "passing":
            (point,) = node.args
            assert isinstance(point, ast.Attribute), f"{file}: a point is named as it stands in the table"
            yield point.attr


def test_every_point_is_passed_at_one_place() -> None:
    passed = Counter(point for file in PACKAGE.rglob("*.py") for point in _points(file))
    assert passed == dict.fromkeys(Point.__members__, 1)


def test_every_effect_stands_between_points() -> None:
    found = dict(one for file in FILES for one in _effects(file))
    bare = {name for name, passes in found.items() if not passes}
    assert not bare - WITHIN.keys(), "pass a point of lbctl/crash.py before and after it"
    assert not WITHIN.keys() - bare, "these have no effect any more, or points of their own"
