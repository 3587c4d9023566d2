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
    shutil.copy(built(ROOT, tmp_path / "deb"), given / "lbctl.deb")
    shutil.copy(built(of_version(NEXT, tmp_path / "next"), tmp_path / "deb"), given / "next.deb")
    with overlay(tmp_path / "overlay") as root:
        out = boot(root, given, "guest.sh", 400)
    print(out)
    assert out.rstrip().endswith("all done"), out + _tail(given / "err") + _tail(given / "console")


def built(root: Path, out: Path) -> str:
    """Build the package of a checkout, as somebody whose files nobody else may read. Returns its path."""
    command = [root / "deploy/deb/build.sh", out]
    done = subprocess.run(command, env=_environ(), capture_output=True, text=True, check=True, umask=0o077)
    return done.stdout.strip()


def of_version(version: str, directory: Path) -> Path:
    """A checkout as this one, but for its version."""
    left_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "tests", "__pycache__")
    shutil.copytree(ROOT, directory, ignore=left_out)
    text = (directory / "pyproject.toml").read_text()
    (directory / "pyproject.toml").write_text(text.replace(f'\nversion = "{VERSION}"', f'\nversion = "{version}"', 1))
    return directory


def _environ() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PIP": f"{sys.executable} -m pip", "HOME": str(Path.home())}


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-30:]) if path.exists() else ""
