"""The Debian package on a booted systemd: installed, used, restarted, upgraded and removed in mid-release, purged."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lbctl.about import VERSION
from tests.booted.machine import boot, overlay, why_not

NEXT = f"{VERSION}.1"
HERE = Path(__file__).parent
ROOT = HERE.parents[1]
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be booted"),
]


def test_a_package_is_installed_used_upgraded_in_mid_release_removed_and_purged(tmp_path: Path) -> None:
    given = shutil.copytree(HERE / "given", tmp_path / "given")
    first = built(tmp_path / "deb")
    shutil.copy(first, given / "lbctl.deb")
    of_version(NEXT, first, tmp_path / "next", given / "next.deb")
    with overlay(tmp_path / "overlay") as root:
        out = boot(root, given, "guest.sh", 400)
    print(out)
    assert out.rstrip().endswith("all done"), out + _tail(given / "err") + _tail(given / "console")


def built(out: Path) -> Path:
    """Build the package as somebody whose files nobody else may read. Returns its path."""
    command = [ROOT / "deploy/deb/build.sh", out]
    done = subprocess.run(command, env=_environ(), capture_output=True, text=True, check=True, umask=0o077)
    return Path(done.stdout.strip())


def of_version(version: str, package: Path, directory: Path, out: Path) -> None:
    """Make the same package of another version, as a build of it would: it is in `control` and in the metadata."""
    subprocess.run(["dpkg-deb", "--raw-extract", package, directory], check=True)
    (info,) = directory.glob("opt/lbctl/lib/python3*/site-packages/lbctl-*.dist-info")
    for file in (directory / "DEBIAN/control", info / "METADATA"):
        text = file.read_text()
        assert f"\nVersion: {VERSION}\n" in text
        file.write_text(text.replace(f"\nVersion: {VERSION}\n", f"\nVersion: {version}\n", 1))
    info.rename(info.with_name(f"lbctl-{version}.dist-info"))
    subprocess.run(["dpkg-deb", "-Znone", "--root-owner-group", "--build", directory, out], check=True)


def _environ() -> dict[str, str]:
    return {
        "COMPRESS": "none",
        "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
        "PIP": f"{sys.executable} -m pip",
        "HOME": str(Path.home()),
    }


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-30:]) if path.exists() else ""
