"""The alert rules by Prometheus' own tool, and that rules and dashboard speak of metrics and labels that exist."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from lbctl.daemon.metrics.catalogue import BY_NAME

DEPLOY = Path(__file__).parents[2] / "deploy"
RULES = DEPLOY / "prometheus" / "alerts.yml"
BOARD = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
NAME = re.compile(r"\blbctl_[a-z_]+")
SELECTED = re.compile(r"(lbctl_[a-z_]+)\{([^}]*)\}")
LABEL = re.compile(r"(\w+)\s*=~?\s*\"")
SUFFIX = re.compile(r"_(bucket|sum|count)$")
ALSO = {"job", "instance", "le"}


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def queries() -> Iterator[str]:
    yield from (rule["expr"] for rule in rules())
    yield from (target["expr"] for panel in BOARD["panels"] for target in panel["targets"])
    yield from (one["expr"] for one in BOARD["annotations"]["list"])
    yield from (one["query"] for one in BOARD["templating"]["list"] if one["type"] == "query")


def known(name: str) -> str:
    return name if name in BY_NAME else SUFFIX.sub("", name)


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prometheus' own tool. In CI it is unpacked from Debian's package, so that no server is installed or started."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not found and os.environ.get("CI"):
        found = _unpacked(tmp_path_factory.mktemp("prometheus"))
    if not found:
        pytest.skip("no promtool: apt-get install prometheus, or set PROMTOOL to one")
    return found


def _unpacked(place: Path) -> str | None:
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        return None
    got = subprocess.run(
        ["apt-get", "download", "-q", "prometheus"], cwd=place, capture_output=True, timeout=100, check=False
    )
    packages = [*place.glob("prometheus_*.deb")]
    if got.returncode != 0 or not packages:
        return None
    subprocess.run(["dpkg-deb", "-x", packages[0], place], timeout=60, check=True)
    return str(place / "usr" / "bin" / "promtool")


@pytest.mark.parametrize("call", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]], ids="-".join)
def test_promtool_accepts_the_rules_and_their_tests(promtool: str, call: list[str]) -> None:
    done = subprocess.run([promtool, *call], cwd=RULES.parent, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_rule_is_tested_and_says_what_is_wrong() -> None:
    tested = set(re.findall(r"alertname: (\w+)", (DEPLOY / "prometheus" / "alerts_test.yml").read_text()))
    assert tested == {rule["alert"] for rule in rules()}
    for rule in rules():
        assert rule["labels"]["severity"] in {"page", "ticket", "info"}
        assert rule["annotations"]["summary"]


@pytest.mark.parametrize("query", [*queries()], ids=lambda query: query[:60])
def test_every_metric_and_label_of_a_query_exists(query: str) -> None:
    for name in NAME.findall(query):
        assert known(name) in BY_NAME, name
    for name, selector in SELECTED.findall(query):
        assert set(LABEL.findall(selector)) <= {*BY_NAME[known(name)].labels, *ALSO}


def test_every_panel_asks_the_data_source_that_is_chosen() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert BOARD["templating"]["list"][0]["type"] == "datasource"
    for panel in BOARD["panels"]:
        assert panel["description"]
        assert [panel["datasource"], *(one["datasource"] for one in panel["targets"])] == [chosen] * (
            1 + len(panel["targets"])
        )
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
