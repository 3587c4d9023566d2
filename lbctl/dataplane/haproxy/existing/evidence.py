"""Whether two pools that names alone tell apart are really one service's: what speaks against it, by line. Pure.

Names are a hint. Two backends are colours only if the same request could be sent to either of them: never by Host, path
or address; a standby is none; and `a`/`b` or `old`/`new` say nothing while both take traffic.
"""

import re
from collections.abc import Iterator, Sequence

from lbctl.dataplane.haproxy.existing import reach
from lbctl.dataplane.haproxy.existing.asrunning import weight_of
from lbctl.dataplane.haproxy.existing.colours import Found
from lbctl.dataplane.haproxy.existing.routing import Choice
from lbctl.dataplane.haproxy.existing.sections import Line, Remark, Section
from lbctl.dataplane.haproxy.existing.servers import Server
from lbctl.model.names import Colour

CERTAIN = frozenset({("blue", "green"), ("stable", "canary")})
"""Words that nobody gives to two things that are used at the same time for different users."""
_REQUEST = ("mode", "http-request", "tcp-request", "redirect", "filter", "use-fcgi-app", "http-send-name-header")
_ROLE = re.compile(r"\b(role|master|primary|leader|replica|slave|standby|in_recovery)\b", re.IGNORECASE)
_ROUTES = re.compile(
    r"(req[._])?f?hdr\w*\(host\b.*|.*sni.*|path.*|url(?!_?p).*|base.*|dst.*|so_id.*|capture\.req\.uri.*|method",
    re.IGNORECASE,
)


def doubts(one: Found, every: Sequence[Choice]) -> Iterator[Remark]:
    """Yield every reason why these two pools may not be colours of one service; `every` are all choices."""
    if one.single:
        return
    yield from _standby(one)
    if one.shared:
        yield from _ordinary(one)
    else:
        yield from _other_rules(one)
        yield from _both_chosen(one, every)


def _standby(one: Found) -> Iterator[Remark]:
    backup = next((server for server in one.servers if "backup" in server.flags), None)
    if backup is not None:
        yield Remark(backup.place, f"{backup.name} is a `backup`: it waits for the others to fail, which is no colour")
    for section in {id(section): section for section in one.backends.values()}.values():
        for line in section.inherited("tcp-check", "http-check"):
            if "expect" in line.words and _ROLE.search(" ".join(line.words)):
                yield Remark(line.place, f"`{_text(line)}` asks which of them leads: the others get no traffic by it")


def _ordinary(one: Found) -> Iterator[Remark]:
    """Servers of one backend: `web_a` and `web_b` are what servers are called."""
    idle = [colour for colour in Colour if all(is_idle(server) for server in one.pools[colour])]
    if one.words not in CERTAIN and len(idle) != 1:
        what = f"servers of {one.first.name} that differ in {'/'.join(one.words)} take users alike"
        yield Remark(one.first.place, f"{what}: they may be one pool")


def is_idle(server: Server) -> bool:
    """Whether it takes nobody as it is configured, or only when others fail."""
    return bool({"disabled", "backup"} & server.flags) or weight_of(server) == 0


def _other_rules(one: Found) -> Iterator[Remark]:
    """What one of the two backends does to requests and the other does not."""
    lines = {colour: _rules(section, one.words) for colour, section in one.backends.items()}
    for colour, section in one.backends.items():
        other = one.backends[colour.other]
        for text, line in lines[colour].items():
            if text not in lines[colour.other]:
                yield Remark(line.place, f"`{_text(line)}` is in {section.name}, and not in {other.name}")


def _rules(section: Section, words: tuple[str, str]) -> dict[str, Line]:
    """The rules as they are whatever the pool is called."""
    own = re.compile(rf"(?<![a-z])({words[0]}|{words[1]})(?![a-z])", re.IGNORECASE)
    return {own.sub("*", " ".join(line.words)): line for line in section.inherited(*_REQUEST)}


def _both_chosen(one: Found, every: Sequence[Choice]) -> Iterator[Remark]:
    chosen = {colour: _chosen(section, every) for colour, section in one.backends.items()}
    blue, green = chosen[Colour.BLUE], chosen[Colour.GREEN]
    if one.words not in CERTAIN:
        yield from _weak(one, blue, green, every)
    elif blue and green:
        for frontend in {id(choice.frontend): choice.frontend for choice in [*blue, *green]}.values():
            yield from _apart(one, _of(frontend, blue), _of(frontend, green))


def _chosen(section: Section, every: Sequence[Choice]) -> list[Choice]:
    own = [Choice(Line(section.place, ("listen", section.name)), section, section.name, ())]
    mine = [choice for choice in every if choice.target == section.name]
    return [*mine, *(own if section.kind == "listen" else [])]


def _of(frontend: Section, chosen: Sequence[Choice]) -> list[Choice]:
    return [choice for choice in chosen if choice.frontend is frontend]


def _weak(one: Found, blue: Sequence[Choice], green: Sequence[Choice], every: Sequence[Choice]) -> Iterator[Remark]:
    pools = [section.name for section in one.backends.values()]
    names = " and ".join(pools)
    words = "/".join(one.words)
    if blue and green:
        what = f"{names} both get traffic ({blue[0].line.place}, {green[0].line.place}), and {words} alone is no colour"
        yield Remark(green[0].line.place, what)
    elif computed := next((choice for choice in every if choice.may_name(pools)), None):
        what = f"which of {names} gets traffic is computed here, and {words} alone is no colour"
        yield Remark(computed.line.place, what)


def _apart(one: Found, blue: Sequence[Choice], green: Sequence[Choice]) -> Iterator[Remark]:
    """In one frontend: whether what tells them apart is who or what a request is for."""
    if not blue or not green:
        (here, there) = (Colour.BLUE, Colour.GREEN) if blue else (Colour.GREEN, Colour.BLUE)
        first = [*blue, *green][0]
        what = f"{first.frontend.kind} {first.frontend.name} chooses {one.backends[here].name}, and never "
        yield Remark(first.line.place, f"{what}{one.backends[there].name}, which gets traffic elsewhere")
    elif not any(_alike(left, right) for left in blue for right in green):
        what = f"`{_text(blue[0].line)}` and `{_text(green[0].line)}` are for different requests"
        yield Remark(green[0].line.place, what)


def _alike(left: Choice, right: Choice) -> bool:
    """Whether only things that do not say what a request is for make one or the other of the two be chosen."""
    words = [set(choice.condition) for choice in (left, right)]
    looks = [set(reach.looks(choice.condition, choice.frontend)) for choice in (left, right)]
    if words[0] <= words[1] or words[1] <= words[0]:
        return not any(_ROUTES.fullmatch(one) for one in looks[0] ^ looks[1])
    return not any(_ROUTES.fullmatch(one) for one in looks[0] | looks[1])


def _text(line: Line) -> str:
    return " ".join(line.words)[:100]
