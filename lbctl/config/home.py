"""Where lbctl keeps its files by default: system directories for root, the user's own for everybody else."""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Home:
    """Default directories of one user."""

    state_dir: str
    runtime_dir: str

    @property
    def control_socket(self) -> str:
        """The default control socket: the command line looks here too."""
        return os.path.join(self.runtime_dir, "control.sock")


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why a directory cannot be trusted, and the way out."""

    what: str
    then: str


def home_of(uid: int, environ: Mapping[str, str]) -> Home:
    """Return the default directories of `uid`; nothing is created. Relative XDG paths are ignored, as XDG says."""
    if uid == 0:
        return Home("/var/lib/lbctl", "/run/lbctl")
    state = _absolute(environ, "XDG_STATE_HOME") or os.path.join(_absolute(environ, "HOME") or "/", ".local/state")
    runtime = _absolute(environ, "XDG_RUNTIME_DIR")
    temporary = os.path.join(_absolute(environ, "TMPDIR") or "/tmp", f"lbctl-{uid}")  # noqa: S108
    return Home(os.path.join(state, "lbctl"), os.path.join(runtime, "lbctl") if runtime else temporary)


def _absolute(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    return os.path.normpath(value) if value.startswith("/") else ""


def directory_mode(directory: str, uid: int, environ: Mapping[str, str]) -> int:
    """Return the mode with which the control socket's directory is made: closed where `trust_fault` asks for that."""
    asked = _in_temporary(uid, environ) and directory == home_of(uid, environ).runtime_dir
    return 0o700 if asked else 0o755


def trust_fault(runtime_dir: str, uid: int, environ: Mapping[str, str]) -> Distrust | None:
    """Return why the default runtime directory under the temp folder cannot be trusted, or None.

    Anybody may make a directory there first, so it must be ours, a real directory, and closed to others.
    """
    if not _in_temporary(uid, environ):
        return None
    try:
        about = os.lstat(runtime_dir)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Distrust(f"{runtime_dir} cannot be looked at: {error.strerror}", "remove it")
    mode = stat.S_IMODE(about.st_mode)
    if not stat.S_ISDIR(about.st_mode):
        return Distrust(f"{runtime_dir} is not a directory", "remove it")
    if about.st_uid != uid:
        return Distrust(f"{runtime_dir} belongs to user {about.st_uid}, not to {uid}", "remove it")
    if mode & 0o022:
        return Distrust(f"{runtime_dir} can be written by others (mode {mode:04o})", "remove it")
    if mode & 0o077:
        # Nobody could put anything there: what it holds, the go-tokens of a release, is worth keeping.
        return Distrust(f"{runtime_dir} is open to others (mode {mode:04o})", f"chmod 700 {runtime_dir}")
    return None


def _in_temporary(uid: int, environ: Mapping[str, str]) -> bool:
    """Whether the default runtime directory is under the temp folder."""
    return uid != 0 and not _absolute(environ, "XDG_RUNTIME_DIR")
