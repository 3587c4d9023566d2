"""Where metrics and the dashboard are read besides the control socket: a port of this host alone, or a unix socket."""

import ipaddress
from dataclasses import dataclass
from typing import Any

from lbctl.config.hostkinds import FilePath
from lbctl.config.hosts import parse_address
from lbctl.config.kinds import Kind, expected
from lbctl.config.nodes import Node, Scalar
from lbctl.config.place import Place

THEN = "write it as 127.0.0.1:{port}, or as the path of a unix socket"


@dataclass(frozen=True, slots=True)
class ScrapeAddress(Kind):
    """An `Address` on loopback, or the absolute path of a socket. Whoever reaches the port reads without being asked.

    `what` is read there; `port` is the one that messages give as an example.
    """

    what: str = "metrics are read"
    port: int = 9464
    words: str = "LOOPBACK:PORT or path of a unix socket"

    def read(self, node: Node, place: Place) -> Any:
        text = node.text if isinstance(node, Scalar) and isinstance(node.value, str) else ""
        if text.startswith("/"):
            return FilePath(is_socket=True).read(node, place)
        if not text or "://" in text:
            return expected(node, place, f"where {self.what}", THEN.format(port=self.port))
        try:
            found = parse_address(text, None)
        except ValueError as error:
            return place.fault(str(error), THEN.format(port=self.port))
        if not ipaddress.ip_address(found.host).is_loopback:
            what = f"{found.host} is not a loopback address: anybody on the network could read names and versions"
            return place.fault(what, "use 127.0.0.1 or [::1], and let a proxy that asks who it is forward it")
        return found

    def show(self, value: Any) -> Any:
        return None if value is None else str(value)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(.+:[1-9][0-9]{0,4}|/.+)$"}
