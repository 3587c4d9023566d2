"""The key `preview` of a service: from where a request may name the pool that answers it."""

from dataclasses import dataclass
from typing import Any

from lbctl.config.composite import Items, Key, Section, Values
from lbctl.config.kinds import Kind, expected
from lbctl.config.nodes import Node, Scalar
from lbctl.config.place import Place
from lbctl.model.preview import NETWORKS_MAX, network, pattern

_THEN = "write a network as 10.0.0.0/8 or 2001:db8::/32, or one address"


@dataclass(frozen=True, slots=True)
class NetworkKind(Kind):
    """A network, or one address. The value is its text."""

    words = "a network"

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return expected(node, place, self.words, _THEN)
        try:
            return str(network(node.text))
        except ValueError as error:
            return place.fault(str(error), _THEN)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9a-fA-F.:]+(/[0-9]{1,3})?$"}


PREVIEW = Key(
    kind=Section(
        {
            "networks": Key(
                kind=Items(NetworkKind(), "[10.0.0.0/8]", "write [10.0.0.0/8]", 0, NETWORKS_MAX),
                default=[],
                doc="From here a request with the header `X-Lbctl-Preview: green` (or `blue`) goes to that pool.",
            )
        }
    ),
    whole=True,
    doc="Who may ask a pool that has no share yet. Nobody is judged, and no user counted, by such requests.",
)


def preview(values: Values, driver: str) -> None:
    """Check that the load balancer can tell who may: a header needs HTTP, and a pool a backend of its own."""
    networks = values["preview"]["networks"] if isinstance(values["preview"], Values) else None
    if not isinstance(networks, list) or not networks:
        return
    haproxy = values["haproxy"]
    if values["protocol"] == "tcp":
        values.at("preview").fault("TCP has no header that asks for a preview", "delete it")
    elif driver == "haproxy" and isinstance(haproxy, Values) and haproxy["form"] == "weights":
        values.at("preview").fault("form weights has one backend: no pool of it can be previewed", "write `form: map`")
    elif driver == "envoy":
        _written_alike(values, networks)


def _written_alike(values: Values, networks: list[str]) -> None:
    """Envoy compares addresses as they are written."""
    for one in networks:
        try:
            pattern(network(one))
        except ValueError as error:
            what, _, then = str(error).partition(": ")
            values.at("preview").fault(f"Envoy cannot tell who is in {one}: {what}", then)
