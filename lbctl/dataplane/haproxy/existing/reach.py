"""Which requests a rule of a frontend is reached by: HAProxy's rulesets, what ends them, what changes a request. Pure.

`tcp-request content` and `http-request` rules run in their order, those of `defaults` first. One that accepts ends its
ruleset, and the choice of the backend follows at once. One that answers by itself, or refuses, leaves none to make.
"""

import re
from collections.abc import Iterable, Sequence

from lbctl.dataplane.haproxy.existing.findings import mode_of
from lbctl.dataplane.haproxy.existing.sections import Line, Section

_ENDS = frozenset({"allow", "accept"})
_ANSWERS = frozenset({"deny", "reject", "redirect", "return", "tarpit", "silent-drop", "auth", "use-service"})
_UNSEEN = frozenset(
    {
        "set-log-level", "set-nice", "set-mark", "set-fc-mark", "set-tos", "set-fc-tos", "set-priority-class",
        "set-priority-offset", "set-timeout", "set-bandwidth-limit", "cache-use", "early-hint", "disable-l7-retry",
        "strict-mode", "wait-for-body", "wait-for-handshake", "do-log", "pause", "inspect-delay",
    }
)  # fmt: skip
"""They change nothing that a condition could look at."""
_HEADER = frozenset({"set-header", "add-header", "del-header", "replace-header", "replace-value"})
_URL = frozenset(
    {
        "set-path", "set-pathq", "set-uri", "set-query", "set-method", "replace-path", "replace-pathq", "replace-uri",
        "normalize-uri",
    }
)  # fmt: skip
_VARIABLE = frozenset({"set-var", "set-var-fmt", "unset-var"})
_OTHERS = frozenset(
    {
        "set-src", "set-src-port", "set-dst", "set-dst-port", "add-acl", "del-acl", "set-map", "del-map", "capture",
        "do-resolve", "send-spoe-group",
    }
)  # fmt: skip
_COUNTS = re.compile(r"(track-sc|sc-)[a-z0-9-]*")
_OF_URL = re.compile(r"path|url|base|query|method|capture|unique-id")
_AT_ONCE = re.compile(
    r"(src|dst)(_.*)?|fc_.*|ssl_fc.*|so_.*|sc[0-9]?_.*|(fe|be|srv|nbsrv|avg|queue|table|conn)_?.*|var|always_.*|env|date.*"
    r"|rand|true|false|localhost|nbproc|process"
)
_BY_DATA = re.compile(
    r"req[._]ssl_.*|req[._]len|req[._]payload.*|payload.*|wait_end|req_content|rdp_cookie.*|req[._]proto.*"
)
_JOINED = frozenset({"if", "unless", "or", "||", "and", "}"})


def ruleset(section: Section) -> str:
    """Return the first words of the rules that run last before a backend is chosen."""
    return "http-request" if mode_of(section) == "http" else "tcp-request content"


def rules(section: Section) -> list[Line]:
    """Return the section's own rules of that ruleset, in their order."""
    return _rules(section, section.lines)


def inherited_rules(section: Section) -> list[Line]:
    """Return those of its defaults, which run first."""
    above, found = section.parent, list[Line]()
    while above is not None:
        found = [*_rules(section, above.lines), *found]
        above = above.parent
    return found


def _rules(section: Section, lines: Sequence[Line]) -> list[Line]:
    words = tuple(ruleset(section).split())
    return [line for line in lines if line.words[: len(words)] == words and len(line.words) > len(words)]


def action(rule: Line) -> str:
    """Return what a rule does, without its arguments."""
    word = rule.words[1 if rule.key == "http-request" else 2]
    return word.partition("(")[0].lower()


def ends(rule: Line) -> bool:
    """Whether a request that goes on to a backend may miss the rules behind this one."""
    return surely_ends(rule) or _is_unknown(action(rule))


def surely_ends(rule: Line) -> bool:
    """Whether it does so by its name; what others do, as Lua, stands elsewhere."""
    return action(rule) in _ENDS


def _is_unknown(name: str) -> bool:
    known = _ANSWERS | _UNSEEN | _HEADER | _URL | _VARIABLE | _OTHERS
    return name not in known | _ENDS and _COUNTS.fullmatch(name) is None


def changes(rule: Line, conditions: str) -> bool:
    """Whether a rule may change what `conditions` (as `looked_at` returns them) say of a request."""
    name, text = action(rule), conditions.lower()
    if name in _ENDS | _ANSWERS | _UNSEEN or not text:
        return False
    if name in _HEADER:
        return _names_header(rule, text)
    if name in _URL:
        return _OF_URL.search(text) is not None
    if name in _VARIABLE:
        variable = " ".join(rule.words).partition("(")[2].partition(")")[0].partition(",")[0]
        return variable.lower() in text
    return True


def _names_header(rule: Line, text: str) -> bool:
    header = rule.words[2].lower() if len(rule.words) > 2 else ""
    whole = "hdrs" in text or "hdr_names" in text or (header == "host" and ("base" in text or "url" in text))
    return whole or header in text or "%[" in header or ("cook" in text and header == "cookie")


def looked_at(conditions: Iterable[Sequence[str]], section: Section) -> str:
    """Return conditions as one text, with what the ACLs in them look at."""
    every = [*conditions]
    named = [" ".join(line.rest[1:]) for words in every for line in acls(words, section)]
    return " ".join([*(" ".join(words) for words in every), *named])


def acls(condition: Sequence[str], section: Section) -> list[Line]:
    """Return the `acl` lines that a condition names."""
    names = {word.removeprefix("!") for word in condition}
    return [line for line in section.own("acl") if line.rest and line.rest[0] in names]


def looks(condition: Sequence[str], section: Section) -> list[str]:
    """Return what a condition looks at, as it is written: fetches with their arguments and converters."""
    found: list[str] = []
    words = [*condition]
    while words:
        word = words.pop(0)
        if word.removeprefix("!") == "{":
            found += words[:1]
            words = words[words.index("}") + 1 :] if "}" in words else []
        elif word not in _JOINED:
            lines = acls([word], section)
            found += [line.rest[1] for line in lines if len(line.rest) > 1] or [word.removeprefix("!")]
    return found


def fetches(condition: Sequence[str], section: Section) -> set[str]:
    """Return the names of what a condition looks at, without arguments and converters, in small letters."""
    return {re.split(r"[(,]", one)[0].lower() for one in looks(condition, section)}


def is_known_as_soon(conditions: Iterable[Sequence[str]], rule: Line, section: Section) -> bool:
    """Whether `conditions`, asked before an accepting TCP rule, wait no longer for data than that rule does itself."""
    if all(_AT_ONCE.fullmatch(name) for condition in conditions for name in fetches(condition, section)):
        return True
    asked = fetches(condition_of(rule), section)
    return bool(asked) and all(_BY_DATA.fullmatch(name) for name in asked)


def condition_of(rule: Line) -> Sequence[str]:
    """Return the condition of a rule with its `if` or `unless`; empty for always."""
    at = next((n for n, word in enumerate(rule.words) if word in {"if", "unless"}), len(rule.words))
    return rule.words[at:]
