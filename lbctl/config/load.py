"""Read a config file: every fault at once, or a config that is whole."""

import errno
import hashlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from lbctl.config import build
from lbctl.config.accounts import Accounts
from lbctl.config.across import settled
from lbctl.config.composite import Values
from lbctl.config.fault import ConfigError, Fault, Mark
from lbctl.config.hosts import Names, Resolve, system_resolve
from lbctl.config.nodes import Malformed
from lbctl.config.place import Place, Scope
from lbctl.config.receivers import alerts_of
from lbctl.config.schema import ROOT
from lbctl.config.settings import Config
from lbctl.config.settle import settle
from lbctl.config.source import SIZE_MAX
from lbctl.config.yaml import read

_THEN = {errno.ENOENT: "check the path", errno.EACCES: "let this user read it"}

__all__ = ["Config", "ConfigError", "load", "load_text"]


def load(
    path: str | Path,
    *,
    uid: int,
    environ: Mapping[str, str],
    resolve: Resolve = system_resolve,
    accounts: Accounts | None = None,
    read_secrets: bool = True,
) -> Config:
    """Read the config at `path` as it is for a daemon of user `uid`.

    Blocks: it reads files and may wait a few seconds for a name server, so an event loop calls it in a thread.
    `read_secrets` False leaves secrets empty, for a check where they are not at hand. Nothing is created.

    Raises:
        ConfigError: it cannot be used; `render()` gives every fault with its place and the next step.
    """
    file = os.fspath(path)
    try:
        raw = _bytes(file)
    except OSError as error:
        raise ConfigError(file, [_unreadable(error)]) from None
    return load_text(file, raw, uid=uid, environ=environ, resolve=resolve, accounts=accounts, read_secrets=read_secrets)


def load_text(
    file: str,
    raw: bytes,
    *,
    uid: int,
    environ: Mapping[str, str],
    resolve: Resolve = system_resolve,
    accounts: Accounts | None = None,
    read_secrets: bool = True,
) -> Config:
    """As `load`, for text that is already read; `file` is its name in messages, and relative paths start beside it."""
    scope = Scope(
        base=os.path.dirname(os.path.abspath(file)),
        environ=environ,
        names=Names(resolve),
        accounts=accounts or Accounts(),
        read_secrets=read_secrets,
    )
    root = _values(file, raw, scope, uid)
    return Config(
        path=os.path.abspath(file),
        topology=build.topology(root),
        daemon=build.daemon(root),
        alerts=alerts_of(root["alerts"]),
        access=build.access(root),
        warnings=tuple(fault.render(file) for fault in sorted(set(scope.warnings))),
        digest=hashlib.sha256(raw).hexdigest(),
        places=scope.places,
        effective=ROOT.show(root),
    )


def _values(file: str, raw: bytes, scope: Scope, uid: int) -> Values:
    try:
        node, faults = read(raw)
    except Malformed as error:
        raise ConfigError(file, [error.fault]) from None
    scope.faults.extend(faults)
    root = ROOT.read(node, Place("", node.mark, scope))
    if isinstance(root, Values):
        settle(root, uid)
        settled(root)
    if scope.faults or not isinstance(root, Values):
        raise ConfigError(file, scope.faults)
    return root


def _bytes(file: str) -> bytes:
    """Read a regular file, one byte more than allowed at most; a pipe or device in its place cannot stop us."""
    handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    with os.fdopen(handle, "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise OSError(0, "not a regular file")
        return stream.read(SIZE_MAX + 1)


def _unreadable(error: OSError) -> Fault:
    then = _THEN.get(error.errno or 0, "give a regular file")
    return Fault(Mark(), "", f"cannot be read: {error.strerror}", then)
