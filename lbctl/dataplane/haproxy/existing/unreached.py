"""lbctl's rules in a config that is there already, and requests that go past them in silence. Pure."""

import re
from collections.abc import Iterator, Sequence

from lbctl.dataplane.haproxy.existing import reach
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.dataplane.haproxy.existing.routing import Choice, choices
from lbctl.dataplane.haproxy.existing.sections import Document, Line, Section
from lbctl.model.topology import Service

_OURS = re.compile(r"\btxn\.lb_")
_WHICH = re.compile(r"set-var\(txn\.lb_service\)")


def unreached(document: Document, service: Service) -> Iterator[Finding]:
    """Yield what takes requests past the rules of `service`, in each frontend that has them."""
    assert service.haproxy is not None
    names = set(service.haproxy.backends.values())
    for section in document.of("frontend", "listen"):
        drawn = next((rule for rule in reach.rules(section) if _draws(rule, service)), None)
        if drawn is None:
            continue
        mine = [choice for choice in choices(document) if choice.frontend is section]
        yield from _ended(section, service, drawn)
        yield from _overruled(section, service)
        yield from _taken(service, mine, names)


def _draws(rule: Line, service: Service) -> bool:
    text = " ".join(rule.words)
    return "set-var(txn.lb_state)" in text and f" str({service.name}),map(" in text


def _ended(section: Section, service: Service, drawn: Line) -> Iterator[Finding]:
    own = [rule for rule in reach.rules(section) if rule.place.line < drawn.place.line]
    for rule in filter(reach.ends, [*reach.inherited_rules(section), *own]):
        sure = reach.surely_ends(rule)
        what = (
            f"`{_text(rule)}` {'lets' if sure else 'may let'} requests through before lbctl's rules for {service.name}"
        )
        what += f" in {section.name} are reached: they go where no split and no rollback is"
        fix = "move lbctl's lines before it; if it stands in `defaults`, move it into the frontends behind them"
        yield Finding("RULES_NOT_REACHED", Weight.FAULT if sure else Weight.WARNING, str(rule.place), what, fix)


def _overruled(section: Section, service: Service) -> Iterator[Finding]:
    """The last assignment counts: one without a condition behind all of a service's leaves it nothing."""
    said = [rule for rule in reach.rules(section) if _WHICH.search(" ".join(rule.words))]
    mine = [n for n, rule in enumerate(said) if f"str({service.name})" in rule.words]
    for rule in said[max(mine) + 1 :] if mine else ():
        if not reach.condition_of(rule):
            what = f"`{_text(rule)}` says of every request that it is not of {service.name}: its rules do nothing"
            yield _finding(rule, what, "delete it, or give it the condition of the line that it stands for")


def _taken(service: Service, mine: Sequence[Choice], names: set[str]) -> Iterator[Finding]:
    """Which `use_backend` before lbctl's own takes everything, or may choose a pool by itself."""
    first = next((n for n, one in enumerate(mine) if _OURS.search(" ".join(one.condition)) or _is_last(one, names)), 0)
    for choice in mine[:first]:
        if not choice.condition:
            what = (
                f"`{_text(choice.line)}` takes every request: lbctl's choice of {service.name} behind it does nothing"
            )
            yield _finding(choice.line, what, "move lbctl's lines before it, or give it a condition")
        elif choice.target in names:
            what = f"`{_text(choice.line)}` chooses a pool of {service.name} before lbctl does"
            yield _finding(choice.line, what, "delete it, or move it behind lbctl's lines")
    for choice in (one for one in mine if one.may_name(names)):
        what = f"`{_text(choice.line)}` may name a pool of {service.name} itself, past split and sessions"
        yield Finding("RULES_BESIDE_SPLIT", Weight.WARNING, str(choice.line.place), what, "leave its pools out of it")


def _is_last(choice: Choice, names: set[str]) -> bool:
    return choice.target in names and choice.line.key == "default_backend"


def _finding(line: Line, what: str, fix: str) -> Finding:
    return Finding("RULES_NOT_REACHED", Weight.FAULT, str(line.place), what, fix)


def _text(line: Line) -> str:
    return " ".join(line.words)[:120]
