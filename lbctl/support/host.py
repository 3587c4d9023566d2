"""The host: its system, memory and disks, systemd's view of the unit, and the journal of the unit. All bounded."""

import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Any

from lbctl.support.reading import CannotRead, Text, listed, read

Json = dict[str, Any]
UNIT = "lbctl.service"
_NAME = re.compile(r"[^A-Za-z0-9._-]")
"""What ends the name in a requirement."""
PROGRAM_S = 15
LINES = 5_000
SHOWN = (
    "Id,ActiveState,SubState,Result,MainPID,NRestarts,ExecMainStartTimestamp,ExecMainStatus,FragmentPath,DropInPaths,"
    "MemoryCurrent,MemoryPeak,TasksCurrent,LimitNOFILE,User,Group,SupplementaryGroups,WatchdogUSec,UnitFileState"
)
PROC = (
    "loadavg",
    "meminfo",
    "uptime",
    "sys/net/unix/max_dgram_qlen",
    "sys/net/core/rmem_max",
    "sys/kernel/random/boot_id",
)


def versions() -> Json:
    """Return who is here, in which version."""
    return {
        "python": sys.version,
        "kernel": " ".join(platform.uname()),
        "os": _said("/etc/os-release"),
        "packages": dict(_packages()),
        "haproxy": _first(["haproxy", "-v"]),
        "systemd": _first(["systemctl", "--version"]),
    }


def _packages() -> Iterator[tuple[str, str]]:
    for wish in requires("lbctl") or ():
        name = _NAME.split(wish, maxsplit=1)[0]
        try:
            yield name, version(name)
        except PackageNotFoundError:
            continue


def system(directories: Sequence[str]) -> Text:
    """Return the host's load, memory and limits, and what is in lbctl's own directories and on their disks."""
    parts = [f"== /proc/{name}\n{_said(f'/proc/{name}')}" for name in PROC]
    lists = [(directory, listed(directory)) for directory in directories]
    for directory, names in lists:
        parts.append(f"== {directory}\n{names.text}")
        parts.append(_disk(directory))
    return Text("\n".join(parts), "; ".join(names.lack for _, names in lists if names.lack))


def process(pid: int) -> str:
    """Return what the kernel says of the daemon's process."""
    return "\n".join(f"== {name}\n{_said(f'/proc/{pid}/{name}')}" for name in ("status", "limits", "stat"))


def unit() -> str:
    """Return systemd's view of the unit, without its environment."""
    return _run(["systemctl", "show", UNIT, "--no-pager", f"--property={SHOWN}"])


def credentials() -> dict[str, str]:
    """Return the files behind the unit's credentials, by name; nothing where there is no systemd."""
    try:
        lines = _run(["systemctl", "show", UNIT, "--no-pager", "--property=LoadCredential"]).splitlines()
    except CannotRead:
        return {}
    pairs = [line.removeprefix("LoadCredential=").partition(":") for line in lines]
    return {name: path for name, colon, path in pairs if colon}


def journal() -> str:
    """Return the newest lines of the unit's journal."""
    return _run(["journalctl", f"--unit={UNIT}", f"--lines={LINES}", "--no-pager", "--output=short-iso-precise"])


def _disk(path: str) -> str:
    try:
        found = os.statvfs(path)
    except OSError as error:
        return f"{path}: {error.strerror}\n"
    size = found.f_frsize
    return f"{path}: {found.f_bavail * size} of {found.f_blocks * size} bytes free, {found.f_favail} inodes\n"


def _said(path: str) -> str:
    try:
        return read(path, 64 << 10, follow=True).decode("utf-8", "backslashreplace")
    except CannotRead as error:
        return str(error)


def _first(argv: Sequence[str]) -> str:
    try:
        return _run(argv).partition("\n")[0]
    except CannotRead as error:
        return str(error)


def _run(argv: Sequence[str]) -> str:
    """Return what a program prints.

    Raises:
        CannotRead: it is not there, fails, or takes too long; the text says which.
    """
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "SYSTEMD_COLORS": "0"}
    try:
        done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, env=environment, timeout=PROGRAM_S,
                              check=False)  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CannotRead(f"{argv[0]}: {getattr(error, 'strerror', None) or error}") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise CannotRead(f"{argv[0]} ended with {done.returncode}: {said}")
    return done.stdout.decode("utf-8", "backslashreplace")
