"""Which control socket to speak to: the one that is named, else the user's own, else the system's."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

SYSTEM = "/run/lbctl/control.sock"


@dataclass(frozen=True, slots=True)
class Sockets:
    """The sockets to try, best first, and why the user's own is not among them (empty: it is, or it was not meant)."""

    paths: list[str]
    skipped: str = ""


def candidates(named: str | None, uid: int, environ: Mapping[str, str]) -> Sockets:
    """Return the sockets to try.

    One that is named (`--socket`, else `$LBCTL_SOCKET`) is the only one: a command must never reach another daemon
    than the one that was meant.
    """
    chosen = named or environ.get("LBCTL_SOCKET")
    if chosen:
        return Sockets([os.path.abspath(chosen)])
    if uid == 0:
        return Sockets([SYSTEM])
    from lbctl.config.home import home_of, trust_fault

    home = home_of(uid, environ)
    distrust = trust_fault(home.runtime_dir, uid, environ)
    if distrust is None:
        return Sockets([home.control_socket, SYSTEM])
    return Sockets([SYSTEM], f"{home.control_socket} ({distrust.what}: {distrust.then})")
