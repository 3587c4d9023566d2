"""Envoy's histograms as sketches: every bin in its place, and nothing of what is damaged."""

import pytest

from lbctl.dataplane.envoy.counters import read_stats, stats_target
from lbctl.dataplane.envoy.times import read_histograms, timing
from lbctl.model import sketch
from lbctl.model.names import Colour
from lbctl.model.units import Instant
from tests.quantiles import quantile_ms
from tests.unit.test_envoy_readings import FIRST, SERVICE

SAID = b"""http.shop.rds.shop.version_text: "1;0:10000:10000"
cluster.shop_blue.upstream_rq_completed: 6
cluster.shop_blue.upstream_rq_time:
  totals=0,0:2, 9,0.1:1, 30,1:1, 200,10:1, 3200,100:1
  intervals=30,1:1
  summary=P0(30.5,30.5) P25(30.5,30.5)
cluster.shop_green.upstream_rq_time:
  totals=
  intervals=
  summary=No recorded values
"""


def test_a_histogram_is_the_sketch_of_its_totals() -> None:
    found = timing(SERVICE, FIRST, Instant(7), read_histograms(SAID))
    wanted = {sketch.bucket_of(ms): 1 for ms in (9, 30, 205, 3_250)} | {0: 2}
    assert found.pools == {Colour.BLUE: wanted, Colour.GREEN: {}}
    assert (found.source, found.taken_at, found.lost, found.sampled) == ("envoy 1@1", 7, 0, False)


def test_a_quantile_is_within_the_width_of_a_bin_and_the_grain_of_the_sketch() -> None:
    for lower, width, true_ms in ((1, 0.1, 1), (42, 1, 42), (99, 1, 99), (100, 10, 109), (990, 10, 991)):
        line = f"cluster.shop_blue.upstream_rq_time:\n  totals={lower},{width}:5\n".encode()
        shown = quantile_ms(timing(SERVICE, FIRST, Instant(0), read_histograms(line)).pools[Colour.BLUE], 0.5)
        assert true_ms * 0.95 <= shown <= true_ms * 1.05 * sketch.GAMMA


def test_a_service_that_envoy_has_no_histogram_of_has_empty_sketches() -> None:
    assert timing(SERVICE, FIRST, Instant(0), read_histograms(b"")).pools == {Colour.BLUE: {}, Colour.GREEN: {}}


@pytest.mark.parametrize(
    "totals", ["x", "1:2:3", "1,1:", ",:1", "1,1:-5", "nan,nan:1", "1,1:1.5", "inf,1:0", "9" * 400 + ",1:0", "\xff"]
)
def test_what_is_damaged_counts_for_nothing(totals: str) -> None:
    said = f"cluster.shop_blue.upstream_rq_time:\n  totals={totals}, 30,1:1\n".encode("latin-1")
    assert sketch.count(read_histograms(said)["cluster.shop_blue.upstream_rq_time"]) - 1 in {0, "nan" in totals}


def test_the_counters_are_read_beside_the_histograms() -> None:
    stats = read_stats(SAID)
    assert stats["cluster.shop_blue.upstream_rq_completed"] == "6"
    assert stats["http.shop.rds.shop.version_text"] == "1;0:10000:10000"


def test_histograms_are_asked_for_in_the_reading_and_not_while_a_route_is_awaited() -> None:
    assert "histogram_buckets" not in stats_target([SERVICE])
    assert stats_target([SERVICE], times=True).endswith("&histogram_buckets=detailed")
