"""What `render` prints for one service, cut into the pieces that go into a config that is there already. Pure."""

import re
from dataclasses import dataclass, field

_SECTION = re.compile(r"\n(?=(?:frontend|backend|peers) )")
_HEAD = frozenset({"frontend", "mode", "bind", "option", "timeout"})
_LOGGING = frozenset({"log", "log-format-sd"})
_STATE = frozenset({"load-server-state-from-file", "server-state-file-name"})


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
                if key in _LOGGING:
                    found.logging.append(line)
                elif key and key not in _HEAD:
                    found.rules.append(line)
        elif kind in {"backend", "peers"}:
            found.backends[name] = f"\n{section}"
            found.state_file += [line for line in lines if (line.split() or [""])[0] in _STATE]
    return found
