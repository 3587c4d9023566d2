"""Which backends, or which servers of one backend, are the two pools of one service: read from their names. Pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from lbctl.dataplane.haproxy.existing.sections import Section
from lbctl.dataplane.haproxy.existing.servers import Server, servers
from lbctl.model.names import Colour

PAIRS = (("blue", "green"), ("stable", "canary"), ("old", "new"), ("a", "b"))
"""Words by which people tell two pools apart; the first one becomes blue."""
_WORD = re.compile(r"[A-Za-z]+|[0-9]+|[^A-Za-z0-9]+")


@dataclass(frozen=True, slots=True)
class Found:
    """One service as it is in HAProxy. `backends` has two sections, or one in which both or one of its pools are."""

    backends: dict[Colour, Section]
    pools: dict[Colour, list[Server]]
    stem: str
    words: tuple[str, str]
    """The two words that told the pools apart; empty where nothing did."""

    @property
    def shared(self) -> bool:
        """Whether one backend holds both pools."""
        return len({id(one) for one in self.backends.values()}) == 1 and len(self.backends) == 2

    @property
    def single(self) -> bool:
        """Whether only one pool is there."""
        return len(self.backends) == 1

    @property
    def servers(self) -> list[Server]:
        """The servers of both pools."""
        return [server for pool in self.pools.values() for server in pool]

    @property
    def first(self) -> Section:
        """The backend that is named first."""
        return self.backends[Colour.BLUE]


def found(backends: Sequence[Section]) -> list[Found]:
    """Return every backend that has servers, as part of exactly one service, in the order of the config."""
    having = [one for one in backends if servers(one)]
    pairs = {id(one): pair for pair in _pairs(having) for one in pair.backends.values()}
    done: list[Found] = []
    for section in having:
        one = pairs.get(id(section)) or _one(section)
        if not any(one is other for other in done):
            done.append(one)
    return done


def _pairs(having: Sequence[Section]) -> Iterator[Found]:
    by_name = {one.name: one for one in having}
    taken: set[str] = set()
    for words in PAIRS:
        for name, section in by_name.items():
            other = _partner(name, words)
            if other is None or other not in by_name or {name, other} & taken:
                continue
            taken |= {name, other}
            blue, green = section, by_name[other]
            yield Found(
                {Colour.BLUE: blue, Colour.GREEN: green},
                {Colour.BLUE: servers(blue), Colour.GREEN: servers(green)},
                _without(name, words[0]),
                words,
            )


def _partner(name: str, words: tuple[str, str]) -> str | None:
    """Return the name with the first word, once in it as a word of its own, changed into the second."""
    parts = _WORD.findall(name)
    places = [at for at, part in enumerate(parts) if part.lower() == words[0]]
    if len(places) != 1:
        return None
    part = parts[places[0]]
    second = words[1].upper() if part.isupper() and len(part) > 1 else words[1].title() if part.istitle() else words[1]
    parts[places[0]] = second if part != words[0].upper() else words[1].upper()
    return "".join(parts)


def _one(section: Section) -> Found:
    """One backend: both pools in it where every server's name has one of two words, else one pool."""
    every = servers(section)
    for words in PAIRS:
        halves = [[one for one in every if word in _words(one.name)] for word in words]
        if all(halves) and sum(map(len, halves)) == len(every):
            pools = dict(zip(Colour, halves, strict=True))
            return Found(dict.fromkeys(Colour, section), pools, section.name, words)
    return Found({Colour.BLUE: section}, {Colour.BLUE: every}, section.name, ("", ""))


def _words(name: str) -> list[str]:
    return [part.lower() for part in _WORD.findall(name)]


def _without(name: str, word: str) -> str:
    parts = [part for part in _WORD.findall(name) if part.lower() != word]
    return "".join(parts).strip("._-:") or name


def service_name(stem: str, taken: Iterable[str]) -> str:
    """Return a name that lbctl takes, and that no other service has."""
    base = re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("._-") or "service"
    base = re.sub(r"^(be|bk|backend|pool)[._-]+|[._-]+(be|bk|backend|pool|servers)$", "", base)[:56] or base[:56]
    if base.isdigit() or base in {"blue", "green"}:
        base = f"service-{base}"
    names = {*taken}
    return next(name for name in (base, *(f"{base}-{n}" for n in range(2, 10_000))) if name not in names)
