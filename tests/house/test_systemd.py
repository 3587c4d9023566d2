"""The unit files, checked by systemd's own tools without a booted systemd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "systemd"
UNIT = UNITS / "lbctl.service"
ENVOY = UNITS / "lbctl-envoy.service"
SOCKET = UNITS / "lbctl.socket"
EXPOSURE_MAX = {UNIT: 1.5, ENVOY: 2.5}
each_unit = pytest.mark.parametrize("unit", list(EXPOSURE_MAX), ids=lambda unit: str(unit.name))


@pytest.fixture(name="analyze")
def _analyze() -> str:
    found = shutil.which("systemd-analyze")
    if found is None:
        pytest.skip("systemd-analyze is not installed here")
    return found


@each_unit
def test_a_unit_exposes_no_more_than_promised(analyze: str, unit: Path) -> None:
    said = subprocess.run(
        [analyze, "security", "--offline=yes", str(unit)], capture_output=True, text=True, check=False
    )
    found = re.search(rf"exposure level for {re.escape(unit.name)}: ([0-9.]+)", said.stdout)
    assert found, said.stdout[-500:] + said.stderr
    assert float(found[1]) <= EXPOSURE_MAX[unit]


@pytest.mark.parametrize("unit", [UNIT, ENVOY, SOCKET], ids=lambda unit: str(unit.name))
def test_every_line_of_a_unit_is_known_to_systemd(analyze: str, unit: Path) -> None:
    said = subprocess.run([analyze, "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False)
    unknown = [line for line in said.stderr.splitlines() if "Unknown" in line or "Failed to parse" in line]
    assert not unknown


def test_the_unit_never_hides_who_the_peers_are() -> None:
    text = UNIT.read_text()
    assert "PrivateUsers" not in text, "it would turn every peer into nobody, and authorisation with it"
    assert "ProcSubset" not in text
    assert not re.search(r"^ProtectProc=", text, re.MULTILINE), "it would hide as whom the peers logged in"


def test_envoy_and_lbctl_never_end_with_each_other() -> None:
    for unit, other in ((UNIT, "lbctl-envoy"), (ENVOY, "lbctl.service")):
        for word in ("Requires", "BindsTo", "PartOf", "Upholds", "PropagatesStopTo"):
            assert not re.search(rf"^{word}=.*{re.escape(other)}", unit.read_text(), re.MULTILINE)
