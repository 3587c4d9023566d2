"""gRPC calls counted from two counts that overlap: never one twice, never fewer than before."""

import random

import pytest

from lbctl.dataplane.envoy.calls import Calls, calls


def status(**found: int) -> dict[str, int]:
    return {f"upstream_rq_{name.removeprefix('h')}": count for name, count in found.items()}


@pytest.mark.parametrize(
    ("counted", "expected"),
    [
        ({}, Calls(0, 0)),
        ({"grpc.total": 5, **status(h2xx=5)}, Calls(5, 0)),
        # Three fail by their status, one of them as unavailable.
        ({"grpc.total": 9, "grpc.13": 2, "grpc.14": 1, **status(h2xx=9)}, Calls(9, 3)),
        # What Envoy answers itself is in both counts.
        ({"grpc.total": 4, "grpc.14": 4, **status(h5xx=4, h503=4)}, Calls(4, 4)),
        ({"grpc.total": 2, "grpc.2": 2, **status(h5xx=2)}, Calls(2, 2)),
        # A plain HTTP server in the pool has no gRPC status.
        (status(h5xx=3, h503=1), Calls(3, 3)),
        (status(h4xx=2), Calls(2, 0)),
    ],
)
def test_both_counts_are_read_as_one(counted: dict[str, int], expected: Calls) -> None:
    assert calls(counted) == expected


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_counts_never_fall_and_no_more_fail_than_end(seed: int) -> None:
    chance = random.Random(seed)
    counted: dict[str, int] = {}
    ended = failed = 0

    def add(*names: str) -> None:
        for name in names:
            counted[name] = counted.get(name, 0) + 1

    happenings = (
        *(("grpc.total", f"grpc.{code}", "upstream_rq_2xx") for code in (0, 2, 4, 5, 12, 13, 14, 15)),
        ("grpc.total", "grpc.14", "upstream_rq_5xx", "upstream_rq_503"),
        ("grpc.total", "grpc.14", "upstream_rq_5xx", "upstream_rq_502"),
        ("grpc.total", "grpc.2", "upstream_rq_5xx"),
        *(("upstream_rq_5xx",), ("upstream_rq_5xx", "upstream_rq_504"), ("upstream_rq_4xx",), ("upstream_rq_2xx",)),
    )
    for _ in range(300):
        add(*chance.choice(happenings))
        now = calls(counted)
        assert now.ended >= ended
        assert failed <= now.failed <= now.ended
        ended, failed = now.ended, now.failed
