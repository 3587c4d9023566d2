"""What must fit together. Each check looks at what is readable and leaves alone what already has a fault."""

import os
from collections.abc import Iterator
from typing import Any

from lbctl.config.composite import Values, sections
from lbctl.config.fault import did_you_mean
from lbctl.config.hostkinds import Member
from lbctl.config.place import BAD, Place
from lbctl.config.quantity import STEPS_HINT, span_text, steps_fault
from lbctl.config.secret import url_fault
from lbctl.model.topology import Address

COLOURS = ("blue", "green")
_PROBES = ("http", "https", "tcp", "command")


def steps(found: list[int], places: list[Place]) -> None:
    """Steps rise strictly and end at 100 %."""
    problem = steps_fault(found)
    if problem is not None:
        places[problem[0]].fault(problem[1], STEPS_HINT)


def hold(values: Values) -> None:
    """A step may be held up at least as long as it must be held."""
    if values.good("min", "max") and values["min"] > values["max"]:
        key = "min" if values.given("min") else "max"
        what = f"hold.min {span_text(values['min'])} is longer than hold.max {span_text(values['max'])}"
        values.at(key).fault(what, "raise max or lower min")


def health(values: Values) -> None:
    """One kind of check, and its answer is due before the next one starts."""
    kinds = [key for key in _PROBES if values.given(key)]
    if len(kinds) > 1 or not (kinds or values.refused):
        what = f"{', '.join(kinds)} at once" if kinds else "no kind of check"
        values.place.fault(what, "give one of http, https, tcp, command, as in {http: /healthz}")
    if values.good("interval", "timeout") and values["timeout"] > values["interval"]:
        key = "timeout" if values.given("timeout") else "interval"
        what = f"timeout {span_text(values['timeout'])} is longer than interval {span_text(values['interval'])}"
        values.at(key).fault(what, "lower timeout or raise interval")


def webhook(values: Values) -> None:
    """The URL is one."""
    problem = url_fault(values["url"])
    if problem:
        values.at("url").fault(problem, "write the whole URL into it")


def alert(values: Values) -> None:
    """An alert goes one way."""
    ways = [key for key in ("exec", "webhook") if values.given(key)]
    if len(ways) != 1 and not (values.refused and not ways):
        values.place.fault("both exec and webhook" if ways else "no receiver", "give one of exec, webhook")


def plane(values: Values) -> None:
    """Keys of a data plane belong to its driver."""
    driver = values["driver"]
    if driver is BAD:
        return
    if driver == "haproxy" and not values.given("instances"):
        values.place.fault("the key instances is missing", "add `instances: {lb1: {socket: /run/haproxy/admin.sock}}`")
    _foreign(values, driver, {"mode": "envoy", "envoy": "envoy"})
    for name, instance in sections(values["instances"]):
        _foreign(
            instance, driver, {"directory": "envoy", **dict.fromkeys(("socket", "master_socket", "map_dir"), "haproxy")}
        )
        if driver == "haproxy" and not instance.given("socket"):
            instance.place.fault(f"instance {name} has no socket", "add `socket: /run/haproxy/admin.sock`")


def _foreign(values: Values, driver: str, owners: dict[str, str]) -> None:
    for key, owner in owners.items():
        if owner != driver and values.given(key):
            values.at(key).fault(f"a key for driver {owner}, and this is {driver}", "delete it")


def service(values: Values) -> None:
    """Within one service: no address, name or cookie value twice."""
    pools = values["pools"] if isinstance(values["pools"], Values) else None
    if pools is not None:
        _addresses(values, pools)
        _names(pools)
        _capacity(values, pools)
    haproxy = values["haproxy"]
    if isinstance(haproxy, Values):
        _cookies(values, haproxy)
    if isinstance(values["tls"], Values) and not _asks_by_tls(values):
        values.at("tls").warn("tls is only used by checks over https", "use `health: {https: …}` or delete it")


def _asks_by_tls(values: Values) -> bool:
    return not isinstance(values["health"], Values) or values["health"].given("https")


def members(pools: Values) -> Iterator[tuple[str, str, Member]]:
    """Yield colour, name and server of every readable server."""
    for colour in COLOURS:
        pool = pools[colour]
        for name, member in pool.items() if isinstance(pool, dict) else ():
            if isinstance(member, Member):
                yield colour, name, member


def _addresses(values: Values, pools: Values) -> None:
    first: dict[Address, str] = {}
    listen = values["listen"]
    for colour, name, member in members(pools):
        address = member.address
        there = first.setdefault(address, f"{colour}.{name}")
        if there != f"{colour}.{name}":
            member.place.fault(f"{address} is already the address of {there}", "give each server its own address")
        if isinstance(listen, Address) and _meet(listen, address):
            member.place.fault(f"{address} is this service's own listen address", "write the server's address")


def _meet(listen: Address, other: Address) -> bool:
    """Whether both would bind the same port; a wildcard of the same family meets every address."""
    same_family = (":" in listen.host) == (":" in other.host)
    wild = {"0.0.0.0", "::"} & {listen.host, other.host} and same_family  # noqa: S104
    return listen.port == other.port and (listen.host == other.host or bool(wild))


def _names(pools: Values) -> None:
    colours: dict[str, str] = {}
    cookies: dict[str, str] = {}
    for colour, name, member in members(pools):
        if colours.setdefault(name, colour) != colour:
            member.place.fault(f"{name} is also a server of pool {colours[name]}", "rename one of them")
            continue
        value = member.cookie or name
        if cookies.setdefault(value, name) != name:
            what = f"the cookie value {value} already belongs to {cookies[value]}"
            member.place.fault(what, "give each server its own value")


def _capacity(values: Values, pools: Values) -> None:
    sizes = [len(pools[colour]) for colour in COLOURS if isinstance(pools[colour], dict)]
    capacity = values["capacity"]
    if isinstance(capacity, int) and sizes and capacity > min(sizes):
        what = f"capacity {capacity} is more than the {min(sizes)} servers of the smaller pool"
        values.at("capacity").fault(what, "lower it, or write equal")


def _cookies(values: Values, haproxy: Values) -> None:
    backends = haproxy["backends"]
    if isinstance(backends, Values) and backends.given("green") and backends["blue"] == backends["green"] is not BAD:
        backends.at("green").fault("blue and green are the same backend", "give each pool a backend of its own")
    sessions = values["sessions"]
    both = isinstance(sessions, Values) and haproxy.given("cookie") and sessions.given("cookie")
    if both and BAD not in {haproxy["cookie"], sessions["cookie"]} and haproxy["cookie"] != sessions["cookie"]:
        haproxy.at("cookie").fault("another cookie than sessions.cookie", "delete one of them")


def root(values: Values) -> None:
    """Between services, planes, alerts and roles."""
    services = values["services"] if isinstance(values["services"], dict) else {}
    planes = values["data_planes"] if isinstance(values["data_planes"], dict) else {}
    for name in services:
        _service_name(name, values)
    for name, one in sections(services):
        _routed(name, one, planes)
    _unused(planes, services)
    _listens(services)
    _alert_names(values["alerts"])
    _gates(values["access"], services)


def _service_name(name: str, values: Values) -> None:
    why = "is a colour" if name in COLOURS else "would be a release's number" if name.isdigit() else ""
    if why:
        place = values.place.scope.keys[f"services.{name[:64]}"]
        place.fault(f"a service cannot be named {name[:64]}: it {why}", "rename it")


def _routed(name: str, values: Values, planes: dict[str, Any]) -> None:
    wanted = values["data_plane"]
    if wanted is BAD:
        return
    if wanted not in planes:
        values.at("data_plane").fault(f"no data plane {wanted} is declared", did_you_mean(wanted, planes))
        return
    found = planes[wanted]
    driver = found["driver"] if isinstance(found, Values) else BAD
    if driver == "haproxy" and not values.given("haproxy"):
        then = f"add `haproxy: {{form: map, backends: {{blue: {name}_blue, green: {name}_green}}}}`"
        values.place.fault(f"{wanted} is haproxy, and the key haproxy is missing", then)
    if driver == "envoy" and not values.given("listen"):
        values.place.fault(f"{wanted} is envoy, and the key listen is missing", "add `listen: 127.0.0.1:8080`")
    if driver == "envoy" and values.given("haproxy"):
        values.at("haproxy").warn(f"{wanted} is envoy: haproxy is not used", "delete it")


def _unused(planes: dict[str, Any], services: dict[str, Any]) -> None:
    used = {one["data_plane"] for _, one in sections(services)}
    if BAD in used or BAD in services.values():
        return
    for name, one in sections(planes):
        if name not in used:
            one.place.warn("no service uses this data plane", "delete it, or name it in a service's data_plane")


def _listens(services: dict[str, Any]) -> None:
    taken: list[tuple[str, Address]] = []
    for name, one in sections(services):
        listen = one["listen"]
        if not isinstance(listen, Address):
            continue
        for other, there in taken:
            if _meet(listen, there):
                one.at("listen").fault(
                    f"{listen} and {there}, where {other} listens, cannot both be bound", "choose another port"
                )
        taken.append((name, listen))


def _alert_names(alerts: Any) -> None:
    seen: set[str] = set()
    for one in alerts if isinstance(alerts, list) else ():
        name = one["name"]
        if name is not BAD and name in seen:
            one.at("name").fault(f"a second alert named {name}", "rename it")
        seen.add(name)


def _gates(access: Any, services: dict[str, Any]) -> None:
    gates = access["gate"] if isinstance(access, Values) else None
    for name in gates if isinstance(gates, dict) else ():
        if name not in services:
            place = access.place.scope.keys[f"access.gate.{name[:64]}"]
            place.fault(f"there is no service {name[:64]}", did_you_mean(name, services))


def settled(values: Values) -> None:
    """After defaults that depend on the rest are filled in: what must be apart is apart."""
    _apart(values["data_planes"] if isinstance(values["data_planes"], dict) else {})
    _backends(values["services"] if isinstance(values["services"], dict) else {})


def _apart(planes: dict[str, Any]) -> None:
    taken: list[tuple[str, str]] = []
    sockets: dict[str, str] = {}
    for plane_name, one in sections(planes):
        for name, instance in sections(one["instances"]):
            key = "map_dir" if one["driver"] == "haproxy" else "directory"
            _directory(instance, key, f"{plane_name}/{name}", taken)
            for socket in ("socket", "master_socket"):
                path, owner = instance[socket], f"{socket} of {plane_name}/{name}"
                if isinstance(path, str) and sockets.setdefault(path, owner) != owner:
                    instance.at(socket).fault(f"{path} is already {sockets[path]}", "write this one's own socket")


def _directory(instance: Values, key: str, name: str, taken: list[tuple[str, str]]) -> None:
    path = instance[key]
    if not isinstance(path, str):
        return
    for other, there in taken:
        if os.path.commonpath((path, there)) in {path, there}:
            what = f"{path} overlaps {there}, the directory of {other}"
            instance.at(key).fault(what, f"give each instance a directory of its own in `{key}`")
    taken.append((name, path))


def _backends(services: dict[str, Any]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, one in sections(services):
        backends = one["haproxy"]["backends"] if isinstance(one["haproxy"], Values) else None
        if not isinstance(backends, Values):
            continue
        for colour in COLOURS:
            backend = backends[colour]
            owner = taken.setdefault((one["data_plane"], backend), name) if isinstance(backend, str) else name
            if owner != name:
                backends.at(colour).fault(f"{backend} is already a backend of {owner}", "name this service's own")
