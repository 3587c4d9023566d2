"""The dashboard against Grafana's own schema, as its foundation SDK has it in types.

Reading drops what the schema does not know, so that a misspelt key is missing in what is written again.
"""

import json
import typing
from collections.abc import Iterator
from enum import Enum
from types import NoneType, UnionType
from typing import Any

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models import dashboard, prometheus, timeseries

from tests.recipes.test_prometheus import BOARD

OF_THE_DATA_SOURCE = {"titleFormat", "textFormat"}
"""Keys of an annotation that Prometheus' plugin reads; the schema leaves them to it."""


def read(board: dict[str, Any]) -> dashboard.Dashboard:
    register_default_plugins()
    return dashboard.Dashboard.from_json(board)


def lost(given: Any, kept: Any, path: str = "") -> Iterator[str]:
    """Yield every key or item that Grafana would not have read."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{path}.{key}"
            else:
                yield from lost(value, kept[key], f"{path}.{key}")
    elif isinstance(given, list):
        for index, value in enumerate(given):
            yield from lost(value, kept[index], f"{path}[{index}]")
    elif given != kept:
        yield f"{path}: {given!r} became {kept!r}"


def misfits(value: Any, form: Any, path: str) -> Iterator[str]:
    """Yield every value that is of another type than the schema says."""
    origin, inner = typing.get_origin(form), typing.get_args(form)
    if form in {Any, object} or (value is None and (form is NoneType or NoneType in inner)):
        return
    if origin in {typing.Union, UnionType}:
        if all([*misfits(value, one, path)] for one in inner if one is not NoneType):
            yield f"{path}: {value!r} is none of {form}"
    elif origin is list:
        for index, item in enumerate(value):
            yield from misfits(item, inner[0], f"{path}[{index}]")
    elif origin is dict or not isinstance(form, type):
        return
    elif issubclass(form, Enum):
        if value not in {one.value for one in form}:
            yield f"{path}: {value!r} is no {form.__name__}"
    elif isinstance(value, form) and hasattr(value, "to_json"):
        for name, hint in typing.get_type_hints(type(value)).items():
            yield from misfits(getattr(value, name), hint, f"{path}.{name}")
    elif not isinstance(value, form) and not (form is float and isinstance(value, int)):
        yield f"{path}: {value!r} is no {form.__name__}"


def test_grafana_reads_every_key_of_the_dashboard() -> None:
    kept = json.loads(json.dumps(read(BOARD), cls=JSONEncoder))
    assert {path.rpartition(".")[2] for path in lost(BOARD, kept)} == OF_THE_DATA_SOURCE


def test_every_value_of_the_dashboard_is_of_the_type_that_grafana_expects() -> None:
    found = read(BOARD)
    assert [*misfits(found, dashboard.Dashboard, "board")] == []
    panels = [panel for panel in found.panels or () if isinstance(panel, dashboard.Panel)]
    assert len(panels) == len(BOARD["panels"])
    for panel in panels:
        assert all(isinstance(one, prometheus.Dataquery) for one in panel.targets or ()), panel.title
        assert all([*misfits(one, prometheus.Dataquery, str(panel.title))] == [] for one in panel.targets or ())
        if panel.type_val == "timeseries":
            assert [*misfits(panel.options, timeseries.Options, str(panel.title))] == []


def test_a_slip_of_the_pen_in_the_dashboard_is_noticed() -> None:
    slips = {"refesh": "10s", "graphTooltip": 9, "schemaVersion": "39"}
    board = {**BOARD, **slips}
    kept = json.loads(json.dumps(read(board), cls=JSONEncoder))
    assert ".refesh" in {*lost(board, kept)}
    assert {one.split(":")[0] for one in misfits(read(board), dashboard.Dashboard, "board")} == {
        "board.graph_tooltip",
        "board.schema_version",
    }


def test_no_two_panels_overlap_and_each_has_a_number_of_its_own() -> None:
    places = [panel["gridPos"] for panel in BOARD["panels"]]
    cells = [
        (x, y) for at in places for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    numbers = [panel["id"] for panel in BOARD["panels"]]
    assert len(numbers) == len(set(numbers))
