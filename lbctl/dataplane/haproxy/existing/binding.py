"""What `render` prints for one service, cut into the pieces that go into a config that is there already. Pure."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from lbctl.dataplane.haproxy.logline import TIMES

_SECTION = re.compile(r"\n(?=(?:frontend|backend|peers) )")
_HEAD = frozenset({"frontend", "mode", "bind", "option", "timeout"})
_LOGGING = frozenset({"log", "log-format-sd"})
_OF_SESSIONS = (
    "lb_had",
    "lb_keep",
    "lb_bucket",
    "lb_limit",
    "lb_give",
    "lb_moved",
    "str(moved)",
    "# 1 kept session",
    "# As in form",
)
STATE_FILE = frozenset({"load-server-state-from-file", "server-state-file-name"})


@dataclass(slots=True)
class Rendered:
    """`rules` choose the pool, in order; `backends` are whole sections by name."""

    rules: list[str] = field(default_factory=list)
    logging: list[str] = field(default_factory=list)
    backends: dict[str, str] = field(default_factory=dict)
    state_file: list[str] = field(default_factory=list)


def cut(text: str) -> Rendered:
    """Cut what `render` printed for a single service."""
    found = Rendered()
    for section in _SECTION.split(text):
        lines = section.split("\n")
        kind, _, name = lines[0].partition(" ")
        if kind == "frontend":
            for line in lines[1:]:
                key = (line.split() or [""])[0]
                if key in _LOGGING or line.strip() == TIMES:
                    found.logging.append(line)
                elif key and key not in _HEAD:
                    found.rules.append(line)
        elif kind in {"backend", "peers"}:
            found.backends[name] = f"\n{section}"
            found.state_file += [line for line in lines if (line.split() or [""])[0] in STATE_FILE]
    return found


def sessionless(rules: Iterable[str]) -> Iterator[str]:
    """Yield the rules without what keeps and moves sessions: where no cookie binds users, there are none.

    lbctl's own cookie would mean nothing there, and an answer with `Set-Cookie` is in no shared cache.
    """
    for rule in rules:
        head, found, _ = rule.partition(" str(new) if ")
        if found:
            yield rule if "lb_had" not in rule else f"{head} str(new)"
        elif not any(word in rule for word in _OF_SESSIONS):
            yield rule
