"""Where lbctl's lines go in a frontend that is there, so that each is reached; refused where there is none. Pure.

Rules stand behind all others, as HAProxy's own choice comes behind them; but before the first one that ends the
ruleset, because behind it they would be missed. Then nothing behind them may change what the frontend's conditions
look at.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lbctl.dataplane.haproxy.existing import reach
from lbctl.dataplane.haproxy.existing.routing import Choice
from lbctl.dataplane.haproxy.existing.sections import OTHERS, PROXIES, Line, Section
from lbctl.model.errors import Garbled
from lbctl.model.topology import Service

BY_HAND = "see docs/how-to/haproxy.md"
_CHOOSING = frozenset({"use_backend", "default_backend"})
_LATE = _CHOOSING | {"use-server", "server", "server-template", "default-server", "redirect"}
_HIDDEN = _CHOOSING | {"http-request", "tcp-request"}


@dataclass(frozen=True, slots=True)
class Spot:
    """Line numbers: lbctl's rules and its choices go before them; `acls` are to be told again before the rules."""

    rules: int
    choices: int
    acls: tuple[int, ...]


def place_of(lines: Sequence[str], section: Section, chosen: Sequence[Choice]) -> Spot:
    """Return where lbctl's lines go in `section`; `chosen` are the lines whose conditions are asked again there.

    Raises:
        Garbled: they would be missed there, or see another request than the old lines did; the text names the line.
    """
    _refuse_hidden(lines, section)
    for rule in filter(reach.ends, reach.inherited_rules(section)):
        raise Garbled(f"{_named(rule)} stands in `defaults`, before every rule of {section.kind} {section.name}, and "
                      "ends them: move it into the frontends that need it, then again")  # fmt: skip
    conditions = [choice.condition for choice in chosen if choice.condition]
    last = _late(section)
    ending = next((rule for rule in reach.rules(section) if reach.ends(rule)), None)
    if ending is not None and ending.place.line < last:
        _refuse_changed(section, ending, conditions)
        spot = ending.place.line
    else:
        spot = last
    own = [line.place.line for line in section.own(*_CHOOSING)]
    choosing = min([last, *own]) if chosen else last
    named = [line.place.line for condition in conditions for line in reach.acls(condition, section)]
    return Spot(spot, choosing, tuple(dict.fromkeys(number for number in named if number > spot)))


def _late(section: Section) -> int:
    """Before the first line that chooses, if no rule follows it; else behind everything."""
    late = [line.place.line for line in section.lines if line.key in _LATE]
    others = [line.place.line for line in section.lines if line.key not in _LATE | {"acl"}]
    if late and (not others or max(others) < min(late)):
        return min(late)
    return max([section.place.line, *(line.place.line for line in section.lines)]) + 1


def _refuse_changed(section: Section, ending: Line, conditions: Sequence[Sequence[str]]) -> None:
    behind = [rule for rule in reach.rules(section) if rule.place.line >= ending.place.line]
    text = reach.looked_at(conditions, section)
    for rule in (one for one in behind if reach.changes(one, text)):
        raise Garbled(f"{_named(rule)} may change what the `use_backend` lines look at: {_before(rule, ending)}")
    waiting = [] if reach.ruleset(section) == "http-request" else behind
    for rule in (one for one in waiting if reach.ends(one) and not reach.is_known_as_soon(conditions, one, section)):
        raise Garbled(f"{_named(rule)} lets connections through before the `use_backend` lines know what they look at, "
                      "and lbctl's rules before it would wait for that: give it a condition that waits, too "
                      "(`if { req.ssl_hello_type 1 }`), or give these connections a frontend of their own")  # fmt: skip


def _before(rule: Line, ending: Line) -> str:
    if rule is ending:
        return f"it may end all rules, too, so lbctl's fit neither before nor behind it: put them in by hand, {BY_HAND}"
    return (f"move it before {_named(ending)}, if that is right for what is let through there, then again; "
            f"lbctl's rules must stand before that line, too")  # fmt: skip


def _refuse_hidden(lines: Sequence[str], section: Section) -> None:
    """Refuse a frontend with rules in a branch of `.if` that was not read: HAProxy may read it, and go past ours."""
    seen = {line.place.line for line in section.lines}
    for number, words in _body(lines, section):
        if number not in seen and words[0] in _HIDDEN:
            raise Garbled(f"{section.place.file}:{number}: `{' '.join(words)[:80]}` stands in an `.if` that is not "
                          f"decided here, and may go past lbctl's rules: take the `.if` out of {section.kind} "
                          f"{section.name}, then again")  # fmt: skip


def _body(lines: Sequence[str], section: Section) -> Iterator[tuple[int, list[str]]]:
    for number, raw in enumerate(lines[section.place.line :], start=section.place.line + 1):
        words = raw.split()
        if words and words[0] in PROXIES | OTHERS:
            return
        if words:
            yield number, words


def refuse_unreached(section: Section, mine: Iterable[Choice], owners: Mapping[str, Service]) -> None:
    """Refuse a frontend where a service's requests never come to the line that names it.

    Raises:
        Garbled: names the line that takes them all.
    """
    taking: Choice | None = None
    reached: set[str] = {owners[section.name].name} if section.name in owners else set()
    for choice in mine:
        owner = owners.get(choice.target)
        if owner is not None and taking is None:
            reached.add(owner.name)
        elif owner is not None and taking is not None and (taking.dynamic or owner.name not in reached):
            raise Garbled(f"{_named(taking.line)} takes every request, so that {choice.target} ({choice.line.place}) "
                          f"gets none that lbctl could move: {_instead(taking)}, then again")  # fmt: skip
        if taking is None and not choice.condition:
            taking = choice


def _instead(taking: Choice) -> str:
    if taking.dynamic:
        return "write a `use_backend … if …` for each service of lbctl's before it"
    return "give it a condition, or delete what is behind it"


def _named(line: Line) -> str:
    return f"{line.place}: `{' '.join(line.words)[:120]}`"
