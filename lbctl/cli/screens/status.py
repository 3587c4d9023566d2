"""`lbctl status`: what serves now, what moves, why it waits, what happens next, how to stop it."""

from typing import Any

from lbctl.cli.screens import blocks
from lbctl.cli.screens.lines import ENDED, columns, ended_words, phase_words
from lbctl.cli.screens.unit import unit_block
from lbctl.model.units import seconds

Json = dict[str, Any]
DELIVERED_WITHIN_MS = 10_000
"""An alert that waits longer does so for more than the pace of its channel."""


def status_screen(data: Json, *, servers: bool = False) -> str:
    """Return the screen; `servers`: list every server, else only those that are not up."""
    services, units = data["services"], data["units"]
    found = [
        unit_block(name, unit, {one: services[one] for one in unit["services"] if one in services}, servers=servers)
        for name, unit in units.items()
    ]
    inside = {one for unit in units.values() for one in unit["services"]}
    found += [_service(name, view, servers=servers) for name, view in services.items() if name not in inside]
    if not found:
        found = [["no service is configured"]]
    lines = [line for block in found for line in (*block, "")]
    return "\n".join([*lines, *_daemon(data["daemon"])]).rstrip()


def _service(name: str, view: Json, *, servers: bool) -> list[str]:
    return [
        *_head(name, view),
        *_maintenance(view),
        *blocks.held(view),
        *("  " + line for line in columns([blocks.POOL_HEAD, *blocks.pool_rows(view)])),
        *blocks.holders(view),
        *blocks.judge(view),
        *blocks.sessions(view),
        *(blocks.board({name: view["board"]}) if view.get("board") else []),
        *(blocks.claims({name: view["claim"]}) if view.get("claim") else []),
        *blocks.instances(view),
        *blocks.unready(view),
        *blocks.servers({name: view}, every=servers),
        *_way_out(name, view),
    ]


def _head(name: str, view: Json) -> list[str]:
    if view["phase"] in ENDED:
        last = f"   last release {view['release']}: {ended_words(view)}" if view["release"] else ""
        return [f"{name}   {_serving(view)}{last}"]
    way = f"{view['from']} → {view['to']}"
    lines = [f"{name}   release {view['release']}   {phase_words(view['phase'])}   {way}{blocks.where(view)}"]
    return lines + ([f"  next   {view['next']}"] if view["next"] else [])


def _serving(view: Json) -> str:
    if view["active"] is None:
        return "- only observed: lbctl writes nothing until `lbctl adopt`"
    return f"● {view['active']} serves"


def _maintenance(view: Json) -> list[str]:
    return ["  ! maintenance is on: nothing is written"] if view["mode"] == "maintenance" else []


def _way_out(name: str, view: Json) -> list[str]:
    if view["phase"] in ENDED:
        return [blocks.adopt_next(name, view)] if view["active"] is None else []
    if view["phase"] == "rolling_back":
        return [f"  why    lbctl why {name}"]
    return [f"  stop   lbctl rollback {view['release']}"]


def _daemon(daemon: Json) -> list[str]:
    lines = [] if daemon["journal"] == "ok" else [f"! the journal cannot be written: {daemon['journal']}"]
    if daemon.get("config_refused"):
        lines.append(f"! the config file was refused, and the one before it is in force, {daemon['config_refused']}")
    return [*lines, *_undelivered(daemon)]


def _undelivered(daemon: Json) -> list[str]:
    """What waits for the pace of a chat is no news; an older daemon does not say how long."""
    count, waited_ms = daemon.get("alerts_pending", 0), daemon.get("alerts_waited_ms", DELIVERED_WITHIN_MS)
    if not count or waited_ms < DELIVERED_WITHIN_MS:
        return []
    alerts = "1 alert is" if count == 1 else f"{count} alerts are"
    return [f"◐ {alerts} not delivered yet, the oldest for {seconds(waited_ms)}"]
