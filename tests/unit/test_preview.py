"""From where a pool may be named, and how that is written: no way to match an address that is not listed."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.model.names import ServiceName
from lbctl.model.preview import network, pattern
from tests.unit.config_texts import SHOP, changed, config, faults

FOURS = st.integers(0, (1 << 32) - 1).map(IPv4Address)
SIXES = st.integers(0, (1 << 128) - 1).map(IPv6Address)
KEY = "    steps: [1%, 25%, 100%]"
POOLS = "    pools:\n      blue: {a-blue-1"


@given(FOURS, st.integers(1, 32), st.lists(FOURS, max_size=20), st.integers(0, (1 << 32) - 1))
def test_an_ipv4_network_is_written_exactly(base: Any, length: int, others: list[Any], inside: int) -> None:
    first = int(base) >> (32 - length) << (32 - length)
    wanted = network(f"{IPv4Address(first)}/{length}")
    some = re.compile(pattern(wanted))
    for one in (*others, IPv4Address(first | inside & ((1 << (32 - length)) - 1))):
        assert bool(some.fullmatch(str(one))) == (one in wanted)


@given(st.lists(st.sampled_from(["0", "1", "db8", "ffff"]), min_size=1, max_size=7), st.lists(SIXES), SIXES)
def test_an_ipv6_network_is_written_exactly_or_refused(groups: list[str], others: list[Any], inside: Any) -> None:
    text = f"{IPv6Address(int(''.join(group.zfill(4) for group in groups).ljust(32, '0'), 16))}/{len(groups) * 16}"
    wanted = network(text)
    try:
        some = re.compile(pattern(wanted))
    except ValueError:
        return
    mixed = IPv6Address(int(wanted.network_address) | int(inside) & int(wanted.hostmask))
    few = IPv6Address(int(wanted.network_address) | int(inside) & 0xFFFF)
    for one in (*others, mixed, few, wanted.network_address, wanted.broadcast_address):
        assert bool(some.fullmatch(str(one))) == (one in wanted), one


@pytest.mark.parametrize("text", ["127.0.0.1", "::1", "2001:db8::5"])
def test_one_address_is_a_network(text: str) -> None:
    assert re.fullmatch(pattern(network(text)), str(ip_address(text)))


BAD = {
    "0.0.0.0/0": "everybody is in 0.0.0.0/0",
    '"::/0"': "everybody is in ::/0",
    "10.0.0.1/8": "10.0.0.1/8 has bits below its length: 10.0.0.0/8 would be the network",
    "10.0.0.0/33": "'10.0.0.0/33' is not a network",
    "10.0.0.0/255.0.0.0": "'10.0.0.0/255.0.0.0' is not a network",
    "office": "'office' is not a network",
    "'10.0.0.0/8 } { src 0.0.0.0/0'": "'10.0.0.0/8 } { src 0.0.0.0/0' is not a network",
    '"fe80::1%eth0"': "fe80::1%eth0 has a zone, which cannot be routed",
    "7": "expected a network, not '7'",
    "[]": "expected a network, not a list",
}


@pytest.mark.parametrize("text", BAD)
def test_what_is_no_network_is_refused_with_the_next_step(text: str) -> None:
    found = faults(changed((POOLS, f"    preview: {{networks: [{text}]}}\n{POOLS}")))
    then = "write a network as 10.0.0.0/8 or 2001:db8::/32, or one address"
    assert found == [f"lbctl.yaml:15:26: services.accounts.preview.networks[0]: {BAD[text]}; {then}"]


def test_networks_of_a_service_are_its_own_and_off_by_default() -> None:
    found = config(changed((POOLS, f"    preview: {{networks: [10.0.0.0/8, 10.1.2.3]}}\n{POOLS}"))).topology.services
    assert found[ServiceName("accounts")].preview == ("10.0.0.0/8", "10.1.2.3/32")
    assert found[ServiceName("web")].preview == ()


def test_what_a_load_balancer_cannot_preview_is_refused() -> None:
    key = "preview: {networks: [10.0.0.0/8]}"
    weights = changed(
        ("{form: map}\n    pools: {blue: {p-1", f"{{form: weights}}\n    {key}\n    pools: {{blue: {{p-1"), text=SHOP
    )
    assert "form weights has one backend: no pool of it can be previewed; write `form: map`" in faults(weights)[0]
    tcp = changed((POOLS, f"    protocol: tcp\n    {key}\n{POOLS}"))
    assert "TCP has no header that asks for a preview; delete it" in faults(tcp)[0]
    local = changed((KEY, f"    preview: {{networks: ['fe80::/64']}}\n{KEY}"))
    assert "Envoy cannot tell who is in fe80::/64: " in faults(local)[0]
    many = ", ".join(f"10.0.{n}.0/24" for n in range(21))
    assert "21 items" in faults(changed((KEY, f"    preview: {{networks: [{many}]}}\n{KEY}")))[0]
