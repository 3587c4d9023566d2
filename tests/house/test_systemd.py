"""The unit files, checked by systemd's own tools without a booted systemd."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lbctl.daemon.message_ids import MESSAGE_IDS
from lbctl.model.entry import Kind

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


def test_a_call_that_the_sandbox_refuses_is_an_error_and_no_death() -> None:
    assert "SystemCallErrorNumber=EPERM" in UNIT.read_text().splitlines()


def drop_in() -> str:
    """What the documentation says to add for forced closing behind Envoy."""
    text = (UNITS.parent / "docs" / "how-to" / "systemd.md").read_text()
    found = re.search(r"```\n(\[Service\]\nCapabilityBoundingSet=.*?)```", text, re.DOTALL)
    assert found
    return found[1]


def capabilities(text: str, key: str) -> set[str]:
    """What a unit has under this key."""
    return {word for line in re.findall(rf"^{key}=(.*)$", text, re.MULTILINE) for word in line.split()}


def test_with_the_drop_in_for_closing_lbctl_may_do_at_least_what_envoy_may() -> None:
    for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
        envoys, ours = capabilities(ENVOY.read_text(), key), capabilities(drop_in(), key)
        assert envoys < ours, "else the kernel does not tell lbctl which connections are Envoy's"
        assert "CAP_NET_ADMIN" in ours
    for key in ("User", "Group"):
        assert capabilities(ENVOY.read_text(), key) == capabilities(UNIT.read_text(), key)


def test_with_the_drop_in_the_unit_exposes_no_more_than_documented(analyze: str, tmp_path: Path) -> None:
    edited = tmp_path / UNIT.name
    plain = re.sub(r"(?m)^(CapabilityBoundingSet|AmbientCapabilities)=.*\n", "", UNIT.read_text())
    edited.write_text(plain.replace("[Service]\n", drop_in(), 1))
    command = [analyze, "security", "--offline=yes", str(edited)]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"exposure level for .*: ([0-9.]+)", said.stdout)
    assert found, said.stdout[-500:] + said.stderr
    documented = re.search(
        r"security` then gives ([0-9][.][0-9])", (UNITS.parent / "docs/how-to/systemd.md").read_text()
    )
    assert documented
    assert found[1] == documented[1]


def test_the_unit_never_hides_who_the_peers_are() -> None:
    text = UNIT.read_text()
    assert "PrivateUsers" not in text, "it would turn every peer into nobody, and authorisation with it"
    assert "ProcSubset" not in text
    assert not re.search(r"^ProtectProc=", text, re.MULTILINE), "it would hide as whom the peers logged in"


def test_envoy_and_lbctl_never_end_with_each_other() -> None:
    for unit, other in ((UNIT, "lbctl-envoy"), (ENVOY, "lbctl.service")):
        for word in ("Requires", "BindsTo", "PartOf", "Upholds", "PropagatesStopTo"):
            assert not re.search(rf"^{word}=.*{re.escape(other)}", unit.read_text(), re.MULTILINE)


def test_no_unit_of_lbctl_leaves_a_core_file_with_secrets_in_it() -> None:
    assert "LimitCORE=0\n" in UNIT.read_text()


def test_systemd_explains_every_kind_of_event_by_its_number(tmp_path: Path) -> None:
    journalctl = shutil.which("journalctl")
    if journalctl is None:
        pytest.skip("journalctl is not installed here")
    there = tmp_path / "usr/lib/systemd/catalog"
    there.mkdir(parents=True)
    (tmp_path / "var/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(UNITS / "lbctl.catalog", there)
    asked = [journalctl, "--root", str(tmp_path)]
    done = subprocess.run([*asked, "--update-catalog"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = subprocess.run([*asked, "--dump-catalog"], capture_output=True, text=True, timeout=60, check=True).stdout
    entries = {one.split("\n", 1)[0]: one for one in told.split("-- ")[1:]}
    assert set(entries) == set(MESSAGE_IDS.values())
    assert len(entries) == len(Kind)
    assert "lbctl why NUMBER" in entries[MESSAGE_IDS[Kind.HOLD_PAGED]]


def test_a_number_once_given_to_a_kind_stays() -> None:
    known = {
        Kind.ROLLBACK_STARTED: "3e02f5f50c925c7ca6f03968fc05e4c5",
        Kind.HOLD_PAGED: "c530aaf40bb4565b8ac8a4a8a2554660",
        Kind.RELEASE_FINISHED: "d16d1d92b63c5b50b9611d1b2a854e11",
    }
    assert {kind: MESSAGE_IDS[kind] for kind in known} == known
