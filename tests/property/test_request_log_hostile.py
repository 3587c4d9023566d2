"""Whatever comes in at a request log, it is counted and nothing breaks."""

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.names import Colour
from lbctl.model.sketch import LAST_BUCKET, bucket_of
from tests.unit.test_request_log_lines import HEAD, line, tally, times

NAMES = st.sampled_from(["edge/lb1", "edge/lb2", "edge/lb3", "shop_blue", "shop_green", "blue-1", "<NOSRV>", "", "x"])
NUMBERS = st.one_of(st.integers().map(str), st.text(max_size=8))
TOLD = st.lists(st.one_of(NAMES, NUMBERS, st.sampled_from(["200", "101", "----", "CD--"])), max_size=9).map("|".join)
MUTILATED = st.tuples(st.just(line()), st.integers(0, 200), st.binary(max_size=6), st.integers(0, 200)).map(
    lambda cut: cut[0][: cut[1]] + cut[2] + cut[0][cut[3] :]
)
DATAGRAMS = st.one_of(
    st.binary(max_size=300),
    MUTILATED,
    TOLD.map(lambda told: f'{HEAD}[lbctl@0 r="{told}"] x'.encode("utf-8", "surrogatepass")),
)


@given(st.lists(DATAGRAMS, max_size=30))
def test_every_datagram_is_counted_once_and_none_raises(datagrams: list[bytes]) -> None:
    made = tally()
    for datagram in datagrams:
        made.take(datagram)
    assert made.lines + made.foreign + made.damaged + made.astray + made.beside == len(datagrams)
    for lane in made.lanes.values():
        for count in lane.pools.values():
            assert sum(count.times.values()) <= count.lines
            assert all(0 <= bucket <= LAST_BUCKET for bucket in count.times)
    assert len(made.example) <= 80


@given(st.integers(min_value=0, max_value=10**9), st.integers(min_value=-1, max_value=10**6))
def test_every_time_lands_in_its_bucket(active: int, upload: int) -> None:
    made = tally()
    made.take(line(active=active, upload=upload))
    assert times(made, Colour.BLUE) == {bucket_of(max(0, active - max(0, upload))): 1}
