"""Reading `/config_dump`: nothing of it is believed to have any shape; what is not there counts as missing. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from lbctl.model.errors import Garbled
from lbctl.notjson import NOT_JSON

CONFIG_DUMP = "/config_dump"
_DEPTH_MAX = 64
_NOT_IN_FORCE = frozenset({"draining_state", "warming_state", "error_state", "dynamic_warming_clusters"})


def read_dump(body: bytes) -> Any:
    """Return the JSON. Raises Garbled."""
    try:
        return msgspec.json.decode(body)
    except NOT_JSON as error:
        raise Garbled(f"envoy's /config_dump cannot be understood: {error}") from error


def text(node: Any, *keys: str) -> str:
    """Return the text at the end of `keys`, empty where there is none."""
    found = at(node, *keys)
    return found if isinstance(found, str) else ""


def in_force(dump: Any, section: str, kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield the parts of that type that Envoy runs: not what it was started with, drains or has refused."""
    for one in listed(at(dump, "configs")):
        if text(one, "@type").endswith(section):
            yield from _of_type(one, kind)


def _of_type(node: Any, kind: str, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield every part of that type, wherever it stands."""
    if depth > _DEPTH_MAX:
        return
    if isinstance(node, Mapping):
        if text(node, "@type").endswith(kind):
            yield node
        for key, value in node.items():
            if key not in _NOT_IN_FORCE:
                yield from _of_type(value, kind, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _of_type(value, kind, depth + 1)


def at(node: Any, *keys: str) -> Any:
    """Return what is at the end of `keys`, None where nothing is."""
    for key in keys:
        if not isinstance(node, Mapping):
            return None
        node = node.get(key)
    return node


def listed(node: Any) -> list[Any]:
    """Return a list as it is, and an empty one for anything else."""
    return node if isinstance(node, list) else []
