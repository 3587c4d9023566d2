"""HAProxy's sockets, and whether lbctl's user may open them: asked before lbctld runs, as root sees no trouble."""

import os
import pwd
from collections.abc import Iterator, Sequence

from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.model.topology import Instance

ADMIN = "in HAProxy's `global`: `stats socket {} mode 660 group lbctl level admin`, and a reload of HAProxy"
MASTER = (
    "where HAProxy is started, in Debian's /etc/default/haproxy: "
    '`EXTRAOPTS="-S {},mode,660,group,lbctl"`, and a restart of HAProxy'
)


def closed(instances: Sequence[Instance], state_dir: str) -> Iterator[Finding]:
    """Yield the sockets that the owner of `state_dir` may not open, as far as they can be looked at."""
    state = looked_at(state_dir)
    if state is None or state.st_uid == 0:
        return
    for instance in instances:
        for path, fix in ((instance.socket, ADMIN), (instance.master_socket, MASTER)):
            about = looked_at(path) if path else None
            if path and about is not None and not may_write(about, state.st_uid):
                yield _closed(path, about, state.st_uid, fix)


def _closed(path: str, about: os.stat_result, uid: int, fix: str) -> Finding:
    owner = f"owner {about.st_uid}, group {about.st_gid}, mode {about.st_mode & 0o777:04o}"
    what = f"uid {uid}, which lbctld runs as, may not open it ({owner})"
    return Finding("SOCKET_GROUP", Weight.FAULT, path, what, fix.format(path))


def may_write(about: os.stat_result, uid: int) -> bool:
    """Whether a user may, by the mode and by the groups of its account."""
    if about.st_uid == uid:
        return bool(about.st_mode & 0o200)
    bit = 0o020 if about.st_gid in _groups(uid) else 0o002
    return bool(about.st_mode & bit)


def _groups(uid: int) -> list[int]:
    try:
        account = pwd.getpwuid(uid)
    except KeyError:
        return []
    return os.getgrouplist(account.pw_name, account.pw_gid)


def looked_at(path: str) -> os.stat_result | None:
    """Return what the system says of a path, None where it says nothing."""
    try:
        return os.stat(path)
    except OSError:
        return None
