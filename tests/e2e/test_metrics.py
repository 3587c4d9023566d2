"""A real release that goes back, as Prometheus sees it: at the control socket, and at a place of its own."""

import asyncio
import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from lbctl.daemon.metrics.catalogue import BY_NAME
from lbctl.demo.ports import free_port
from lbctl.demo.stage import SERVICE, Stage
from tests.e2e.scene import SLOW_STEP, adopted, crowd, ended, haproxy, release, share_is, until

Values = dict[str, dict[frozenset[tuple[str, str]], float]]


async def scraped(here: Stage) -> Values:
    reader, writer = await asyncio.open_unix_connection(str(here.directory / "run" / "control.sock"))
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: lbctl\r\nConnection: close\r\n\r\n")
    answer = (await asyncio.wait_for(reader.read(), 10)).decode()
    writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200"), answer[:300]
    assert "text/plain; version=0.0.4" in head
    return parsed(body)


def parsed(text: str) -> Values:
    found: Values = {}
    for family in text_string_to_metric_families(text):
        assert family.name + ("_total" if family.type == "counter" else "") in BY_NAME
        for sample in family.samples:
            found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return found


def of(found: Values, name: str, **labels: str) -> float:
    return found[name][frozenset(labels.items())]


@pytest.mark.haproxy
async def test_prometheus_sees_a_release_that_goes_back() -> None:
    async with adopted(haproxy(), SLOW_STEP) as here, await crowd(here, rate=500, visitors=0.8):
        await release(here)
        await share_is(here, 1_000)
        await asyncio.sleep(0.5)
        found = await scraped(here)
        assert of(found, "lbctl_pool_weight_ratio", service=SERVICE, color="green", kind="observed") == 0.1
        assert of(found, "lbctl_release_state", unit=SERVICE, state="shifting") == 1.0
        assert of(found, "lbctl_drift_detected", service=SERVICE) == 0.0
        await here.pools["green"].fault(error_ratio=1.0)
        await ended(here)
        await asyncio.sleep(1)  # Scrapes within a second share one text.
        found = await scraped(here)
        assert of(found, "lbctl_rollbacks_total", unit=SERVICE, cause="errors") == 1.0
        assert of(found, "lbctl_rollback_latency_seconds_count") == 1.0
        assert of(found, "lbctl_rollback_latency_seconds_bucket", le="5.0") == 1.0
        assert of(found, "lbctl_pool_requests_total", service=SERVICE, color="green", code_class="5xx") > 0
        assert of(found, "lbctl_pool_requests_total", service=SERVICE, color="blue", code_class="other") > 0
        assert sum(found["lbctl_backend_writes_total"].values()) >= 3
        assert of(found, "lbctl_probes_total", result="good") > 0
        assert of(found, "lbctl_loop_lag_seconds_count") > 10
        assert all(value == 1.0 for value in found["lbctl_server_up"].values())


@pytest.mark.haproxy
async def test_prometheus_reads_at_a_place_of_its_own_where_the_config_says_so() -> None:
    async with adopted(haproxy()) as here:
        port = free_port()
        here.config.write_text(here.config.read_text().replace("daemon:\n", f"daemon:\n  metrics: 127.0.0.1:{port}\n"))
        await here.daemon.stop()
        await here.daemon.start()

        def read() -> str:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
                text: str = answer.read().decode()
                return text

        async def read_back() -> bool:
            try:
                found = parsed(await asyncio.to_thread(read))
            except OSError:
                return False  # It is still starting.
            if "lbctl_pool_weight_ratio" not in found:
                return False
            labels = {"service": SERVICE, "color": "blue", "kind": "observed"}
            return found["lbctl_pool_weight_ratio"].get(frozenset(labels.items())) == 1.0

        await until(read_back)
