"""Preview: a request that comes from a listed network and names a pool is answered by that pool, whatever the split is.

It is nobody's session and is not counted with users. From anywhere else the header means nothing.
"""

import ipaddress
import re
from collections.abc import Iterator
from itertools import pairwise

HEADER = "X-Lbctl-Preview"
"""In a request: the wanted colour. In its answer: the pool that was asked, so that nobody takes another one for it."""
NETWORKS_MAX = 20
_OCTETS, _GROUPS = 4, 8
_OCTET, _GROUP_BITS = 8, 16
_WRITTEN = re.compile(r"[0-9a-fA-F.:]+(/[0-9]{1,3})?")
_ANY_OCTET, _ANY_GROUPS = "[0-9]{1,3}", "[0-9a-f:]+"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network(text: str) -> Network:
    """Return the network of `10.0.0.0/8` or of one address.

    Raises:
        ValueError: it is none, it has bits below its length, or everybody is in it; the text says which.
    """
    if "%" in text:
        raise ValueError(f"{text[:60]} has a zone, which cannot be routed")
    try:
        # A mask in dots is none, and nothing else can come in between.
        found = ipaddress.ip_network(text if _WRITTEN.fullmatch(text) else "", strict=False)
    except ValueError:
        raise ValueError(f"{text[:60]!r} is not a network") from None
    if not found.prefixlen:
        raise ValueError(f"everybody is in {text[:60]}")
    if str(found.network_address) != str(ipaddress.ip_address(text.partition("/")[0])):
        raise ValueError(f"{text[:60]} has bits below its length: {found} would be the network")
    return found


def pattern(wanted: Network) -> str:
    """Return a regular expression for the addresses of a network as they are written, without a way to match others.

    Raises:
        ValueError: an IPv6 network whose addresses have no common beginning when they are written; the text says so.
    """
    if wanted.prefixlen == wanted.max_prefixlen:
        return re.escape(str(wanted.network_address))
    if isinstance(wanted, ipaddress.IPv4Network):
        return r"\.".join(_octets(wanted))
    return _groups(wanted)


def _octets(wanted: ipaddress.IPv4Network) -> Iterator[str]:
    for place, octet in enumerate(wanted.network_address.packed):
        fixed = min(max(wanted.prefixlen - place * _OCTET, 0), _OCTET)
        yield _range(octet, 1 << (_OCTET - fixed)) if fixed else _ANY_OCTET


def _range(first: int, count: int) -> str:
    """Numbers from `first` on in decimal, by their last digit: `1[6-9]|2[0-9]|3[0-1]`."""
    if count == 1:
        return str(first)
    tens: dict[int, list[int]] = {}
    for number in range(first, first + count):
        tens.setdefault(number // 10, []).append(number % 10)
    return f"({'|'.join(f'{ten or str()}[{units[0]}-{units[-1]}]' for ten, units in tens.items())})"


def _groups(wanted: ipaddress.IPv6Network) -> str:
    """Zeros side by side, or at the end of the fixed part, are sometimes written as `::` and sometimes not."""
    count, rest = divmod(wanted.prefixlen, _GROUP_BITS)
    fixed = [group.lstrip("0") or "0" for group in wanted.network_address.exploded.split(":")[:count]]
    doubtful = any(pair == ("0", "0") for pair in pairwise(fixed))
    if rest or doubtful or fixed[-1] == "0":
        then = "write whole groups of 16 bits without zeros side by side or at the end, or single addresses"
        raise ValueError(f"the addresses of {wanted} have no common beginning: {then}")
    return f"{':'.join(fixed)}:{_ANY_GROUPS}"
