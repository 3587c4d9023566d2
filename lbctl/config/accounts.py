"""Users and groups of this host."""

import grp
import pwd
from collections.abc import Callable
from dataclasses import dataclass

NOBODY = 65_534
"""`nobody` and `nogroup`: what a foreign user namespace turns everybody into. It is never given a role."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a role is given to: a user or a group, by number. `text` is as configured: `group ci-accounts`."""

    is_group: bool
    id: int
    text: str


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _gid(name: str) -> int | None:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return None


@dataclass(frozen=True, slots=True)
class Accounts:
    """How names of users and groups become numbers; None: this host knows no such name."""

    uid_of: Callable[[str], int | None] = _uid
    gid_of: Callable[[str], int | None] = _gid
