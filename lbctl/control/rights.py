"""Who may do what. Pure: facts about the peer in, a refusal that names the way out or nothing."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum

from lbctl.config.accounts import NOBODY, Principal
from lbctl.config.settings import Access
from lbctl.control.peer import Peer
from lbctl.model.names import ServiceName


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


def role_of(peer: Peer, access: Access, services: Collection[str], own_uid: int) -> Role:
    """Return the peer's role for `services`: the gate of any of them is enough. Empty: for nothing special."""
    if peer.uid in {0, own_uid}:
        return Role.ADMIN
    if _among(peer, access.admin):
        return Role.ADMIN
    if _among(peer, access.operate):
        return Role.OPERATE
    gated = {name for name, principals in access.gate.items() if _among(peer, principals)}
    if gated & set(services):
        return Role.GATE
    return Role.OBSERVE if gated or _among(peer, access.observe) else Role.NOTHING


def authorise(peer: Peer, access: Access, need: Role, services: Collection[str], own_uid: int) -> Refusal | None:
    """Return None if the peer may, else a refusal that names the users and groups that may.

    Its `what` goes after the name of the peer, which takes a look-up.
    """
    have = role_of(peer, access, services, own_uid)
    if have >= need:
        return None
    allowed = sorted({principal.text for principal in _allowed(access, need, services)})
    who = " or ".join([*allowed, "root", f"uid {own_uid}"] if own_uid else [*allowed, "root"])
    word = need.name.lower()
    return Refusal(
        what=f"may not do this: it needs the role {word}"
        + (f" of {' or '.join(services)}" if need is Role.GATE and services else ""),
        why=f"{word} is for {who}; you have {have.name.lower()}",
        then=_way_out(allowed, need, services),
    )


def _way_out(allowed: list[str], need: Role, services: Collection[str]) -> str:
    groups = [text.removeprefix("group ") for text in allowed if text.startswith("group ")]
    if groups:
        return f"join the group {groups[0]} and log in again"
    gated = next(iter(services), None) if need is Role.GATE else None
    whom = "{group: …}" if gated is None else f"{{{gated}: {{group: …}}}}"
    return f"run it as root, or add `access: {{{need.name.lower()}: {whom}}}` to the config"


def _allowed(access: Access, need: Role, services: Collection[str]) -> tuple[Principal, ...]:
    found = access.admin
    if need <= Role.OPERATE:
        found += access.operate
    for service in services if need <= Role.GATE else ():
        found += access.gate.get(ServiceName(service), ())
    if need <= Role.OBSERVE:
        found += access.observe
    return found


def _among(peer: Peer, principals: tuple[Principal, ...]) -> bool:
    return any(
        principal.id != NOBODY and (principal.id in peer.groups if principal.is_group else principal.id == peer.uid)
        for principal in principals
    )
