"""The unit file, checked by systemd's own tools without a booted systemd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "lbctl.service"
EXPOSURE_MAX = 1.5


@pytest.fixture(name="analyze")
def _analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed here")
    return found


def test_the_unit_exposes_no_more_than_promised(analyze: str) -> None:
    said = subprocess.run(
        [analyze, "security", "--offline=yes", str(UNIT)], capture_output=True, text=True, check=False
    )
    found = re.search(r"exposure level for lbctl\.service: ([0-9.]+)", said.stdout)
    assert found, said.stdout[-500:] + said.stderr
    assert float(found[1]) <= EXPOSURE_MAX


def test_every_line_of_the_unit_is_known_to_systemd(analyze: str) -> None:
    said = subprocess.run([analyze, "verify", "--man=no", str(UNIT)], capture_output=True, text=True, check=False)
    unknown = [line for line in said.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line]
    assert not unknown


def test_the_unit_never_hides_who_the_peers_are() -> None:
    text = UNIT.read_text()
    assert "PrivateUsers" not in text, "it would turn every peer into nobody, and authorisation with it"
    assert "ProcSubset" not in text
