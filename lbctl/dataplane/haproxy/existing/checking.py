"""How an existing backend checks its servers, as lbctl's own checks would. What cannot be said so is told. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lbctl.config.quantity import span_text
from lbctl.dataplane.haproxy.existing.sections import Line, Section
from lbctl.dataplane.haproxy.existing.servers import Server

SPEAKS = frozenset({"tcp-check", "mysql-check", "pgsql-check", "redis-check", "smtpchk", "ldap-check", "ssl-hello-chk",
                    "spop-check", "external-check"})  # fmt: skip
_TIME = re.compile(r"([0-9]{1,9})(us|ms|s|m|h|d)?")
_UNIT_MS = {"us": 0.001, "ms": 1, "": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PATH = re.compile(r"/[!-~]{0,2047}")
_HOST = re.compile(r"[A-Za-z0-9_.:\[\]-]{1,253}")
_STATUS = re.compile(r"([1-5][0-9]{2})(?:-([1-5][0-9]{2}))?")
INTERVAL_MS = 2_000
TIMEOUT_MS = 500


@dataclass(slots=True)
class Checked:
    """`keys` go into `health:` as they stand; empty: no `health:`. `doubts` are for people."""

    keys: dict[str, str] = field(default_factory=dict)
    tls: dict[str, str] = field(default_factory=dict)
    doubts: list[tuple[Line | Server, str]] = field(default_factory=list)
    why: Line | Server | None = None


def checked(section: Section, every: Sequence[Server]) -> Checked:
    """Return the checks of a backend whose servers are `every`."""
    found = Checked()
    asked = [one for one in every if "check" in one.flags]
    if not asked:
        return found
    first = found.why = asked[0]
    if len(asked) < len(every):
        missing = next(one for one in every if one not in asked)
        found.doubts.append((missing, f"{missing.name} is not checked by HAProxy; lbctl would check it"))
    if any(flag.startswith(("send-proxy", "check-send-proxy")) for one in asked for flag in one.flags):
        found.doubts.append((first, "its servers want the PROXY protocol, which lbctl's do not speak: "
                             "`health` with a `port` without it, or HAProxy's own view alone"))  # fmt: skip
        return found
    _kind(section, first, found)
    _numbers(section, first, found)
    if len({one.values.get("addr", "") for one in asked} | {""}) > 1:
        found.doubts.append((first, "HAProxy checks another address than the server's (`addr`); lbctl asks the server"))
    return found


def _kind(section: Section, first: Server, found: Checked) -> None:
    options = [line for line in section.inherited("option") if line.rest[:1] and line.rest[0] in {"httpchk", *SPEAKS}]
    last = options[-1] if options else None
    if last is None or last.rest[0] != "httpchk":
        found.keys["tcp"] = "true"
        if last is not None and last.rest[0] in SPEAKS:
            found.doubts.append(
                (last, f"`option {last.rest[0]}`: lbctl would only connect (or `health: {{command: …}}`)")
            )
        return
    found.why = last
    method, path, host = _asked(section, last)
    if method != "GET":
        found.doubts.append((last, f"HAProxy asks {method} {path}, lbctl GET {path}: does it answer that, too?"))
    if not _PATH.fullmatch(path):
        found.doubts.append((last, f"{path!r} is no path that lbctl can ask: correct it"))
    by_tls = "check-ssl" in first.flags or ("ssl" in first.flags and "port" not in first.values)
    found.keys["https" if by_tls else "http"] = path
    if host and _HOST.fullmatch(host):
        found.keys["host"] = host
    found.doubts += _expected(section, found)
    if by_tls:
        _tls(first, found)


def _asked(section: Section, option: Line) -> tuple[str, str, str]:
    """Return method, path and Host header of the check."""
    words = option.rest[1:]
    method, path = ("OPTIONS", words[0]) if len(words) == 1 else (words[0], words[1]) if words else ("OPTIONS", "/")
    host = next((found[1] for word in words if (found := re.search(r"[Hh]ost:\s*([^\s\\]+)", word))), "")
    for line in section.inherited("http-check"):
        if line.rest[:1] == ("send",):
            given = dict(zip(line.rest[1:-1], line.rest[2:], strict=True))
            method, path = given.get("meth", method), given.get("uri", path)
            heads = [line.rest[at + 2] for at in range(1, len(line.rest) - 2)
                     if line.rest[at] == "hdr" and line.rest[at + 1].lower() == "host"]  # fmt: skip
            host = heads[0] if heads else host
    return method, path, host


def _expected(section: Section, found: Checked) -> Iterator[tuple[Line | Server, str]]:
    for line in section.inherited("http-check"):
        if line.rest[:1] == ("expect",):
            rest = [word for word in line.rest[1:] if word not in {"min-recv", "comment"}]
            status = _STATUS.fullmatch(rest[-1]) if rest[:1] == ["status"] else None
            if status:
                found.keys["status"] = f"{status[1]}-{status[2]}" if status[2] else status[1]
            else:
                yield line, f"`{' '.join(line.words)}`: lbctl looks at the status alone"
        elif line.rest[:1] not in {("send",), ("disable-on-404",), ("send-state",)}:
            yield line, f"`{' '.join(line.words)}`: lbctl asks once, and looks at the status alone"


def _tls(first: Server, found: Checked) -> None:
    ca, name = first.values.get("ca-file", ""), first.values.get("verifyhost", "") or first.values.get("check-sni", "")
    sni = re.fullmatch(r"str\(([^)]+)\)", first.values.get("sni", ""))
    name = name or (sni[1] if sni else "")
    if first.values.get("verify") == "none":
        found.doubts.append(
            (first, "its certificate is not verified (`verify none`), and would not be by lbctl's checks")
        )
    elif ca.startswith("/") and _HOST.fullmatch(name):
        found.tls = {"ca": ca, "name": name}
    else:
        found.doubts.append(
            (first, "TLS servers: write `tls: {ca: FILE, name: HOST}`, else lbctl does not verify them")
        )


def _numbers(section: Section, first: Server, found: Checked) -> None:
    interval = min(max(_ms(first.values.get("inter", ""), INTERVAL_MS), 50), 3_600_000)
    limits = section.inherited("timeout")
    given = [line.rest[1] for line in limits if line.rest[:1] == ("check",) and len(line.rest) > 1]
    timeout = min(max(_ms(given[-1], TIMEOUT_MS) if given else TIMEOUT_MS, 50), interval)
    found.keys |= {"interval": span_text(interval), "timeout": span_text(timeout)}
    for key, default in (("rise", "2"), ("fall", "3")):
        text = first.values.get(key, default)
        if text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 100:
            found.keys[key] = str(int(text))
    port = first.values.get("port", "")
    if port.isascii() and port.isdigit():
        found.keys["port"] = port


def _ms(text: str, default: int) -> int:
    found = _TIME.fullmatch(text)
    return round(int(found[1]) * _UNIT_MS[found[2] or ""]) if found else default
