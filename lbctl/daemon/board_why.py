"""Why a version that is ready does not go yet, in the words of `lbctl why`. Pure."""

from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]


def board_lines(board: Mapping[str, Json]) -> list[Json]:
    """Return a line for every version on the board."""
    return [
        {
            "what": f"{name} {ready['version']} is ready: {ready['waits']}",
            "since_ms": ready["since_ms"],
            "needs": "what it waits for; it then goes by itself",
            "deadline": "",
            "then": "",
        }
        for name, ready in board.items()
    ]


def board_why(target: str, board: Mapping[str, Json]) -> Json:
    """Return the answer for a service or unit that had no release yet."""
    return {"service": target, "unit": None, "release": None, "phase": None, "lines": board_lines(board)}
