"""Whether every server of the candidate runs the version that the release names. Pure.

A deploy that missed one server of seven looks healthy and answers well, until a user meets it. So the servers are
asked themselves, and none is taken on trust: not one that was asked long ago, nor one whose answer is older than the
proof that nobody reaches it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from lbctl.model.attested import UNKNOWN
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.record import Phase
from lbctl.model.topology import Service
from lbctl.model.units import Span, seconds, since

if TYPE_CHECKING:
    from lbctl.core.situation import Situation

FRESH = Span(10_000)
"""An answer older than this says nothing about now: a server may have been deployed to since."""
NAMED_MAX = 3
"""Servers that a sentence names; the others are counted."""


def attests(service: Service, version: str) -> bool:
    """Whether servers are asked for their version: the config says how, and the release names one to compare with."""
    return service.version is not None and version != UNKNOWN


class Heard(Protocol):
    """What a server named as its version; None: none, and why."""

    @property
    def version(self) -> str | None: ...

    @property
    def why(self) -> str: ...


def contradicted(service: Service, colour: Colour, version: str, heard: Mapping[ServerName, Heard]) -> str:
    """Return which servers of a pool say that they run something else than `version`; empty if none of those who
    were asked does. For people: what stops a release is asked for anew in its preflight."""
    if not attests(service, version):
        return ""
    servers = service.pool(colour).servers
    others = [
        f"{one.name} says {said.version}" if said.version else f"{one.name} names none ({said.why})"
        for one in servers
        if (said := heard.get(one.name)) is not None and said.version != version
    ]
    if not others:
        return ""
    more = f", and {len(others) - NAMED_MAX} more" if len(others) > NAMED_MAX else ""
    count = f"{len(others)} of {len(servers)} servers of {colour} do not say {version}"
    return f"{count}: {', '.join(others[:NAMED_MAX])}{more}"


def nameless(service: Service, version: str) -> None:
    """Raises:
    Refused: the servers are asked for their version, and this names none to compare with.
    """
    if service.version is not None and version == UNKNOWN:
        what = f"version {UNKNOWN} of {service.name} is none: its servers are asked for theirs (`version:`)"
        raise Refused("no_version", what, why="nothing could be compared with it", then="name the version they say")


def unattested(now: "Situation") -> str:
    """Return which candidate servers do not say the release's version, and what they say; empty if all do.

    Before first traffic it speaks only once the pins are proved, and only of answers given since.
    """
    if now.release.phase is Phase.PREFLIGHT and now.reached_since is None:
        return ""
    return "; ".join(filter(None, (_pool(now, name) for name in now.release.members)))


def _pool(now: "Situation", name: ServiceName) -> str:
    service, member = now.services[name], now.release.members[name]
    if not attests(service, member.version):
        return ""
    servers = [server.name for server in service.pool(member.to).servers]
    others = [text for server in servers if (text := _otherwise(now, name, server, member.version))]
    if not others:
        return ""
    whose = f" of {name}" if now.release.followers else ""
    more = f", and {len(others) - NAMED_MAX} more" if len(others) > NAMED_MAX else ""
    count = f"{len(servers) - len(others)} of {len(servers)} candidate servers{whose} say {member.version}"
    return f"{count}: {', '.join(others[:NAMED_MAX])}{more}"


def _otherwise(now: "Situation", name: ServiceName, server: ServerName, version: str) -> str:
    """Return what this server said instead; empty if it said the version."""
    said = now.attested.get((name, server))
    if said is None or _before_proof(now, said.taken_at):
        return f"{server} was not asked yet"
    if said.version is None:
        return f"{server} names none ({said.why})"
    if said.version != version:
        return f"{server} says {said.version}"
    age = since(said.taken_at, now.at)
    return f"{server} was last asked {seconds(age)} ago" if age > FRESH else ""


def _before_proof(now: "Situation", taken_at: int) -> bool:
    return now.release.phase is Phase.PREFLIGHT and now.reached_since is not None and taken_at < now.reached_since
