"""A booted systemd for a test: systemd-nspawn over an overlay of this host's root. Nothing of the host is changed."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UNIT = """[Unit]
Description=What the test does inside
Requires=multi-user.target
After=multi-user.target

[Service]
Type=oneshot
ExecStart=/bin/bash /given/{script}
ExecStopPost=/bin/systemctl --no-block poweroff
StandardOutput=file:/given/out
StandardError=file:/given/err
TimeoutStartSec={seconds}
"""
# What the host's image enables has nothing to do in there.
MASKED = (
    "systemd-udevd.service",
    "systemd-networkd.service",
    "systemd-resolved.service",
    "getty.target",
    "ssh.service",
)


def why_not() -> str:
    """Return why no systemd can be booted here; empty if one can."""
    if os.getuid() != 0:
        return "only root can boot a container"
    if shutil.which("systemd-nspawn") is None or not Path("/lib/systemd/systemd").exists():
        return "systemd-nspawn is not installed: apt-get install systemd systemd-container"
    return ""


@contextmanager
def overlay(directory: Path) -> Iterator[Path]:
    """This host's root, changed only in memory."""
    directory.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", directory], check=True)
    try:
        upper, work, root = (directory / name for name in ("upper", "work", "root"))
        for path in (upper, work, root):
            path.mkdir()
        options = f"lowerdir=/,upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
        try:
            yield root
        finally:
            subprocess.run(["umount", root], check=True)
    finally:
        subprocess.run(["umount", directory], check=True)


def boot(root: Path, given: Path, script: str, seconds: int) -> str:
    """Boot it, run `given/script` after multi-user.target, power it off; returns what was printed."""
    units = root / "etc/systemd/system"
    (units / "lbctl-test.service").write_text(UNIT.format(script=script, seconds=seconds))
    for name in MASKED:
        (units / name).unlink(missing_ok=True)
        (units / name).symlink_to("/dev/null")
    (root / "etc/machine-id").write_text("")
    command = ["systemd-nspawn", "-q", "-D", root, f"--bind={given}:/given", "--register=no", "--keep-unit"]
    command += ["--private-network", "--console=pipe", "-M", "lbctl-test", "--boot", "systemd.unit=lbctl-test.service"]
    with (given / "console").open("w") as console:
        subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, timeout=seconds + 60, check=False
        )
    return (given / "out").read_text() if (given / "out").exists() else ""
