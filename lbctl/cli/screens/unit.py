"""A unit in `lbctl status`: its release, all pools of its services, pins, the board and the claims."""

from collections.abc import Iterable
from typing import Any

from lbctl.cli.screens import blocks
from lbctl.cli.screens.lines import ENDED, columns, ended_words, phase_words
from lbctl.model.units import seconds

Json = dict[str, Any]


def unit_block(name: str, unit: Json, services: dict[str, Json], *, servers: bool) -> list[str]:
    """Return the lines of a unit. `services` are those of its services that are shown."""
    moves = unit["phase"] not in ENDED
    judged = [line for one in unit["members"] if one in services for line in blocks.judge(services[one], f"{one}: ")]
    there = [line for one, view in services.items() for line in blocks.holders(view, f"{one} ")]
    around = [line for one, view in services.items() for line in blocks.instances(view, f"{one} ")]
    around += [line for view in services.values() for line in blocks.unready(view)]
    return [
        *_head(name, unit, services, moves=moves),
        *_maintenance(services),
        *blocks.held(unit),
        *_pools(unit, services),
        *_calls(unit, moves=moves),
        *there,
        *judged,
        *(line for one, view in services.items() for line in blocks.sessions(view, f"{one} ")),
        *blocks.board(unit["board"]),
        *blocks.claims(unit["claims"]),
        *dict.fromkeys(around),
        *blocks.servers(services, every=servers),
        *_way_out(name, unit, services, moves=moves),
    ]


def _head(name: str, unit: Json, services: dict[str, Json], *, moves: bool) -> list[str]:
    if not moves:
        serving = ", ".join(_serving(one, view) for one, view in services.items())
        last = f"   last release {unit['release']}: {ended_words(unit)}" if unit["release"] else ""
        return [f"{name}   {serving}{last}"]
    going = [(one, services[one]) for one in unit["members"] if one in services]
    ways = ", ".join(f"{one} {view['from']} → {view['to']}" for one, view in going)
    lines = [f"{name}   release {unit['release']}   {phase_words(unit['phase'])}   {ways}{blocks.where(unit)}"]
    return lines + ([f"  next   {unit['next']}"] if unit["next"] else [])


def _serving(name: str, view: Json) -> str:
    return f"- {name} is only observed" if view["active"] is None else f"● {name} {view['active']} serves"


def _maintenance(services: dict[str, Json]) -> list[str]:
    still = [name for name, view in services.items() if view["mode"] == "maintenance"]
    return [f"  ! maintenance is on for {', '.join(still)}: nothing is written"] if still else []


def _pools(unit: Json, services: dict[str, Json]) -> list[str]:
    rows: list[tuple[str, ...]] = [("SERVICE", *blocks.POOL_HEAD)]
    ordered = [*(one for one in unit["members"] if one in services), *services]
    for name in dict.fromkeys(ordered):
        pinned = name in unit["members"] and name != unit["carrier"]
        rows += [(name, *row) for row in blocks.pool_rows(services[name], pinned=pinned)]
    return ["  " + line for line in columns(rows)]


PIN_WORDS = {"split": "by the split", "none": "refused"}


def _calls(unit: Json, *, moves: bool) -> list[str]:
    """Where each consumer pool's calls should go, and where they went: in the release, or since lbctl first watched."""
    if not unit["pins"]:
        return []
    rows: list[tuple[str, ...]] = [("CALLS", "WANTED", "READ BACK", "BLUE GOT", "GREEN GOT")]
    matrix = unit.get("matrix", {})
    for key, pin in unit["pins"].items():
        provider, _, caller = key.partition("<")
        got = _got(matrix.get(provider, ()), caller, moves=moves)
        rows.append((f"{caller} → {provider}", _words(pin["want"]), _read_back(pin), *got))
    for provider, cells in matrix.items():
        if any(cell["caller"] is None for cell in cells):
            rows.append((f"unknown → {provider}", "by the split", "◐ nobody's pool", *_got(cells, None, moves=moves)))
    return ["  " + line for line in columns(rows)]


def _got(cells: Iterable[Json], caller: str | None, *, moves: bool) -> tuple[str, str]:
    found = {cell["colour"]: _count(cell, moves=moves) for cell in cells if cell["caller"] == caller}
    return found.get("blue", "-"), found.get("green", "-")


def _count(cell: Json, *, moves: bool) -> str:
    count = cell["in_release"] if moves else cell["requests"]
    if not count:
        return "-"
    when = f"{seconds(int(cell['last_s']) * 1_000)} ago" if cell["last_s"] >= 1 else "now"
    return f"✖ {cell['wrong']} wrong of {count}, {when}" if cell["wrong"] else f"{count}, {when}"


def _words(pins: str | None) -> str:
    return " / ".join(PIN_WORDS.get(word, word) for word in (pins or "?").split())


def _read_back(pin: Json) -> str:
    wrong = "" if pin["observed"] == pin["want"] or pin["want"] is None else "◐ "
    boot = pin.get("boot")
    after = f", after a reload {_words(boot)}" if boot not in {pin["observed"], None} else ""
    return f"{wrong}{_words(pin['observed'])}{after}"


def _way_out(name: str, unit: Json, services: dict[str, Json], *, moves: bool) -> list[str]:
    if not moves:
        return [blocks.adopt_next(one, view) for one, view in services.items() if view["active"] is None]
    if unit["phase"] == "rolling_back":
        return [f"  why    lbctl why {name}"]
    return [f"  stop   lbctl rollback {unit['release']}"]
