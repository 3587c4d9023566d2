"""What must fit together between services, data planes, alerts and roles."""

import os
from collections.abc import Iterator
from typing import Any

from lbctl.config.checks import COLOURS, listens
from lbctl.config.composite import Values, sections
from lbctl.config.coupled import coupled
from lbctl.config.fault import did_you_mean
from lbctl.config.place import BAD
from lbctl.config.previewing import preview
from lbctl.model.topology import Address, RequestLog


def root(values: Values) -> None:
    """Between services, planes, alerts and roles."""
    services = values["services"] if isinstance(values["services"], dict) else {}
    planes = values["data_planes"] if isinstance(values["data_planes"], dict) else {}
    _names(services, values["units"], values)
    for name, one in sections(services):
        _routed(name, one, planes)
    _unused(planes, services)
    coupled(services, values["units"], planes)
    _listens(services)
    _alert_names(values["alerts"])
    _gates(values["access"], services)


def _names(services: dict[str, Any], units: Any, values: Values) -> None:
    """Services and units share one namespace: a command takes either."""
    for kind, key, names in (("service", "services", services), ("unit", "units", units)):
        for name in names if isinstance(names, dict) else ():
            why = "is a colour" if name in COLOURS else "would be a release's number" if name.isdigit() else ""
            why = "is also a service" if kind == "unit" and name in services else why
            if why:
                place = values.place.scope.keys[f"{key}.{name[:64]}"]
                place.fault(f"a {kind} cannot be named {name[:64]}: it {why}", "rename it")


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
    if driver == "envoy" and found["mode"] != "attached" and not values.given("listen"):
        values.place.fault(f"{wanted} is envoy, and the key listen is missing", "add `listen: 127.0.0.1:8080`")
    if driver is not BAD:
        preview(values, driver)
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
    """No two addresses that are listened on meet; a wildcard meets every address of its family and port."""
    taken: dict[tuple[str, int], tuple[str, Address]] = {}
    for name, one in sections(services):
        for section, key, purpose, listen in listens(name, one):
            met = next((taken[at] for at in ((listen.host, listen.port), *_around(listen)) if at in taken), None)
            if met is not None:
                what = f"{listen} and {met[1]}, where {met[0]}, cannot both be bound"
                section.at(key).fault(what, "choose another port")
            for at in ((listen.host, listen.port), (_family(listen), listen.port)):
                taken.setdefault(at, (purpose, listen))


def _around(listen: Address) -> Iterator[tuple[str, int]]:
    """Yield where another one is found that binds the same port: the wildcard, and for a wildcard any of its family."""
    wild = "::" if ":" in listen.host else "0.0.0.0"  # noqa: S104
    yield wild, listen.port
    if listen.host == wild:
        yield _family(listen), listen.port


def _family(listen: Address) -> str:
    return "any IPv6" if ":" in listen.host else "any IPv4"


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
    planes = values["data_planes"] if isinstance(values["data_planes"], dict) else {}
    _apart(planes)
    _logs_apart(planes, values["daemon"])
    _backends(values["services"] if isinstance(values["services"], dict) else {})


def _apart(planes: dict[str, Any]) -> None:
    taken: dict[str, tuple[str, str]] = {}
    above: dict[str, tuple[str, str]] = {}
    sockets: dict[str, str] = {}
    for plane_name, one in sections(planes):
        for name, instance in sections(one["instances"]):
            key = "map_dir" if one["driver"] == "haproxy" else "directory"
            _directory(instance, key, f"{plane_name}/{name}", taken, above)
            for socket in ("socket", "master_socket", "admin"):
                path, owner = instance[socket], f"{socket} of {plane_name}/{name}"
                if isinstance(path, str) and sockets.setdefault(path, owner) != owner:
                    instance.at(socket).fault(f"{path} is already {sockets[path]}", "write this one's own socket")


def _logs_apart(planes: dict[str, Any], daemon: Any) -> None:
    taken: dict[object, str] = {}
    if isinstance(daemon, Values):
        taken[daemon["control_socket"]] = "daemon.control_socket"
        for key in ("metrics", "dashboard"):
            own, owner = daemon[key], f"daemon.{key}"
            at = ("tcp", own) if isinstance(own, Address) else own
            if isinstance(own, str | Address) and taken.setdefault(at, owner) != owner:
                then = "write a path of its own" if isinstance(own, str) else "write a port of its own"
                daemon.at(key).fault(f"{own} is already {taken[at]}", then)
    for plane_name, one in sections(planes):
        for name, instance in sections(one["instances"]):
            taken |= {instance[key]: f"{key} of {plane_name}/{name}" for key in ("socket", "master_socket", "admin")}
    for name, one in sections(planes):
        log, owner = one["request_log"], f"the request log of {name}"
        if isinstance(log, RequestLog) and taken.setdefault(log.at, owner) != owner:
            what = f"{log.at} is already {taken[log.at]}"
            one.at("request_log").fault(what, "give each data plane an address of its own")


def _directory(
    instance: Values, key: str, name: str, taken: dict[str, tuple[str, str]], above: dict[str, tuple[str, str]]
) -> None:
    """One directory in another is a fault. `taken` are those seen so far, `above` all that such a one lies in."""
    path = instance[key]
    if not isinstance(path, str):
        return
    around = (path, *_parents(path))
    met = above.get(path) or next((taken[one] for one in around if one in taken), None)
    if met is not None:
        what = f"{path} overlaps {met[0]}, the directory of {met[1]}"
        instance.at(key).fault(what, f"give each instance a directory of its own in `{key}`")
    taken.setdefault(path, (path, name))
    for one in around:
        above.setdefault(one, (path, name))


def _parents(path: str) -> Iterator[str]:
    while path != os.path.dirname(path):
        path = os.path.dirname(path)
        yield path


def _backends(services: dict[str, Any]) -> None:
    taken: dict[tuple[str, str], str] = {}
    for name, one in sections(services):
        for place, key, this in _owned(name, one["haproxy"]):
            backend = place[key]
            owner = taken.setdefault((one["data_plane"], backend), this) if isinstance(backend, str) else this
            if owner != this:
                what = f"{backend} is already the backend of {owner}"
                place.at(key).fault(what, "give each pool a backend of its own")


def _owned(name: str, haproxy: Any) -> Iterator[tuple[Values, str, str]]:
    """Yield where a service names its backends, and whose each is."""
    if not isinstance(haproxy, Values):
        return
    if haproxy["form"] == "weights":
        yield haproxy, "backend", name
    elif isinstance(haproxy["backends"], Values):
        for colour in COLOURS:
            yield haproxy["backends"], colour, f"{name}'s pool {colour}"
