"""The alert rules by Prometheus' own tool, and that rules and dashboard speak of metrics and labels that exist."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml

from lbctl.daemon.metrics.catalogue import BY_NAME
from lbctl.demo.ports import free_port
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import SLOW_STEP, adopted, crowd, haproxy, release, share_is, until

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


def filled(query: str) -> str:
    """A query of the dashboard as Grafana sends it: all units, all services, ten seconds."""
    for variable, value in (("$__rate_interval", "10s"), ("$__range", "10s"), ("$unit", ".*"), ("$service", ".*")):
        query = query.replace(variable, value)
    assert "$" not in query
    return query


def board() -> dict[str, list[str]]:
    """The queries of each panel of the dashboard."""
    panels = {panel["title"]: [filled(one["expr"]) for one in panel["targets"]] for panel in BOARD["panels"]}
    return {**panels, "annotations": [filled(one["expr"]) for one in BOARD["annotations"]["list"]]}


def known(name: str) -> str:
    return name if name in BY_NAME else SUFFIX.sub("", name)


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Prometheus' own tool. In CI it is unpacked from Debian's package, so that no server is installed."""
    found = os.environ.get("PROMTOOL") or shutil.which("promtool")
    if not found and os.environ.get("CI"):
        found = _unpacked(tmp_path_factory.mktemp("prometheus"))
    if not found:
        pytest.skip("no promtool: apt-get install prometheus, or set PROMTOOL to one")
    return found


@pytest.fixture(scope="module")
def prometheus(promtool: str) -> str:
    """The server beside that tool."""
    found = shutil.which(str(Path(promtool).with_name("prometheus")))
    if found is None:
        pytest.skip("no prometheus beside promtool: apt-get install prometheus")
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


def test_promtool_understands_every_query_of_the_dashboard(promtool: str, tmp_path: Path) -> None:
    rows = [{"record": "x:y", "expr": query} for queries in board().values() for query in queries]
    file = tmp_path / "board.yml"
    file.write_text(json.dumps({"groups": [{"name": "board", "rules": rows}]}))
    done = subprocess.run(
        [promtool, "check", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


NOT_IN_EVERY_RELEASE = {"Times of requests, p50 and p95", "Sticky sessions", "Until the limit of the drain", "Gates"}
"""They need a request log, sessions, a drain, a gate that waits."""


@pytest.mark.long
@pytest.mark.haproxy
async def test_a_real_prometheus_answers_every_query_of_the_dashboard_in_mid_release(
    prometheus: str, tmp_path: Path
) -> None:
    port, own = free_port(), free_port()
    async with adopted(haproxy(), SLOW_STEP) as here, await crowd(here, rate=200):
        here.config.write_text(here.config.read_text().replace("daemon:\n", f"daemon:\n  metrics: 127.0.0.1:{port}\n"))
        await here.daemon.stop()
        await here.daemon.start()
        await until(lambda: is_up(here), 30)
        async with scraping(prometheus, port, own, tmp_path):
            await release(here)
            await share_is(here, 1_000)
            await until(lambda: everything_is_answered(own), 60)


async def is_up(here: Stage) -> bool:
    try:
        found = await here.control.service(SERVICE)
    except OSError:
        return False
    return all(one["reachable"] for one in found["instances"].values())


@asynccontextmanager
async def scraping(prometheus: str, port: int, own: int, place: Path) -> AsyncIterator[None]:
    """A Prometheus at port `own` that reads the daemon's metrics every second."""
    job = {"job_name": "lbctl", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}
    (place / "prometheus.yml").write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    words = (f"--config.file={place}/prometheus.yml", f"--storage.tsdb.path={place}/tsdb")
    quiet = subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        prometheus, *words, f"--web.listen-address=127.0.0.1:{own}", stdout=quiet, stderr=quiet
    )
    try:
        yield
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def everything_is_answered(own: int) -> bool:
    """Whether every panel that has something to show in any release shows it. A query that is refused is an error."""

    def answers(query: str) -> int:
        url = f"http://127.0.0.1:{own}/api/v1/query?{urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return len(json.load(answer)["data"]["result"])
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read()!r}") from None
        except OSError:
            return 0  # It is still starting.

    silent = [
        title
        for title, queries in board().items()
        for query in queries
        if not await asyncio.to_thread(answers, query) and title not in NOT_IN_EVERY_RELEASE
    ]
    return not silent


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
