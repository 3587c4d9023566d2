"""The conditions of `.if` in HAProxy's config: what can be said without running it, and `None` where nothing can."""

import re
from collections.abc import Mapping

_CALL = re.compile(r"([a-z_]+)\((.*)\)")
DEPTH_MAX = 40
"""Deeper than this nobody writes, and nothing is said."""
_CONSTANT = {"1": True, "true": True, "0": False, "false": False, "": False}


def holds(
    condition: str, variables: Mapping[str, str], assumed: Mapping[str, bool], depth: int = DEPTH_MAX
) -> bool | None:
    """Return whether `condition` holds; None: only HAProxy itself knows (its version, features, options)."""
    text = condition.strip()
    if depth == 0:
        return None
    if text in assumed:
        return assumed[text]
    if (parts := _split(text, "||")) != [text]:
        return _any([holds(part, variables, assumed, depth - 1) for part in parts])
    if (parts := _split(text, "&&")) != [text]:
        known = [holds(part, variables, assumed, depth - 1) for part in parts]
        return _not(_any([_not(one) for one in known]))
    if text.startswith("!"):
        return _not(holds(text[1:], variables, assumed, depth - 1))
    if text.startswith("(") and text.endswith(")"):
        return holds(text[1:-1], variables, assumed, depth - 1)
    if text in _CONSTANT:
        return _CONSTANT[text]
    return _call(text, variables)


def _call(text: str, variables: Mapping[str, str]) -> bool | None:
    found = _CALL.fullmatch(text)
    if found is None:
        return None
    name, arguments = found[1], [_text(one, variables) for one in found[2].split(",")]
    if name == "defined":
        return found[2].strip() in variables
    if name in {"streq", "strneq"} and len(arguments) == 2 and None not in arguments:
        return (arguments[0] == arguments[1]) == (name == "streq")
    if name == "strstr" and len(arguments) == 2 and (what := arguments[1]) is not None:
        return None if arguments[0] is None else what in arguments[0]
    return None


def _text(argument: str, variables: Mapping[str, str]) -> str | None:
    """An argument as text: a variable's value in double quotes, else itself; None where the value is not known."""
    text = argument.strip()
    if text.startswith('"') and text.endswith('"') and len(text) > 1:
        name = text[1:-1].removeprefix("$").removeprefix("{").removesuffix("}")
        return variables.get(name) if text[1:2] == "$" else text[1:-1]
    return text.strip("'")


def _split(text: str, operator: str) -> list[str]:
    """Cut at an operator outside parentheses."""
    parts, depth, start, at = [], 0, 0, 0
    while at < len(text):
        depth += (text[at] == "(") - (text[at] == ")")
        if depth == 0 and text.startswith(operator, at):
            parts.append(text[start:at].strip())
            at += len(operator)
            start = at
        else:
            at += 1
    return [*parts, text[start:].strip()] if parts else [text]


def _any(known: list[bool | None]) -> bool | None:
    return True if True in known else None if None in known else False


def _not(known: bool | None) -> bool | None:
    return None if known is None else not known
