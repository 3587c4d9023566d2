"""Who may do what. Pure: facts about the peer in, a refusal that names the way out or nothing."""

from dataclasses import dataclass
from enum import IntEnum

from lbctl.config.accounts import Principal
from lbctl.config.settings import Access
from lbctl.control.peer import Peer
from lbctl.model.names import ServiceName

NOBODY = 65_534
"""What a foreign user namespace turns everybody into: it is never given a role."""


class Role(IntEnum):
    """What a peer may do; each includes those below. `GATE` holds for one service, and reading for all."""

    NOTHING = 0
    OBSERVE = 1
    GATE = 2
    OPERATE = 3
    ADMIN = 4


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a peer may not, and what would help."""

    what: str
    why: str
    then: str


def role_of(peer: Peer, access: Access, service: str | None, own_uid: int) -> Role:
    """Return the peer's role for `service` (None: for nothing special)."""
    if peer.uid in {0, own_uid}:
        return Role.ADMIN
    if _among(peer, access.admin):
        return Role.ADMIN
    if _among(peer, access.operate):
        return Role.OPERATE
    gated = {name for name, principals in access.gate.items() if _among(peer, principals)}
    if service in gated:
        return Role.GATE
    return Role.OBSERVE if gated or _among(peer, access.observe) else Role.NOTHING


def authorise(peer: Peer, access: Access, need: Role, service: str | None, own_uid: int) -> Refusal | None:
    """Return None if the peer may, else a refusal that names the users and groups that may."""
    have = role_of(peer, access, service, own_uid)
    if have >= need:
        return None
    allowed = sorted({principal.text for principal in _allowed(access, need, service)})
    who = " or ".join([*allowed, "root", f"uid {own_uid}"] if own_uid else [*allowed, "root"])
    word = need.name.lower()
    return Refusal(
        what=f"uid {peer.uid} may not do this: it needs the role {word}"
        + (f" of {service}" if need is Role.GATE else ""),
        why=f"{word} is for {who}; you have {have.name.lower()}",
        then=_way_out(allowed, need, service),
    )


def _way_out(allowed: list[str], need: Role, service: str | None) -> str:
    groups = [text.removeprefix("group ") for text in allowed if text.startswith("group ")]
    if groups:
        return f"join the group {groups[0]} and log in again"
    whom = f"{{{service}: {{group: …}}}}" if need is Role.GATE and service is not None else "{group: …}"
    return f"run it as root, or add `access: {{{need.name.lower()}: {whom}}}` to the config"


def _allowed(access: Access, need: Role, service: str | None) -> tuple[Principal, ...]:
    found = access.admin
    if need <= Role.OPERATE:
        found += access.operate
    if need <= Role.GATE and service is not None:
        found += access.gate.get(ServiceName(service), ())
    if need <= Role.OBSERVE:
        found += access.observe
    return found


def _among(peer: Peer, principals: tuple[Principal, ...]) -> bool:
    return any(
        principal.id != NOBODY and (principal.id in peer.groups if principal.is_group else principal.id == peer.uid)
        for principal in principals
    )
