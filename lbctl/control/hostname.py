"""Whether who asks means this host: a foreign site may give its own name this host's address, and would then read here
with the browser of whoever opened it (DNS rebinding)."""

import ipaddress
import re

_HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::[0-9]{1,5})?")


def is_this_host(host: str) -> bool:
    """Whether the `Host` of a request is a loopback address, `localhost` or `lbctl`."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].strip("[]").lower()
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in {"localhost", "lbctl"}
