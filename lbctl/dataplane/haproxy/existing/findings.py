"""What bites in an HAProxy's config as it is written: each finding with its place and its fix. Pure.

What HAProxy itself says while it runs is in `obstacles` and `limits`; where the config says the same, they are asked.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from lbctl.dataplane.haproxy.existing.routing import Choice
from lbctl.dataplane.haproxy.existing.sections import Document, Line, Place, Section, has_option
from lbctl.dataplane.haproxy.existing.servers import servers


class Weight(StrEnum):
    """`fault`: a release would not go, or not safely. `warning`: it goes, with a loss. `note`: know it."""

    FAULT = "fault"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding. `where` is a place in a file, an instance, a path, or empty."""

    code: str
    weight: Weight
    where: str
    what: str
    fix: str


LEVELS = {"user", "operator", "admin"}
_OWNED = frozenset({"group", "gid", "user", "uid"})
_STRANGE_PERSISTENCE = frozenset({"force-persist", "ignore-persist", "use-server", "force-be-switch"})


def admin_sockets(document: Document) -> list[Line]:
    """Return the `stats socket` lines of unix sockets with level admin."""
    return [line for line in _stats_sockets(document) if _level(line) == "admin" and socket_path(line)]


def socket_path(line: Line) -> str:
    """Return the path of a `stats socket` line; empty for one that is no path."""
    text = line.words[2] if len(line.words) > 2 else ""
    return text.removeprefix("unix@") if text.removeprefix("unix@").startswith("/") else ""


def of_global(document: Document) -> Iterator[Finding]:
    """Yield what the global section, the defaults and other sections say."""
    yield from _sockets(document)
    for section in document.of("global"):
        for line in section.lines:
            if line.words[:1] == ("nbproc",) and line.rest[:1] != ("1",):
                what = "several processes share no map: a change reaches one of them"
                yield Finding("NBPROC", Weight.FAULT, str(line.place), what, "use `nbthread` instead of `nbproc`")
            if line.key == "hard-stop-after":
                what = f"after a reload HAProxy cuts what is left after {' '.join(line.rest) or 'that time'}: "
                what += "WebSockets and long requests of both pools"
                yield Finding("HARD_STOP", Weight.NOTE, str(line.place), what, "reload outside of releases")
            if line.key == "chroot":
                what = "HAProxy looks for a `unix:` request log inside this directory"
                yield Finding("CHROOT", Weight.NOTE, str(line.place), what,
                              "`request_log: udp://…`, or a socket inside: docs/how-to/haproxy.md")  # fmt: skip
    yield from _peers(document)


def _sockets(document: Document) -> Iterator[Finding]:
    lines = _stats_sockets(document)
    if not admin_sockets(document):
        place = lines[0].place if lines else next((one.place for one in document.of("global")), None)
        what = "no `stats socket` of level admin" + (f": this one is {_level(lines[0])}" if lines else "")
        fix = "stats socket /run/haproxy/admin.sock mode 660 group lbctl level admin"
        yield Finding("SOCKET_LEVEL", Weight.FAULT, str(place or ""), what, f"in `global` write `{fix}`")
    admin = admin_sockets(document)
    if admin and not any(_OWNED & set(line.words) for line in admin):
        what = f"only HAProxy's own user may open {socket_path(admin[0])}: lbctld runs as another one"
        fix = (
            "write `group lbctl` behind it, or `stats socket /run/haproxy/lbctl.sock mode 660 group lbctl level admin` "
        )
        fix += "as a second line, and that path as `socket`"
        yield Finding("SOCKET_GROUP", Weight.WARNING, str(admin[0].place), what, fix)
    for line in lines:
        mode = _after(line, "mode")
        if mode and mode[-1:] not in {"0", ""}:
            # At every level: HAProxy asks none for `set map`, as was tried.
            what = f"mode {mode}: every user of this host may set maps there, at any level: that moves traffic"
            yield Finding("SOCKET_OPEN", Weight.FAULT, str(line.place), what, "mode 660, and lbctl's group")
        if not socket_path(line) and len(line.words) > 2 and not line.words[2].startswith(("fd@", "unix@", "abns@")):
            what = f"the control port is open by TCP ({line.words[2]}), and asks for no password"
            yield Finding("SOCKET_BY_TCP", Weight.WARNING, str(line.place), what, "a unix socket with mode 660")


def _peers(document: Document) -> Iterator[Finding]:
    for section in document.of("peers"):
        names = [line.rest[0] for line in section.own("peer", "server") if line.rest]
        disabled = any(line.key == "disabled" for line in section.lines)
        if len(names) > 1 and not disabled:
            what = f"peers {section.name} names {', '.join(names)}: other load balancers that share stick tables"
            fix = "what they route is neither moved nor judged by an lbctl on this host alone"
            yield Finding("OTHER_BALANCER", Weight.WARNING, str(section.place), what, fix)


def of_frontends(chosen: Iterable[Choice]) -> Iterator[Finding]:
    """Yield what bites in the frontends that send traffic to a service."""
    for section in {id(one.frontend): one.frontend for one in chosen}.values():
        if mode_of(section) == "http" and not has_option(section, "idle-close-on-response"):
            what = f"{section.kind} {section.name} has no `option idle-close-on-response`: a reload closes idle "
            what += "connections under the clients' next requests"
            yield Finding("IDLE_CLOSE", Weight.WARNING, str(section.place), what, "add the option to it")


def of_backend(section: Section) -> Iterator[Finding]:
    """Yield what bites in one backend of a service."""
    name = section.name
    yield from _state_file(section)
    yield from _cookie(section)
    if not has_option(section, "redispatch") and not has_option(section, "redispatch", "1"):
        what = f"{name} has no `option redispatch`: a request whose server refuses the connection fails"
        yield Finding("NO_REDISPATCH", Weight.WARNING, str(section.place), what, "add `option redispatch`")
    for line in section.inherited(*_STRANGE_PERSISTENCE):
        what = f"`{line.key}` in {name} sends requests past split and sessions"
        yield Finding("RULES_BESIDE_SPLIT", Weight.WARNING, str(line.place), what, "delete it, or know it")
    for line in section.own("stick"):
        table = _after(line, "table")
        if table and table != name:
            what = f"{name} binds users by the stick table of {table}, which `plan` does not see"
            yield Finding("STICK_TABLE_ELSEWHERE", Weight.NOTE, str(line.place), what, "a cookie moves in parts")
    yield from _servers(section)


def _servers(section: Section) -> Iterator[Finding]:
    every = servers(section)
    cookie = next(iter(section.inherited("cookie")[-1:]), None)
    bare = [one for one in every if not one.cookie and cookie is not None and "dynamic" not in cookie.rest]
    if bare:
        what = f"{section.name}/{bare[0].name} has no cookie value: its users change server and pool at every request"
        yield Finding(
            "SERVER_WITHOUT_COOKIE", Weight.WARNING, str(bare[0].place), what, "write `cookie VALUE` behind it"
        )
    closing = [one for one in every if one.values.get("on-marked-down") == "shutdown-sessions"]
    if closing:
        what = f"{section.name}: a server that fails its checks has all its requests cut (`on-marked-down`)"
        yield Finding("CUT_WHEN_DOWN", Weight.NOTE, str(closing[0].place), what, "leave it out, or know it")
    for one in every:
        if one.unknown:
            what = f"{section.name}/{one.name}: not understood: {' '.join(one.unknown)}"
            yield Finding("NOT_UNDERSTOOD", Weight.NOTE, str(one.place), what, "is it safe with two pools?")


def _state_file(section: Section) -> Iterator[Finding]:
    for line in section.inherited("load-server-state-from-file")[-1:]:
        if line.rest[:1] in {("global",), ("local",)} and not _is_ours(section):
            what = f"{section.name} loads a server-state file ({line.rest[0]}): weights and drains of an old day "
            what += "come back with a reload, whatever was set since"
            fix = "`load-server-state-from-file none` here; in form `weights` the two lines that lbctl renders"
            yield Finding("STALE_STATE_FILE", Weight.FAULT, str(line.place), what, fix)


def _is_ours(section: Section) -> bool:
    """A file of this backend alone, in a directory of lbctl's: rewritten after every change."""
    names = section.own("server-state-file-name")
    return bool(names) and names[-1].rest[:1] != () and names[-1].rest[0].endswith(".state")


def _cookie(section: Section) -> Iterator[Finding]:
    line = next(iter(section.inherited("cookie")[-1:]), None)
    if line is None or not line.rest:
        return
    words = line.rest[1:]
    kind = next((word for word in ("prefix", "rewrite") if word in words), "")
    if kind:
        what = f"`cookie {line.rest[0]} {kind}` puts the server's name into the application's cookie, which lbctl "
        what += "cannot read as a whole: sessions are drawn anew while new traffic is split"
        yield Finding("COOKIE_NOT_READ", Weight.WARNING, str(line.place), what,
                      "a cookie of its own: `cookie SRV insert indirect nocache`")  # fmt: skip
    elif "dynamic" in words:
        what = "cookie values are computed by HAProxy (`dynamic`), and lbctl must know them"
        yield Finding("COOKIE_NOT_READ", Weight.WARNING, str(line.place), what,
                      "write `cookie VALUE` on each server with the value it has now")  # fmt: skip
    elif "indirect" not in words:
        what = f"`cookie {line.rest[0]}` without `indirect`: servers see the cookie, and may set it themselves"
        yield Finding("COOKIE_SEEN_BY_SERVERS", Weight.NOTE, str(line.place), what, "add `indirect nocache`")


def mode_of(section: Section) -> str:
    """Return `http` or `tcp`, over all defaults; HAProxy's own default is tcp."""
    lines = section.inherited("mode")
    return lines[-1].rest[0] if lines and lines[-1].rest else "tcp"


def place_of(section: Section, *keys: str) -> Place:
    """Return the place of the last line with these keys that is in force, else the section's."""
    lines = section.inherited(*keys)
    return lines[-1].place if lines else section.place


def _stats_sockets(document: Document) -> list[Line]:
    lines = [line for section in document.of("global") for line in section.own("stats")]
    return [line for line in lines if line.rest[:1] == ("socket",)]


def _level(line: Line) -> str:
    return _after(line, "level") or "operator"


def _after(line: Line, word: str) -> str:
    words = line.words
    return words[words.index(word) + 1] if word in words[:-1] else ""
