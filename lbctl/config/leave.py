"""How sessions leave a pool, as people write it: `wait`, or `{move: 20/s}`."""

import re
from typing import Any

from lbctl.config.composite import Key, Section
from lbctl.config.kinds import Kind, expected
from lbctl.config.nodes import Mapping, Node, Scalar
from lbctl.config.place import BAD, Place
from lbctl.config.quantity import shown

PER_SECOND_MAX = 10_000
WAIT = "wait"
_RATE = re.compile(r"([0-9]{1,9}) ?/ ?s")
_AS_IN = "write a whole number of sessions a second, as in 20/s"
_THEN = "write wait, or {move: 20/s}"


class Rate(Kind):
    """A whole number of sessions a second."""

    words = "rate, as `20/s`"

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Scalar) or node.value is None:
            return expected(node, place, "a rate", _AS_IN)
        found = _RATE.fullmatch(node.text)
        if not found:
            return place.fault(
                f"{shown(node.text)} is not a rate", "write a whole number of sessions a second, as in 20/s"
            )
        if not 1 <= int(found[1]) <= PER_SECOND_MAX:
            bounds = f"1/s..{PER_SECOND_MAX}/s"
            return place.fault(f"{node.text[:30]} is not within {bounds}", f"write a rate within {bounds}")
        return int(found[1])

    def show(self, value: Any) -> Any:
        return f"{value}/s"

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": "^[0-9]{1,9} ?/ ?s$"}


_MOVE = Section({"move": Key(kind=Rate(), required=True, doc="Sessions a second.")})


class SessionsLeave(Kind):
    """`wait`, or a rate: sessions a second; None in the model means wait."""

    words = "`wait` or `{move: N/s}`"

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Scalar) and node.text == WAIT:
            return None
        if not isinstance(node, Mapping):
            return expected(node, place, "wait or {move: N/s}", _THEN)
        values = _MOVE.read(node, place)
        return BAD if values is BAD else values["move"]

    def show(self, value: Any) -> Any:
        return WAIT if value is None else {"move": f"{value}/s"}

    def json(self) -> dict[str, Any]:
        return {"anyOf": [{"const": WAIT}, _MOVE.json()]}
