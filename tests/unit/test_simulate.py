"""`lbctl simulate`: what people see, what programs get, and what it says to nonsense.

`UPDATE=1 pytest tests/unit/test_simulate.py` writes the screens in `simulated/` anew.
"""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.app import main
from lbctl.config.load import load
from lbctl.model.names import Colour, InstanceName
from lbctl.model.route import Route
from lbctl.model.topology import Plan
from lbctl.model.units import SECOND, Span
from lbctl.sim.rehearsal.rehearse import Stage
from lbctl.sim.rehearsal.setting import Setting, taking_part

FILES = Path(__file__).parent / "simulated"
ONE, TWO, BRIEF = "config/one-service.yaml", "config/two-services.yaml", "one-service-brief.yaml"
DEADLINES = "    deadlines: {preflight: 25s}\n    bake: 10m"
QUICK = ["--steps", "10%,50%,100%", "--hold", "5s", "--bake", "5s", "--retain", "1s", "--watched", "30m"]

SHOWN: dict[str, tuple[int, list[str]]] = {
    "all-well": (0, ["-f", ONE, *QUICK, "--rate", "30/s"]),
    "errors-at-step-2": (20, ["-f", ONE, *QUICK, "--errors", "green=5%@step2", "--seed", "7"]),
    "errors-in-both": (22, ["-f", BRIEF, *QUICK, "--errors", "candidate=10%@step2", "--errors", "active=10%@step2"]),
    "slow": (20, ["-f", ONE, *QUICK, "--latency", "green=400ms@step2"]),
    "dead": (20, ["-f", ONE, *QUICK, "--dead", "green@step2+2s"]),
    "everything-else": (
        0,
        [
            *("-f", ONE, *QUICK, "--rate", "20/s", "--reload", "local@step2", "--kill", "@step3+1s"),
            *("--unreadable", "edge/local@bake+4s", "--errors", "green=100%@1h"),
        ],
    ),
    "follower": (20, ["-f", TWO, *QUICK, "--errors", "accounts/candidate=20%@step1", "--rate", "50/s"]),
    "preflight": (21, ["-f", BRIEF, *QUICK, "--dead", "green-2"]),
}


def told(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = main(["simulate", *words])
    seen = capsys.readouterr()
    return code, seen.out, seen.err


@pytest.mark.parametrize("name", SHOWN)
def test_what_would_happen_is_shown(name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """`BRIEF` is `ONE`, but step and preflight are held for some seconds at most."""
    brief = tmp_path / BRIEF
    brief.write_text(
        Path(ONE).read_text().replace("min: 2m, max: 30m", "min: 5s, max: 10s").replace("    bake: 10m", DEADLINES)
    )
    exit_code, words = SHOWN[name][0], [str(brief) if word == BRIEF else word for word in SHOWN[name][1]]
    code, out, _ = told(capsys, *words)
    file = FILES / f"{name}.txt"
    if os.environ.get("UPDATE"):
        file.write_text(out)
    assert (code, out) == (exit_code, file.read_text())


def test_the_same_seed_gives_the_same_bytes_and_another_one_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-f", ONE, *QUICK, "--errors", "green=50%@step1", "-o", "json", "--seed"]
    first, again, other = (told(capsys, *words, seed) for seed in ("7", "7", "8"))
    assert first == again
    assert first[1] != other[1]


def test_programs_get_the_users_harmed_and_the_decision(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = told(capsys, "-f", ONE, *QUICK, "--errors", "green=100%@step1", "-o", "json")
    data: dict[str, Any] = json.loads(out)
    assert code == 20
    assert data["outcome"] == "rolled_back"
    assert data["users"]["harmed"] == data["users"]["pools"]["green"]["failed_by_fault"] > 0
    assert data["users"]["pools"]["blue"]["failed_by_fault"] == 0
    assert data["way_back"]["after_first_harm_ms"] < 2_000
    kinds = [one["kind"] for one in data["timeline"]]
    assert kinds[0] == "release.started"
    assert kinds[-1] == "rollback.finished"


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "Missing option '-f'"),
        (["-f", "nowhere.yaml"], 4, "nowhere.yaml is not valid"),
        (["-f", ONE, "--service", "wbe"], 7, "there is no service or unit 'wbe'"),
        (["-f", TWO, "--service", "accounts"], 2, "accounts goes with unit shop"),
        (["-f", ONE, "--errors", "green"], 2, "write green=3%"),
        (["-f", ONE, "--errors", "green=3"], 2, "'3' is not a share"),
        (["-f", ONE, "--errors", "green=130%"], 2, "not within 0 % and 100 %"),
        (["-f", ONE, "--errors", "green=3%@step9"], 2, "there is no step 9: the plan has 4"),
        (["-f", ONE, "--errors", "green=3%@noon"], 2, "'noon' is no moment"),
        (["-f", ONE, "--errors", "green=3%@step1@step2"], 2, "more than one @ or +"),
        (["-f", ONE, "--errors", "purple=3%"], 2, "web has no 'purple': blue, green, candidate, active, blue-1"),
        (["-f", ONE, "--errors", "shop/green=3%"], 2, "there is no service 'shop': web"),
        (["-f", ONE, "--latency", "green=2h"], 2, "longer than 1m"),
        (["-f", ONE, "--dead", "green=1"], 2, "cannot be read"),
        (["-f", ONE, "--kill", "+1m"], 2, "say when, as @step2"),
        (["-f", ONE, "--reload", "local@step1+20s"], 2, "a reload takes no time"),
        (["-f", ONE, "--dead", "green+0s"], 2, "not within 1ms and 24h"),
        (["-f", ONE, "--reload", "lb7"], 2, "there is no load balancer 'lb7': edge/local"),
        (["-f", ONE, "--kill", "now"], 2, "write @step2"),
        (["-f", ONE, "--rate", "0/s"], 2, "write 200/s or 30/m"),
        (["-f", ONE, "--usual-errors", "2"], 2, "write it like 0.05%"),
        (["-f", ONE, "--watched", "9d"], 2, "longer than 7d"),
        (["-f", ONE, "--steps", "50%,10%"], 2, "10 % is not above"),
        (["-f", ONE, "--hold", "soon"], 2, "'soon' is not a duration"),
    ],
)
def test_nonsense_is_told_with_what_to_write(
    words: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out, err = told(capsys, *words)
    assert (found, out) == (code, "")
    assert says in err


class WithAHandThatRaises(Stage):
    """Somebody gives the candidate more than was decided."""

    def _look(self) -> None:
        if self.release is not None:
            self.edges[InstanceName("edge/local")].routes[self.setting.carrier] = Route(7_000)
        Stage._look(self)


def test_a_broken_invariant_is_told_as_one() -> None:
    topology = load(ONE, uid=os.getuid(), environ=os.environ, read_secrets=False).topology
    part, carrier, followers, _ = taking_part(topology, "web")
    plan = Plan(steps_bp=(1_000, 10_000), hold_min=SECOND, bake=SECOND, retain=SECOND)
    setting = Setting(topology=part, carrier=carrier, followers=followers, active=Colour.BLUE, plan=plan)
    assert "7000 bp" in WithAHandThatRaises(replace(setting, rate=10.0, watched=Span(0))).play().violation


def test_users_of_a_server_that_dies_fail_only_until_it_is_found_dead(capsys: pytest.CaptureFixture[str]) -> None:
    # Three failed checks, one a second; then the others of its pool answer.
    fails = ["--dead", "blue-1@1s", "--dead", "green@5s"]
    _, out, _ = told(capsys, "-f", ONE, *QUICK, "--rate", "30/s", *fails, "-o", "json")
    harmed = json.loads(out)["users"]["pools"]["blue"]["failed_by_fault"]
    assert 27 <= harmed <= 36


def test_users_of_one_slow_server_are_slowed_and_not_those_of_its_whole_pool(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails = ["--latency", "green-2=50ms@step2", "--errors", "green=100%@step3"]
    _, out, _ = told(capsys, "-f", ONE, *QUICK, "--rate", "60/s", *fails, "-o", "json")
    users = json.loads(out)["users"]
    assert 0.2 < users["slowed"] / users["pools"]["green"]["requests"] < 0.4


def test_a_reply_that_is_lost_with_lbctld_is_no_broken_invariant(capsys: pytest.CaptureFixture[str]) -> None:
    fails = ["--kill", "@10ms+2s", "--errors", "green=100%@step1"]
    code, out, _ = told(capsys, "-f", ONE, *QUICK, "--rate", "30/s", *fails, "-o", "json")
    data = json.loads(out)
    assert (code, data["outcome"], data["violation"]) == (20, "rolled_back", "")
