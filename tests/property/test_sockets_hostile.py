"""Whatever a netlink socket delivers, it is counted right or refused in words, a filter lets nobody else through."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.topology import Address
from lbctl.telemetry.sockets.answer import Again, Counts, Ended, Unusable, row, walk
from lbctl.telemetry.sockets.question import EXACT_MAX, destinations, packed
from tests.netlink_rows import accepted, done, failed, message, socket_row

MAPPED = bytes(10) + b"\xff\xff"
HOSTS = st.one_of(
    st.sampled_from(["10.0.0.1", "10.0.0.2", "127.0.0.1", "::1", "fd00::a", "0.0.0.0"]),
    st.ip_addresses().map(str).filter(lambda host: "%" not in host),
)
PORTS = st.one_of(st.sampled_from([80, 8080]), st.integers(1, 65_535))
ADDRESSES = st.builds(Address, HOSTS, PORTS)
ATTRIBUTES = st.sampled_from([b"\x05\0\x08\0\0\0\0\0", b"", b"\x08\0\x0f\0\0\0\0\0" * 2])
SOCKETS = st.tuples(ADDRESSES, st.sampled_from([1, 2, 8]), st.integers(1, 9), st.booleans(), ATTRIBUTES)
BITS = st.one_of(
    st.binary(max_size=120),
    st.builds(message, st.integers(0, 40), st.binary(max_size=90), st.sampled_from([7, 8]), st.integers(0, 65_535)),
    st.builds(lambda address, cut: socket_row(address)[:cut], ADDRESSES, st.integers(0, 96)),
    st.builds(socket_row, ADDRESSES),
    st.builds(failed, st.integers(-200, 5)),
    st.builds(lambda code: done(code=code), st.integers(-200, 5)),
)


@given(st.lists(BITS, max_size=8).map(b"".join), st.frozensets(st.integers(0, 3)))
def test_hostile_bytes_are_counted_or_refused_and_nothing_else_is_raised(chunk: bytes, own: frozenset[int]) -> None:
    counts, seen = Counts(7, own), []
    for take in (counts.take, lambda part: walk(part, 7, lambda body: seen.append(row(body)))):
        try:
            assert take(memoryview(chunk)) in Ended
        except (Again, Unusable):
            continue
    assert all(found >= 0 for found in counts.found.values())


@given(st.lists(SOCKETS, max_size=40), st.frozensets(st.integers(1, 9), max_size=3), st.integers(1, 9))
def test_rows_are_counted_exactly_however_they_are_cut_and_ours_are_left_out(
    sockets: list[tuple[Address, int, int, bool, bytes]], own: frozenset[int], cut: int
) -> None:
    rows = [
        socket_row(to, state=state, inode=inode, mapped=mapped and ":" not in to.host, attributes=attributes)
        for to, state, inode, mapped, attributes in sockets
    ]
    counts = Counts(7, own)
    parts = [rows[at : at + cut] for at in range(0, len(rows), cut)]
    for part in parts:
        assert counts.take(memoryview(b"".join(part))) is Ended.NO
    assert counts.take(memoryview(done())) is Ended.YES
    wanted: Counter[tuple[int, bytes, bytes]] = Counter()
    for to, state, inode, _, _ in sockets:
        if inode not in own:
            _, host, port = packed(to)
            wanted[state, port, host] += 1
    assert counts.found == wanted


@given(st.lists(ADDRESSES, min_size=1, max_size=12), ADDRESSES, st.booleans())
def test_a_filter_accepts_the_servers_asked_for_and_no_others(
    servers: list[Address], to: Address, mapped: bool
) -> None:
    family, host, _ = packed(to)
    if mapped and family == 2:
        family, host = 10, MAPPED + host
    same = packed(to) in {packed(one) for one in servers}
    assert accepted(destinations(servers), family, host, to.port) is same


@given(st.sets(ADDRESSES, min_size=EXACT_MAX + 1, max_size=EXACT_MAX + 9), st.data())
def test_a_filter_of_many_servers_accepts_all_of_them(servers: set[Address], data: st.DataObject) -> None:
    one = data.draw(st.sampled_from(sorted(servers, key=str)))
    family, host, _ = packed(one)
    assert accepted(destinations(servers), family, host, one.port)
