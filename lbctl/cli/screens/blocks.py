"""Parts of the status screen that services and units share: pools, servers, load balancers, holds, the judge."""

from collections.abc import Mapping
from typing import Any

from lbctl.cli.screens.lines import columns, share
from lbctl.model.units import BP_FULL, percent, seconds

Json = dict[str, Any]
POOL_HEAD = ("POOL", "STATE", "VERSION", "UP", "SHARE", "REQUESTS", "ERRORS", "IN-FLIGHT")
HOLDERS_MAX = 5
SERVER_HEAD = ("SERVER", "POOL", "UP", "WEIGHT", "IN-FLIGHT", "ATTEMPTS", "FAILED", "DETAIL")
"""An attempt that failed and was repeated on another server is no failed request: the sums differ from the pool's."""


def where(view: Json) -> str:
    """Return at which step and share a release is, and for how long."""
    step = view["step"]
    index = f"   step {step['index']}/{step['count']}" if step else ""
    since = f" for {seconds(step['since_ms'])}" if step else ""
    return f"{index} ({shares(view)}){since}"


def shares(view: Json) -> str:
    """Return the wanted share, and the one read back where it is another."""
    if view["observed_share_bp"] in {view["share_bp"], None}:
        return share(view["share_bp"]) + ("" if view["observed_share_bp"] is not None else ", not read back")
    return f"{share(view['share_bp'])} wanted, {share(view['observed_share_bp'])} read back"


def held(view: Json) -> list[str]:
    """Return why it is held."""
    hold = view["held"]
    if not hold:
        return []
    lines = [f"  ◐ held {seconds(hold['since_ms'])}   {hold['reason']}"]
    return lines + ([f"    needs  {hold['needs']}"] if hold.get("needs") else [])


def pool_rows(view: Json, *, pinned: bool = False) -> list[tuple[str, ...]]:
    """Return a row for each pool. `pinned`: its callers are pinned, so the split is not what counts."""
    rows: list[tuple[str, ...]] = []
    greens = _green_shares(view)
    for colour, pool in view["pools"].items():
        found = sorted(bp if colour == "green" else BP_FULL - bp for bp in greens)
        split = "…".join(dict.fromkeys(percent(bp) for bp in found[:1] + found[-1:])) or "?"
        rows.append(
            (
                colour,
                pool["state"] or "-",
                _version(pool),
                _up(pool),
                "by pins" if pinned else split,
                _count(pool["requests"]),
                _errors(pool),
                _count(pool["in_flight"]),
            )
        )
    return rows


def _up(pool: Json) -> str:
    drained = pool.get("drained_count", 0)
    return f"{pool['up_count']}/{pool['server_count']}" + (f", {drained} drained" if drained else "")


def holders(view: Json, of: str = "") -> list[str]:
    """Return who is in flight for long where no new traffic goes, and which pools are certified; `of`: whose."""
    lines = []
    for colour, pool in view["pools"].items():
        lines += [f"  ● {of}{colour} is certified: unused, it may be stopped"] if pool.get("certified") else []
        lines += void(pool.get("voided"), f"{of}{colour}")
        lines += [f"  ◐ {of}{colour} is not proved unused: {pool['unproven']}"] if pool.get("unproven") else []
        for one in pool.get("holders", [])[:HOLDERS_MAX]:
            who, age = one["client"] or "client not told", "at least " * one["at_least"] + seconds(one["age_ms"])
            lines.append(f"  there  {of}{colour}: {who} at {one['server']} for {age}")
    return lines


def void(found: Json | None, whose: str) -> list[str]:
    """Return that a certificate is void, and that one was, which stays true beside a new one."""
    if not found:
        return []
    if found["standing"]:
        return [f"  ✖ {whose} is in use, do not stop it: {found['text']}"]
    return [f"  ! {whose}: somebody came late before, {seconds(found['since_ms'])} ago: {found['why']}"]


def _version(pool: Json) -> str:
    """The recorded version, and how many servers said lately that they run it."""
    heard = pool.get("attested")
    count = f" ({heard.get(pool['version'], 0)} of {pool['server_count']} say so)" if heard else ""
    return f"{pool['version'] or '-'}{count}"


def _green_shares(view: Json) -> list[int]:
    """Return green's share as each load balancer generation routes now."""
    routes = [route for instance in view["instances"].values() for route in instance["routes"]]
    return [int(head) for route in routes if (head := route.split(":")[0]).isdecimal()]


def _count(number: int | None) -> str:
    return "?" if number is None else str(number)


def _errors(pool: Json) -> str:
    if not pool["requests"]:
        return _count(pool["errors"])
    return f"{pool['errors']} ({100 * pool['errors'] / pool['requests']:.2f} %)"


def judge(view: Json, of: str = "") -> list[str]:
    """Return the judge's word; `of`: on which service."""
    verdict = view["verdict"]
    if not verdict:
        return []
    odds = verdict["odds"]
    scale = (
        ""
        if odds is None or "odds" in verdict["reason"]
        else f"   odds {odds:.3g}, back by itself at {verdict['limit']:g}"
    )
    return [f"  judge  {of}{verdict['reason']}{scale}"]


def instances(view: Json, of: str = "") -> list[str]:
    """Return what is not as it should be on the load balancers; `of`: for which service."""
    lines = []
    for name, instance in view["instances"].items():
        if not instance["reachable"]:
            lines.append(f"  ✖ {name} cannot be read: {instance['reason']}")
        elif instance["old_generations"]:
            lines += [f"  ◐ {name}: {text}" for text in _old_workers(instance)]
        if instance["routes"] and set(instance["routes"]) != {instance["boot"]}:
            after = instance["boot"] or "not known"
            lines.append(f"  ◐ {name}: {of}routes {', '.join(instance['routes'])}, after a reload {after}")
        lines += _measured(name, instance.get("measured"))
        lines += [f"  ! {name}: {warning}" for warning in instance.get("warnings", [])]
    return lines


def _old_workers(instance: Json) -> list[str]:
    """Return who keeps which old worker alive; only how many there are where that is all that is known."""
    told = [f"old worker {one['text']}" for one in instance.get("old_workers", [])]
    return told or [f"{instance['old_generations']} old worker(s) still hold work"]


def adopt_next(name: str, view: Json) -> str:
    """Return how a service that is only observed is adopted: by load balancers that answer."""
    away = [one for one, instance in view["instances"].items() if not instance["reachable"]]
    first = f"see that {', '.join(away)} can be read, then " if away else ""
    return f"  next   {first}lbctl adopt {name} --active {_serving(view) or 'blue|green'} --version VERSION"


def _serving(view: Json) -> str:
    """Return the pool that takes all new traffic by every load balancer's word; empty where there is none."""
    shares = {*_green_shares(view)}
    return {frozenset({0}): "blue", frozenset({BP_FULL}): "green"}.get(frozenset(shares), "")


def unready(view: Json) -> list[str]:
    """Return what a release would wait for: only a plan would tell it else."""
    return [f"  ! not ready for a release: {one['text']} [{one['code']}]" for one in view.get("unready", [])]


def _measured(name: str, seen: Json | None) -> list[str]:
    if not seen or not seen["requests"]:
        return []
    told = f"{share(seen['request_share_bp'])} of {seen['requests']} new requests"
    kept = seen["session_share_bp"]
    return [f"  seen   {name}: {told}{'' if kept is None else f', {share(kept)} of sessions'} on the candidate"]


def sessions(view: Json, of: str = "") -> list[str]:
    """Return how sessions leave a pool that drains; `of`: of which service."""
    lines = []
    for colour, one in (view.get("sessions") or {}).items():
        leaving = one["leaving"]
        if leaving and leaving["keep_bp"]:
            lines.append(f"  sessions  {of}{colour}: {leaving['text']}")
            lines += [f"    ◐ none is moved now: {leaving['hindered']}"] if leaving["hindered"] else []
        lines += [f"  sessions  {of}{colour}: {one['kept']}"] if one.get("kept") else []
    return lines


def servers(views: Mapping[str, Json], *, every: bool) -> list[str]:
    """Return a table of servers, by the service whose they are where there are several: all, or those that are not up
    or are drained, or are to be."""
    shown = [
        ((f"{service}/{name}" if len(views) > 1 else name), one)
        for service, view in views.items()
        for name, one in view["servers"].items()
        if every or one["up"] is not True or one.get("draining") or one.get("drained")
    ]
    if not shown:
        return []
    rows = [SERVER_HEAD]
    words = {True: "● up", False: "✖ down", None: "? unknown"}
    for name, one in shown:
        numbers = [_count(one[key]) for key in ("weight", "in_flight", "requests", "errors")]
        ordered = one["up"] is True and one.get("drained")
        word = "◐ drained" if one.get("draining") else "◐ ordered" if ordered else words[one["up"]]
        rows.append((name, one["pool"], word, *numbers, one["detail"]))
    return ["  " + line for line in columns(rows)]


def claims(found: Mapping[str, Json]) -> list[str]:
    """Return who holds which pool to deploy to it."""
    return [
        f"  claim  {name} {one['colour']} for {seconds(one['since_ms'])} by {one.get('build') or one['by']}: "
        + ("● granted" if one["granted"] else f"◐ not granted yet: {one['waits']}")
        for name, one in found.items()
    ]


def board(found: Mapping[str, Json]) -> list[str]:
    """Return the versions that are ready, and what each waits for."""
    lines = []
    for name, one in found.items():
        lines.append(f"  ready  {name} {one['version']} for {seconds(one['since_ms'])} by {one['by']}   {one['build']}")
        lines.append(f"         ◐ {one['waits']}")
        lines += [f"         ! {one['doubt']}"] if one.get("doubt") else []
    return lines
