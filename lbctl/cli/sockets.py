"""Which control socket to speak to: the one that is named, else the user's own, else the system's."""

import os
from collections.abc import Mapping

SYSTEM = "/run/lbctl/control.sock"


def candidates(named: str | None, uid: int, environ: Mapping[str, str]) -> list[str]:
    """Return the sockets to try, best first.

    One that is named (`--socket`, else `$LBCTL_SOCKET`) is the only one: a command must never reach another daemon
    than the one that was meant.
    """
    chosen = named or environ.get("LBCTL_SOCKET")
    if chosen:
        return [os.path.abspath(chosen)]
    if uid == 0:
        return [SYSTEM]
    from lbctl.config.home import home_of, trust_fault

    home = home_of(uid, environ)
    trusted = trust_fault(home.runtime_dir, uid, environ) is None
    return [home.control_socket, SYSTEM] if trusted else [SYSTEM]
