"""`lbctl status`: what serves now, what moves, why it waits, what happens next, how to stop it."""

from typing import Any

from lbctl.cli.screens.lines import columns, phase_words, share
from lbctl.model.units import BP_FULL, percent, seconds

Json = dict[str, Any]
ENDED = frozenset({None, "finished", "rolled_back", "cancelled"})


def status_screen(data: Json, *, servers: bool = False) -> str:
    """Return the screen; `servers`: list every server, else only those that are not up."""
    blocks = [_service(name, view, servers=servers) for name, view in data["services"].items()]
    if not blocks:
        blocks = [["no service is configured"]]
    lines = [line for block in blocks for line in (*block, "")]
    return "\n".join([*lines, *_daemon(data["daemon"])]).rstrip()


def _service(name: str, view: Json, *, servers: bool) -> list[str]:
    return [
        *_head(name, view),
        *_held(view),
        *_pools(view),
        *_verdict(view),
        *_instances(view),
        *_servers(view, every=servers),
        *_way_out(name, view),
    ]


def _head(name: str, view: Json) -> list[str]:
    if view["phase"] in ENDED:
        last = f"   last release {view['release']}: {phase_words(view['phase'])}" if view["release"] else ""
        return [f"{name}   {_serving(view)}{last}"]
    step = view["step"]
    where = f"   step {step['index']}/{step['count']}" if step else ""
    since = f" for {seconds(step['since_ms'])}" if step else ""
    way = f"{view['from']} → {view['to']}"
    lines = [
        f"{name}   release {view['release']}   {phase_words(view['phase'])}   {way}{where} ({_shares(view)}){since}"
    ]
    return lines + ([f"  next   {view['next']}"] if view["next"] else [])


def _serving(view: Json) -> str:
    if view["active"] is None:
        return "- only observed: lbctl writes nothing until `lbctl adopt`"
    return f"● {view['active']} serves"


def _shares(view: Json) -> str:
    if view["observed_share_bp"] in {view["share_bp"], None}:
        return share(view["share_bp"]) + ("" if view["observed_share_bp"] is not None else ", not read back")
    return f"{share(view['share_bp'])} wanted, {share(view['observed_share_bp'])} read back"


def _held(view: Json) -> list[str]:
    lines = ["  ! maintenance is on: nothing is written"] if view["mode"] == "maintenance" else []
    held = view["held"]
    if held:
        lines.append(f"  ◐ held {seconds(held['since_ms'])}   {held['reason']}")
        lines += [f"    needs  {held['needs']}"] if held.get("needs") else []
    return lines


def _pools(view: Json) -> list[str]:
    rows = [("POOL", "STATE", "VERSION", "UP", "SHARE", "REQUESTS", "ERRORS", "IN-FLIGHT")]
    greens = _green_shares(view)
    for colour, pool in view["pools"].items():
        shares = sorted(bp if colour == "green" else BP_FULL - bp for bp in greens)
        rows.append(
            (
                colour,
                pool["state"] or "-",
                pool["version"] or "-",
                f"{pool['up_count']}/{pool['server_count']}",
                "…".join(dict.fromkeys(percent(bp) for bp in shares[:1] + shares[-1:])) or "?",
                str(pool["requests"]),
                _errors(pool),
                str(pool["in_flight"]),
            )
        )
    return ["  " + line for line in columns(rows)]


def _green_shares(view: Json) -> list[int]:
    """Return green's share as each load balancer generation routes now."""
    routes = [route for instance in view["instances"].values() for route in instance["routes"]]
    return [int(head) for route in routes if (head := route.split(":")[0]).isdecimal()]


def _errors(pool: Json) -> str:
    if not pool["requests"]:
        return str(pool["errors"])
    return f"{pool['errors']} ({100 * pool['errors'] / pool['requests']:.2f} %)"


def _verdict(view: Json) -> list[str]:
    verdict = view["verdict"]
    if not verdict:
        return []
    odds = verdict["odds"]
    scale = "" if odds is None else f"   odds {odds:.3g}, back by itself at {verdict['limit']:g}"
    return [f"  judge  {verdict['reason']}{scale}"]


def _instances(view: Json) -> list[str]:
    lines = []
    for name, instance in view["instances"].items():
        if not instance["reachable"]:
            lines.append(f"  ✖ {name} cannot be read: {instance['reason']}")
        elif instance["old_generations"]:
            lines.append(f"  ◐ {name}: {instance['old_generations']} old worker(s) still hold work")
        if instance["routes"] and set(instance["routes"]) != {instance["boot"]}:
            after = instance["boot"] or "not known"
            lines.append(f"  ◐ {name}: routes {', '.join(instance['routes'])}, after a reload {after}")
        lines += [f"  ! {name}: {warning}" for warning in instance.get("warnings", [])]
    return lines


def _servers(view: Json, *, every: bool) -> list[str]:
    shown = {name: one for name, one in view["servers"].items() if every or one["up"] is not True}
    if not shown:
        return []
    rows = [("SERVER", "POOL", "UP", "WEIGHT", "IN-FLIGHT", "REQUESTS", "ERRORS", "DETAIL")]
    words = {True: "● up", False: "✖ down", None: "? unknown"}
    for name, one in shown.items():
        numbers = ["?" if one[key] is None else str(one[key]) for key in ("weight", "in_flight", "requests", "errors")]
        rows.append((name, one["pool"], words[one["up"]], *numbers, one["detail"]))
    return ["  " + line for line in columns(rows)]


def _way_out(name: str, view: Json) -> list[str]:
    if view["phase"] in ENDED:
        return [f"  next   lbctl adopt {name} --active blue|green"] if view["active"] is None else []
    if view["phase"] == "rolling_back":
        return [f"  why    lbctl why {name}"]
    return [f"  stop   lbctl rollback {view['release']}"]


def _daemon(daemon: Json) -> list[str]:
    lines = [] if daemon["journal"] == "ok" else [f"! the journal cannot be written: {daemon['journal']}"]
    if daemon.get("alerts_pending"):
        lines.append(f"◐ {daemon['alerts_pending']} alert(s) not yet delivered")
    return lines
