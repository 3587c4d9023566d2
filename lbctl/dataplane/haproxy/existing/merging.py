"""lbctl's rules put into an HAProxy config that is there already: every other line stays as it is. Pure.

In a frontend all of whose requests are a service's, the lines that choose its backends become comments, and the
rendered rules take their place. Where it serves several, its own conditions first say which service a request is of,
and lbctl's choice stands before the old lines, which stay: a request that no rule of lbctl's saw goes where it always
went. What lbctl adds stands between `# lbctl:` marks, for `diff` and for people; where it stands: `placing`.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from lbctl.dataplane.haproxy.existing.binding import STATE_FILE, Rendered, cut, sessionless
from lbctl.dataplane.haproxy.existing.findings import mode_of
from lbctl.dataplane.haproxy.existing.placing import place_of, refuse_unreached
from lbctl.dataplane.haproxy.existing.routing import Choice, choices
from lbctl.dataplane.haproxy.existing.sections import Document, Section, has_option
from lbctl.dataplane.haproxy.existing.swapping import like
from lbctl.dataplane.haproxy.existing.unmerging import BEGIN, END, GONE, WAS
from lbctl.dataplane.haproxy.existing.words import Reader, Unreadable
from lbctl.dataplane.haproxy.render import render
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour
from lbctl.model.topology import Address, HaproxyForm, Instance, Protocol, RequestLog, Service

OTHER = "-"
_CHOICE = re.compile(r"\s*(?:use_backend\s+\S+|default_backend\s+\S+)\s*(.*?)\s*$")
_NOWHERE = Address("127.0.0.1", 1)
_CHOOSING = frozenset({"use_backend", "default_backend"})


@dataclass(slots=True)
class _Edits:
    """What becomes of the lines of one file, counted from 1."""

    lines: list[str]
    before: dict[int, list[str]] = field(default_factory=dict)
    after: dict[int, list[str]] = field(default_factory=dict)

    def put(self, before: int, lines: Sequence[str]) -> None:
        """Put `lines` between marks before the line of that number."""
        self.before.setdefault(before, []).extend([f"    {BEGIN}", *lines, f"    {END}"])

    def text(self) -> str:
        found: list[str] = []
        for number, line in enumerate(self.lines, start=1):
            kept = () if line == GONE else (line,)
            found += [*self.before.get(number, ()), *kept, *self.after.get(number, ())]
        found += self.before.get(len(self.lines) + 1, ())
        return "\n".join(found)


def merged(
    text: str, document: Document, instance: Instance, services: Sequence[Service], log: RequestLog | None = None
) -> tuple[str, list[str]]:
    """Return the config with lbctl's lines in it, and what people must know.

    `document` is what `text` says, read alone; `text` has no lines of lbctl's, or went through `unmerged`.

    Raises:
        Garbled: a service cannot be merged so: it is called by consumers, or no frontend chooses it.
    """
    pieces: dict[str, Rendered] = {service.name: _piece(instance, service, log) for service in services}
    for service in services:
        if not _has_cookie(document, service):
            pieces[service.name].rules = [*sessionless(pieces[service.name].rules)]
    owners = {name: service for service in services if service.haproxy for name in service.haproxy.backends.values()}
    edits = _Edits(text.split("\n"))
    served: set[str] = set()
    for section in document.of("frontend", "listen"):
        mine = [choice for choice in choices(document) if choice.frontend is section]
        here = _services_of(section, mine, owners)
        served |= {service.name for service in here}
        if here:
            _frontend(edits, section, mine, here, owners, pieces, document.variables)
    if missing := [service.name for service in services if service.name not in served]:
        then = "write `default_backend` or `use_backend` with one of them where their traffic comes in, then again"
        raise Garbled(f"no frontend of this file chooses a backend of {', '.join(missing)}: {then}")
    added = [part for service in services for part in _backends(edits, document, service, pieces[service.name])]
    replaced = [text for service in services for text in _replaced(document, service, pieces[service.name])]
    return edits.text().rstrip("\n") + "\n" + "".join(added), [*_told(document, services), *replaced]


def _piece(instance: Instance, service: Service, log: RequestLog | None) -> Rendered:
    if service.consumers:
        then = "its callers need listeners of their own: include what `lbctl config render haproxy` prints, whole"
        raise Garbled(f"{service.name} has consumers, and cannot be put into a frontend of yours: {then}")
    listening = service if service.listen is not None else replace(service, listen=_NOWHERE)
    return cut(render(instance, [listening], log))


def _has_cookie(document: Document, service: Service) -> bool:
    """Whether a cookie binds users to its servers, or will in a backend that is to be added."""
    if service.haproxy is None or service.protocol is Protocol.TCP:
        return True
    names = set(service.haproxy.backends.values())
    there = [section for section in document.of("backend", "listen") if section.name in names]
    return not there or any(section.inherited("cookie") for section in there)


def _services_of(section: Section, mine: Sequence[Choice], owners: Mapping[str, Service]) -> list[Service]:
    found = [owners[choice.target] for choice in mine if choice.target in owners]
    found += [owners[section.name]] if section.kind == "listen" and section.name in owners else []
    return list({service.name: service for service in found}.values())


def _frontend(
    edits: _Edits,
    section: Section,
    mine: Sequence[Choice],
    here: Sequence[Service],
    owners: Mapping[str, Service],
    pieces: Mapping[str, Rendered],
    variables: Mapping[str, str],
) -> None:
    """Put the rules of `here` into one frontend."""
    refuse_unreached(section, mine, owners)
    ours = [choice for choice in mine if choice.target in owners]
    always = section.name in owners or any(not choice.condition for choice in ours)
    guarded = len(here) > 1 or len(ours) < len(mine) or not always
    at = place_of(edits.lines, section, mine if guarded else ())
    block: list[str] = []
    if mode_of(section) == "http" and not has_option(section, "idle-close-on-response"):
        block.append("    option idle-close-on-response")
    block += list(dict.fromkeys(line for service in here for line in pieces[service.name].logging))
    if guarded:
        block += [edits.lines[number - 1] for number in at.acls]
        block += _which(edits, section, mine, owners, variables)
    lines = [
        _guarded(line, service.name) if guarded else line for service in here for line in pieces[service.name].rules
    ]
    kept, chosen = _parted(line for line in lines if line.split() != ["default_backend", section.name])
    block += kept
    if not guarded:
        _commented(edits, section, ours)
    if at.rules == at.choices:
        edits.put(at.rules, [*block, *chosen])
    else:
        edits.put(at.rules, block)
        edits.put(at.choices, chosen)


def _parted(lines: Iterable[str]) -> tuple[list[str], list[str]]:
    """Return rules and choices; a comment goes with the line that it stands above."""
    found: dict[bool, list[str]] = {False: [], True: []}
    above: list[str] = []
    for line in (one for one in lines if one.strip()):
        if line.strip().startswith("#"):
            above.append(line)
        else:
            found[line.split(maxsplit=1)[0] in _CHOOSING] += [*above, line]
            above = []
    return found[False], found[True]


def _commented(edits: _Edits, section: Section, ours: Sequence[Choice]) -> None:
    """Where every request is the service's, nothing is left for the old lines to choose."""
    own = {line.place.line for line in section.lines}
    for number in (choice.line.place.line for choice in ours):
        if number in own:
            edits.lines[number - 1] = f"    {WAS}{edits.lines[number - 1].strip()}"


def _which(
    edits: _Edits, section: Section, mine: Sequence[Choice], owners: Mapping[str, Service], variables: Mapping[str, str]
) -> Iterator[str]:
    """Say of each request which service it is of. The first line that fits counts, so it is written last."""
    rule = "http-request" if mode_of(section) == "http" else "tcp-request content"
    if section.kind == "listen" and section.name in owners:
        yield f"    {rule} set-var(txn.lb_service) str({owners[section.name].name})"
    for choice in reversed(mine):
        owner = owners.get(choice.target)
        name = owner.name if owner else OTHER
        condition = _condition(edits.lines[choice.line.place.line - 1], choice, variables) if choice.condition else ""
        yield f"    {rule} set-var(txn.lb_service) str({name}){condition}"


def _condition(raw: str, choice: Choice, variables: Mapping[str, str]) -> str:
    """Return the condition as it is written. Raises Garbled rather than to take over another one."""
    found = _CHOICE.fullmatch(raw)
    with suppress(Unreadable):
        if found is not None and tuple(Reader(variables).words(found[1])) == choice.condition:
            return f" {found[1]}"
    raise Garbled(f"{choice.line.place}: the condition of this `use_backend` cannot be told from its name: quote less")


def _guarded(line: str, name: str) -> str:
    """Return a rendered line for requests of one service only; all its conditions are joined by `and`."""
    if not line.strip() or line.strip().startswith("#"):
        return line
    guard = f"{{ var(txn.lb_service) -m str {name} }}"
    if line.split(maxsplit=1)[0] == "default_backend":
        line = line.replace("default_backend", "use_backend", 1)
    return f"{line} {guard}" if " if " in line else f"{line} if {guard}"


def _backends(edits: _Edits, document: Document, service: Service, piece: Rendered) -> Iterator[str]:
    """Yield the sections that are missing; what a shared backend needs for its weights goes into it."""
    assert service.haproxy is not None
    there = {section.name: section for section in document.of("backend", "listen")}
    names = service.haproxy.backends
    for colour in Colour:
        other = there.get(names[colour.other])
        if names[colour] not in there and other is not None and other.kind == "backend":
            piece.backends[names[colour]] = like(edits.lines, other, service, colour)
    for name, text in piece.backends.items():
        if name not in there:
            yield f"\n{BEGIN}{text.rstrip()}\n{END}\n"
    shared = there.get(names[Colour.BLUE]) if service.haproxy.form is HaproxyForm.WEIGHTS else None
    if shared is not None:
        _one_state_file(edits, shared, piece)


def _one_state_file(edits: _Edits, shared: Section, piece: Rendered) -> None:
    """Put lbctl's lines into a shared backend. Those that are there without marks are a person's, or of an older merge:
    of two of a kind the last one would count."""
    for line in shared.own(*STATE_FILE):
        old = edits.lines[line.place.line - 1].strip()
        edits.lines[line.place.line - 1] = GONE if line.words in _words(piece) else f"    {WAS}{old}"
    edits.after[shared.place.line] = [f"    {BEGIN}", *piece.state_file, f"    {END}"]


def _words(piece: Rendered) -> set[tuple[str, ...]]:
    return {tuple(line.split()) for line in piece.state_file}


def _replaced(document: Document, service: Service, piece: Rendered) -> Iterator[str]:
    """Yield each line of a shared backend that lbctl's own takes the place of, unless it says the same."""
    assert service.haproxy is not None
    names = set(service.haproxy.backends.values()) if service.haproxy.form is HaproxyForm.WEIGHTS else ()
    for section in (one for one in document.of("backend", "listen") if one.name in names):
        for line in (one for one in section.own(*STATE_FILE) if one.words not in _words(piece)):
            text = f"`{' '.join(line.words)}` gives way: the weights of {service.name} are in a file of lbctl's"
            yield f"{line.place}: {text}"


def _told(document: Document, services: Sequence[Service]) -> Iterator[str]:
    for remark in document.not_understood:
        yield f"{remark.place}: not looked at: {remark.text}"
    for choice in choices(document):
        if choice.may_name(_pools(services)) and _serves(choice.frontend, document, services):
            text = f"`use_backend {choice.target}` may name a pool itself, past the split: leave pools out of it"
            yield f"{choice.line.place}: {text}"
    for service in services:
        both = [*_by_hand(document, service)]
        yield from both
        if not both:
            yield f"{service.name}: nothing moves by it: the map says what was true before"


def _serves(section: Section, document: Document, services: Sequence[Service]) -> bool:
    names = _pools(services)
    return any(choice.target in names for choice in choices(document) if choice.frontend is section)


def _pools(services: Sequence[Service]) -> set[str]:
    return {name for service in services if service.haproxy for name in service.haproxy.backends.values()}


def _by_hand(document: Document, service: Service) -> Iterator[str]:
    """Yield each old line that chose one of the two pools by a condition of its own: from now on the map alone does."""
    assert service.haproxy is not None
    names = set(service.haproxy.backends.values())
    mine = [choice for choice in choices(document) if choice.target in names]
    for choice in mine:
        others = {one.target for one in mine if one.frontend is choice.frontend}
        if len(others) > 1 and choice.condition:
            text = f"`{' '.join(choice.line.words)}` chose the pool by itself, and the map alone does it now"
            yield f"{choice.line.place}: {service.name}: {text}: is that what you want?"
