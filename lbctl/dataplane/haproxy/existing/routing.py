"""Who sends traffic where: the frontends, what they listen at, and every line that chooses a backend. Pure."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from lbctl.dataplane.haproxy.existing.mapfiles import Maps, named
from lbctl.dataplane.haproxy.existing.sections import Document, Line, Place, Section
from lbctl.dataplane.haproxy.existing.words import UNKNOWN

_WILD = {"": "0.0.0.0", "*": "0.0.0.0", "ipv4@": "0.0.0.0", "ipv4@*": "0.0.0.0", "::": "[::]", "ipv6@": "[::]"}  # noqa: S104
_PORT = re.compile(r"[1-9][0-9]{0,4}")


@dataclass(frozen=True, slots=True)
class Bind:
    """One address that users come to. `address` empty: lbctl cannot write it."""

    place: Place
    address: str
    tls: bool


@dataclass(frozen=True, slots=True)
class Choice:
    """One line that chooses a backend. `condition` empty: always, as far as it is reached. `named`: every backend that
    a computed one may be, by its map file; None: nobody knows."""

    line: Line
    frontend: Section
    target: str
    condition: tuple[str, ...]
    named: frozenset[str] | None = None

    def may_name(self, names: Collection[str]) -> bool:
        """Whether it computes the name of one of these backends, as far as anybody knows."""
        return self.dynamic and (self.named is None or bool(self.named & set(names)))

    @property
    def dynamic(self) -> bool:
        """Whether the backend's name is computed for each request."""
        return "%[" in self.target or UNKNOWN in self.target


def choices(document: Document) -> list[Choice]:
    """Return every choice, in HAProxy's order inside each frontend: rules first, then the default."""
    return [one for section in document.of("frontend", "listen") for one in _choices(section, document.maps)]


def _choices(section: Section, maps: Maps) -> Iterator[Choice]:
    for line in section.own("use_backend"):
        if line.rest:
            yield Choice(line, section, line.rest[0], line.rest[1:], named(line.rest[0], maps))
    defaults = section.inherited("default_backend")
    if defaults and defaults[-1].rest:
        yield Choice(defaults[-1], section, defaults[-1].rest[0], ())


def binds(section: Section) -> list[Bind]:
    """Return where a frontend listens."""
    found = []
    for line in section.own("bind"):
        tls = "ssl" in line.rest
        found += [Bind(line.place, _address(one), tls) for one in (line.rest[0].split(",") if line.rest else ())]
    return found


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or UNKNOWN in text or "/" in text:
        return ""
    host = _WILD.get(host, host.removeprefix("ipv4@").removeprefix("ipv6@"))
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"
