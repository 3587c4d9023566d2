"""The Debian package on a booted systemd: installed, used, restarted, upgraded and removed in mid-release, purged."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.booted.machine import boot, overlay, why_not

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "it can be booted"),
]


def test_a_package_is_installed_used_upgraded_in_mid_release_removed_and_purged(tmp_path: Path) -> None:
    given = shutil.copytree(HERE / "given", tmp_path / "given")
    command = [ROOT / "deploy/deb/build.sh", tmp_path / "deb"]
    built = subprocess.run(command, env=_environ(), capture_output=True, text=True, check=True)
    shutil.copy(built.stdout.strip(), given / "lbctl.deb")
    with overlay(tmp_path / "overlay") as root:
        out = boot(root, given, "guest.sh", 400)
    print(out)
    assert out.rstrip().endswith("all done"), out + _tail(given / "err") + _tail(given / "console")


def _environ() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PIP": f"{sys.executable} -m pip", "HOME": str(Path.home())}


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-30:]) if path.exists() else ""
