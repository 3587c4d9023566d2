"""What the ssh key of a pipeline may do: the line that came is split without a shell and held against a table.

Nothing is interpreted twice: the words are parsed by the command that will run, and what it understood is checked. So
an option that a command gets later is refused here until somebody allows it.
"""

import shlex
from collections.abc import Callable, Collection
from dataclasses import dataclass

import click
from click.core import ParameterSource

from lbctl.cli.failure import Exit, Failure

LINE_MAX = 16_384
"""Characters; more than any command with its contract needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What of a command may be said. `own` must be the key's service, `target` the service or its unit."""

    shown: str
    own: str | None = None
    target: str | None = None
    instead: str | None = None
    """What may be given in place of `target`."""
    options: Collection[str] = ()


FORM = frozenset({"form", "json"})
ALLOWED: dict[str, Rule] = {
    "claim": Rule(
        shown="claim {service}", own="service", options={"build", "unit", "waiting", "timeout", "give_back", "reason"}
    ),
    "release ready": Rule(
        shown="release ready UNIT --service {service}",
        own="service",
        target="unit",
        options={"version", "build", "provides", "requires", "reason"},
    ),
    "release withdraw": Rule(
        shown="release withdraw UNIT --service {service}", own="service", target="unit", options={"reason"}
    ),
    "release wait": Rule(
        shown="release wait --build URL|TARGET", target="target", instead="build", options={"build", "goal", "timeout"}
    ),
    "release stopped": Rule(
        shown="release stopped RELEASE --service {service}", own="service", options={"target", "reason"}
    ),
    "retired": Rule(
        shown="retired RELEASE --service {service}", own="service", options={"target", "waiting", "timeout"}
    ),
    "release status": Rule(shown="release status TARGET", target="target"),
    "release show": Rule(shown="release show TARGET", target="target"),
    "pause": Rule(shown="pause TARGET", target="target", options={"reason"}),
    "rollback": Rule(shown="rollback TARGET", target="target", options={"reason", "yes"}),
    "status": Rule(shown="status {service}|UNIT", target="service"),
    "why": Rule(shown="why TARGET", target="target"),
    "explain": Rule(shown="explain TARGET", target="release"),
    "version": Rule(shown="version"),
}


def command_of(line: str, service: str) -> tuple[str, list[str]]:
    """Return the command's name as the table has it, and the words after it. A first word `lbctl` may stand or not.

    Raises:
        Failure: not allowed, or no line that can be split.
    """
    words = _words(line, service)
    words = words[1:] if words[:1] == ["lbctl"] else words
    for length in (2, 1):
        name = " ".join(words[:length])
        if name in ALLOWED:
            return name, words[length:]
    raise refused(f"`{' '.join(words[:2])[:80]}` is not for this key" if words else "this key opens no shell", service)


def _words(line: str, service: str) -> list[str]:
    if len(line) > LINE_MAX:
        raise refused(f"the command has {len(line)} characters, and at most {LINE_MAX} are read", service)
    if not line.isprintable():
        raise refused("the command has a line break or another character that cannot be printed", service)
    try:
        return shlex.split(line)
    except ValueError as error:
        raise refused(f"the command cannot be split into words: {str(error).lower()}", service) from None


def check(asked: click.Context, rule: Rule, service: str, belongs: Callable[[str], bool]) -> None:
    """Return if what the command understood is for the key's service. `belongs`: whether a name that is not the
    service's is that of its unit, or the number of a release of either; asked where it is needed.

    Raises:
        Failure: another service, no service, or an option that a pipeline does not need.
    """
    named = {rule.own, rule.target} - {None}
    for one in asked.command.params:
        given = asked.get_parameter_source(str(one.name)) is ParameterSource.COMMANDLINE
        if given and one.name not in {*named, *FORM, *rule.options}:
            raise refused(f"{one.opts[0]} is not for this key", service)
    if rule.own is not None and asked.params[rule.own] != service:
        raise refused(f"{str(asked.params[rule.own])[:80]} is another service than {service}", service)
    if rule.target is not None:
        _targeted(asked, rule, service, belongs)


def _targeted(asked: click.Context, rule: Rule, service: str, belongs: Callable[[str], bool]) -> None:
    target = asked.params[str(rule.target)]
    if target is None and rule.instead is not None and asked.params[rule.instead] is not None:
        return
    if target is None:
        raise refused(f"{asked.info_name} needs a name here: {service}", service)
    if target != service and not belongs(str(target)):
        raise refused(f"{str(target)[:80]} is neither {service} nor its unit, nor a release of it", service)


def refused(what: str, service: str) -> Failure:
    """Return the refusal that says what the key is for."""
    shown = ", ".join(rule.shown.format(service=service) for rule in ALLOWED.values())
    target = f"TARGET is {service}, its unit, or the number of a release of it"
    why = f"it is for the pipeline of {service}; allowed are: {shown}; {target}"
    return Failure(what, why=why, code="not_for_this_key", exit_code=Exit.NOT_AUTHORISED)
