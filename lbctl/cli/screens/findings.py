"""What was found on a host or in a config, as data and for people. Pure."""

from dataclasses import asdict
from typing import Any

from lbctl.dataplane.haproxy.existing.findings import Finding

Json = dict[str, Any]


def plain(one: Finding) -> Json:
    """Return a finding as `--json` prints it."""
    return {**asdict(one), "weight": one.weight.value}


def glyph(found: Json) -> str:
    """Return how heavy a plain finding is, as one character."""
    return {"fault": "✖", "warning": "!"}.get(found["weight"], "-")
