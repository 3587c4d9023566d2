"""What goes where nobody named a version: what every server of the candidate says that it runs."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from lbctl.core.attestation import NAMED_MAX, attests
from lbctl.core.state import State
from lbctl.gate.attest import Said
from lbctl.model.attested import UNKNOWN
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.topology import Service

Json = dict[str, Any]
Versions = Mapping[ServiceName, str]


class Asking(Protocol):
    """Whoever can ask a pool now."""

    async def pool(self, service: Service, colour: Colour) -> dict[ServerName, Said]:
        """Ask every server of a pool once."""


async def named(state: State, asking: Asking, versions: Versions) -> dict[ServiceName, str]:
    """Return the versions, those that nobody named as the candidate's servers name them.

    Raises:
        Refused: the servers of a candidate do not all say the same.
    """
    found = dict(versions)
    for name in _unnamed(state, versions):
        said = await asking.pool(state.topology.services[name], state.record.services[name].active.other)
        found[name] = _agreed(name, said)
    return found


def _unnamed(state: State, versions: Versions) -> Iterator[ServiceName]:
    """Yield the services to ask for: not those whose switch is refused anyway."""
    for name, version in versions.items():
        configured = state.topology.services[name].version is not None
        if version == UNKNOWN and configured and name in state.record.services and not state.record.running(name):
            yield name


def _agreed(service: ServiceName, said: Mapping[ServerName, Said]) -> str:
    version, *others = {one.version for one in said.values()}
    if version is not None and not others:
        return version
    # The fewest alike come first: of seven servers, the seventh.
    count = Counter(one.version for one in said.values())
    differing = sorted(said.items(), key=lambda pair: count[pair[1].version])
    texts = [
        f"{name} says {one.version}" if one.version else f"{name} names none ({one.why})" for name, one in differing
    ]
    more = f", and {len(texts) - NAMED_MAX} more" if len(texts) > NAMED_MAX else ""
    raise Refused(
        "not_attested",
        f"the candidate servers of {service} do not all name one version",
        why=", ".join(texts[:NAMED_MAX]) + more,
        then=f"deploy to them all, or name it: --version {service}=V in a unit, --version V alone",
    )


def unattested(service: Service, version: str) -> list[Json]:
    """Return what `plan` says where nobody compares the candidate's servers with the version."""
    if service.version is None:
        text = "no `version:` is configured: nobody asks the candidate's servers what they run"
        return [{"code": "NO_VERSION_CHECK", "text": text}]
    if not attests(service, version):
        text = "no version is named: `switch` takes the one that every candidate server says now"
        return [{"code": "VERSION_NOT_NAMED", "text": text}]
    return []


def said(state: State, service: Service, server: ServerName) -> str | None:
    """Return the version that a server named last; None: it was not asked lately, or named none."""
    heard = state.observed.attested.get((service.name, server))
    return None if heard is None else heard.version


def attested(state: State, service: Service, colour: Colour) -> dict[str, int]:
    """Return how many servers of a pool named which version last."""
    versions = (said(state, service, server.name) for server in service.pool(colour).servers)
    return dict(Counter(version for version in versions if version is not None))
