"""A recorded release is judged again to the last digit; with other thresholds it is judged otherwise."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.app import main
from lbctl.config.load import load
from lbctl.daemon.recorder import Recorder
from lbctl.model.errors import StoreError
from lbctl.model.names import Colour, ReleaseId
from lbctl.model.topology import Plan
from lbctl.model.units import MINUTE, SECOND, Span
from lbctl.sim.rehearsal.rehearse import Stage
from lbctl.sim.rehearsal.script import Kind, Reader
from lbctl.sim.rehearsal.setting import Setting, taking_part
from lbctl.store.recording import Judged, Recordings, lines

ONE, TWO = "config/one-service.yaml", "config/two-services.yaml"
PLAN = Plan(steps_bp=(1_000, 5_000, 10_000), hold_min=Span(3 * SECOND), bake=Span(3 * SECOND), retain=SECOND)


class Recorded(Stage):
    """A rehearsal that is recorded as the daemon records a release; a kill of lbctld ends its recorder, too."""

    recorders: list[Recorder]
    directory: Path

    def tick(self) -> None:
        alive = self.alive
        Stage.tick(self)
        if self.alive and not alive:
            self.recorders.append(Recorder(Recordings(self.directory)))
        if self.alive and self.shell.state is not None:
            self.recorders[-1].keep(self.shell.state, self.now)


def recording(tmp_path: Path, config: str, target: str, **troubles: str) -> Path:
    """Record a release with these troubles, and return the file."""
    topology = load(config, uid=os.getuid(), environ=os.environ, read_secrets=False).topology
    part, carrier, followers, _ = taking_part(topology, target)
    reader = Reader(part, carrier, Colour.GREEN, len(PLAN.steps_bp))
    stage = Recorded(
        Setting(
            topology=part,
            carrier=carrier,
            followers=followers,
            active=Colour.BLUE,
            plan=PLAN,
            troubles=tuple(reader.read(Kind(kind), text) for kind, text in troubles.items()),
            watched=Span(20 * MINUTE),
        )
    )
    stage.directory = tmp_path / "recordings"
    stage.recorders = [Recorder(Recordings(stage.directory))]
    stage.play()
    return stage.directory / f"release.{ReleaseId('1')}.jsonl.gz"


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any, str]:
    code = main(["replay", *words])
    seen = capsys.readouterr()
    return code, json.loads(seen.out) if "json" in words and seen.out else seen.out, seen.err


@pytest.mark.parametrize(
    ("config", "target", "troubles"),
    [
        (ONE, "web", {"errors": "green=10%@step2"}),
        (ONE, "web", {"latency": "green=400ms@step2", "kill": "@step1+1s"}),
        (ONE, "web", {"errors": "green=20%@bake", "reload": "local@step2"}),
        (TWO, "shop", {"errors": "accounts/green=20%@step2"}),
    ],
)
def test_every_verdict_is_the_same_to_the_last_digit(
    config: str, target: str, troubles: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path, config, target, **troubles)
    code, data, _ = told(capsys, str(file), "-o", "json")
    assert (code, data["agrees"]) == (0, True)
    assert data["exact"] == data["ticks"] > 50
    assert data["turns"][-1]["verdict"] == "rollback"


def test_other_thresholds_ask_for_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = recording(tmp_path, ONE, "web", errors="green=10%@step2")
    lenient = tmp_path / "lenient.yaml"
    lenient.write_text(Path(ONE).read_text().replace("slo: 99.9%", "slo: 70%"))
    code, data, _ = told(capsys, str(file), "--thresholds", str(lenient), "-o", "json")
    assert code == 10
    assert "rollback" not in {turn["verdict"] for turn in data["turns"]}
    _, screen, _ = told(capsys, str(file), "--thresholds", str(lenient))
    assert "[recorded: rollback, errors]" in screen
    assert "✖ not every verdict asks for the same" in screen


def test_a_release_is_found_by_its_number_and_what_is_cut_short_is_judged_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = recording(tmp_path, ONE, "web", errors="green=30%@step1")
    code, whole, _ = told(capsys, "1", "--state-dir", str(tmp_path), "-o", "json")
    assert code == 0
    file.write_bytes(file.read_bytes()[:-60])
    code, cut, _ = told(capsys, str(file), "-o", "json")
    assert (code, cut["agrees"]) == (0, True)
    assert 0 < cut["ticks"] < whole["ticks"]
    assert told(capsys, "2", "--state-dir", str(tmp_path))[0] == 7


OPENING = b'{"version": %d, "lbctl": "", "release": "1", "at": 0, "settings": {}, "accounts": %s}\n'
UNOPENED = b"""{"at": 1, "steps": 0, "said": {"web": ["hold", "ok", 1]},
"samples": {"web": {"dt_s": 1.0, "share_bp": 5, "candidate": null, "active": null}}}""".replace(b"\n", b" ")
FOREIGN: dict[str, tuple[bytes, str]] = {
    "not compressed": (b"no gzip at all", "not compressed as one"),
    "no tick": (gzip.compress(b'{"at": 1}\n'), "line 1"),
    "another version": (gzip.compress(OPENING % (9, b"{}")), "version 9"),
    "no accounts": (gzip.compress(OPENING % (1, b"1")), "line 1"),
    "a damaged account": (gzip.compress(OPENING % (1, b'{"web": {}}')), "account"),
    "a long line": (gzip.compress(b"x" * 2_000_000), "longer than"),
    "no opening": (gzip.compress(UNOPENED + b"\n"), "nothing says by what"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_what_is_no_recording_is_told(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content, says = FOREIGN[name]
    file = tmp_path / "foreign"
    file.write_bytes(content)
    code, _, err = told(capsys, str(file))
    assert code == 2
    assert says in err


def test_only_the_newest_recordings_are_kept_and_foreign_files_are_left_alone(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "recordings")
    for number in range(1, 15):
        (recordings.directory / f"release.{number}.jsonl.gz").touch()
    (recordings.directory / "mine.txt").touch()
    recordings.sweep()
    left = {path.name for path in recordings.directory.iterdir()}
    assert left == {"mine.txt", *(f"release.{number}.jsonl.gz" for number in range(5, 15))}


def test_a_process_that_was_killed_leaves_a_recording_that_the_next_one_goes_on_with(tmp_path: Path) -> None:
    line, release = Judged(at=1, steps=0, samples={}, said={}), ReleaseId("7")
    recordings = [Recordings(tmp_path / "recordings") for _ in range(3)]
    for life in recordings:  # None of them is closed but the last.
        for _ in range(130):
            life.write(release, line)
    recordings[-1].close()
    assert len(list(lines(recordings[0].path(release)))) == 100 + 100 + 130


def test_a_disk_that_refuses_ends_a_recording_once_and_no_other(tmp_path: Path) -> None:
    recordings = Recordings(tmp_path / "recordings")
    recordings.path(ReleaseId("7")).mkdir()
    line = Judged(at=1, steps=0, samples={}, said={})
    refused = 0
    for _ in range(500):
        for release in (ReleaseId("7"), ReleaseId("8")):
            try:
                recordings.write(release, line)
            except StoreError:
                refused += 1
    recordings.close()
    assert refused == 1
    assert len(list(lines(recordings.path(ReleaseId("8"))))) == 500
