"""The servers of one backend as HAProxy's config has them, with `default-server` and templates. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lbctl.dataplane.haproxy.existing.sections import Line, Place, Section
from lbctl.dataplane.haproxy.existing.words import UNKNOWN

TEMPLATE_MAX = 1_024
VALUED = frozenset(
    {
        "addr", "agent-addr", "agent-inter", "agent-port", "agent-send", "alpn", "ca-file", "cc", "check-alpn",
        "check-proto", "check-sni", "ciphers", "ciphersuites", "client-sigalgs", "cookie", "crl-file", "crt", "curves",
        "downinter", "error-limit", "fall", "fastinter", "guid", "hash-key", "id", "idle-ping", "init-addr",
        "init-state", "inter", "interface", "log-bufsize", "log-proto", "max-reuse", "maxconn", "maxqueue",
        "minconn", "namespace",
        "npn", "observe", "on-error", "on-marked-down", "on-marked-up", "pool-conn-name", "pool-low-conn",
        "pool-max-conn", "pool-purge-delay", "port", "proto", "redir", "renegotiate", "resolve-net", "resolve-opts",
        "resolve-prefer", "resolvers", "rise", "shard", "sigalgs", "slowstart", "sni", "socks4", "source",
        "ssl-max-ver", "ssl-min-ver", "tcp-ut", "track", "usesrc", "verify", "verifyhost", "weight", "ws",
    }
)  # fmt: skip
FLAGS = frozenset(
    {
        "agent-check", "allow-0rtt", "backup", "check", "check-reuse-pool", "check-send-proxy", "check-ssl",
        "check-via-socks4", "disabled", "enabled", "non-stick", "renegotiate", "send-proxy", "send-proxy-v2",
        "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn", "ssl", "ssl-reuse", "stick", "strict-maxconn", "tfo",
        "tls-tickets",
    }
)  # fmt: skip
_NEGATED = re.compile(
    r"no-(agent-check|backup|check|check-ssl|check-sni-auto|send-proxy(-v2.*)?|sni-auto|ssl.*|stick|tfo|tls.*|verifyhost)"
)
_FORCED = re.compile(r"force-(sslv3|tlsv1[0-3])|no-(sslv3|tlsv1[0-3])")
_IPV4 = re.compile(r"(?:ipv4@)?([0-9]{1,3}(?:\.[0-9]{1,3}){3}):([0-9]{1,5})")
_IPV6 = re.compile(r"(?:ipv6@)?\[?([0-9A-Fa-f:]*:[0-9A-Fa-f:.]*?)\]?:([0-9]{1,5})")
_NAMED = re.compile(r"([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?):([0-9]{1,5})")
_RANGE = re.compile(r"(?:([0-9]{1,5})-)?([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Server:
    """One server. `address` empty: lbctl cannot write it, and `why` says why."""

    place: Place
    name: str
    address: str
    why: str
    values: dict[str, str] = field(default_factory=dict)
    flags: frozenset[str] = frozenset()
    unknown: tuple[str, ...] = ()
    """Words behind the address that lbctl does not know."""

    @property
    def cookie(self) -> str:
        """Its value of the session cookie, empty without."""
        return self.values.get("cookie", "")


def servers(section: Section) -> list[Server]:
    """Return the servers of a backend or listen section, in order; each gets what `default-server` says."""
    found: list[Server] = []
    values: dict[str, str] = {}
    flags: set[str] = set()
    own = {one.place for one in section.lines}
    for line in section.inherited("default-server", "server", "server-template"):
        if line.key == "default-server":
            parsed = _parameters(line.rest)
            values, flags = {**values, **parsed[0]}, _flags(flags, parsed[1])
        elif line.place in own:
            found += _of_line(line, values, flags)
    return found


def _of_line(line: Line, values: dict[str, str], flags: set[str]) -> Iterator[Server]:
    names: Sequence[str] = line.rest[:1]
    rest = line.rest[1:]
    if line.key == "server-template":
        names, rest = _template(line.rest), line.rest[2:]
    address, why = _address(rest[0] if rest else "")
    if line.key == "server-template" and not why and not _IPV4.fullmatch(rest[0]):
        address, why = "", f"HAProxy finds the addresses of this `server-template` by name ({rest[0]}) while it runs"
    own_values, own_flags, unknown = _parameters(rest[1:])
    for name in names:
        merged = {**values, **own_values}
        yield Server(line.place, name, address, why, merged, frozenset(_flags(flags, own_flags)), unknown)


def _template(words: Sequence[str]) -> list[str]:
    found = _RANGE.fullmatch(words[1]) if len(words) > 1 else None
    if found is None:
        return []
    first, last = int(found[1] or 1), int(found[2])
    return [f"{words[0]}{number}" for number in range(first, min(last, first + TEMPLATE_MAX) + 1)]


def _address(text: str) -> tuple[str, str]:
    """Return the address as lbctl writes it, else why it cannot."""
    if UNKNOWN in text:
        return "", "its address comes from an environment variable that is not known here: give it by --env NAME=VALUE"
    if found := _IPV4.fullmatch(text):
        return f"{found[1]}:{found[2]}", ""
    if (found := _IPV6.fullmatch(text)) and found[1].count(":") >= 2:
        return f"[{found[1]}]:{found[2]}", ""
    if found := _NAMED.fullmatch(text):
        return text, ""
    if text.startswith(("/", "unix@", "abns@", "abnsz@", "uxst@")):
        return "", f"it is a unix socket ({text}), and lbctl knows servers by address and port"
    if text and ":" not in text:
        return "", f"{text} has no port: HAProxy takes the client's; write the port that the server has"
    return "", f"{text or 'nothing'} is no address that lbctl can write"


def _parameters(words: Sequence[str]) -> tuple[dict[str, str], dict[str, bool], tuple[str, ...]]:
    """Return values, flags (True on, False off) and what is not known, in one pass."""
    values: dict[str, str] = {}
    flags: dict[str, bool] = {}
    unknown: list[str] = []
    at = 0
    while at < len(words):
        word = words[at]
        if word in VALUED:
            values[word] = words[at + 1] if at + 1 < len(words) else ""
            at += 2
            continue
        if word in FLAGS:
            flags[word] = True
        elif _NEGATED.fullmatch(word):
            flags[word.removeprefix("no-")] = False
        elif not _FORCED.fullmatch(word):
            unknown.append(word)
        at += 1
    return values, flags, tuple(unknown)


def _flags(before: set[str], own: dict[str, bool]) -> set[str]:
    state = (before | {name for name, on in own.items() if on}) - {name for name, on in own.items() if not on}
    return state - {"disabled"} if own.get("enabled") else state
