"""Fill in the defaults that depend on who runs lbctl and on the rest of the config."""

import os
from typing import Any

from lbctl.config.checks import COLOURS
from lbctl.config.composite import Values, sections
from lbctl.config.home import home_of, trust_fault
from lbctl.config.hostkinds import SOCKET_PATH_MAX
from lbctl.config.nodes import Mapping
from lbctl.config.place import BAD
from lbctl.config.planes import INSTANCE


def settle(root: Values, uid: int) -> None:
    """Complete the config in place; whatever has a fault stays as it is."""
    state_dir = _daemon(root["daemon"], uid) if isinstance(root["daemon"], Values) else None
    for name, plane in sections(root["data_planes"]):
        _plane(name, plane, state_dir)
    for name, service in sections(root["services"]):
        if isinstance(service["haproxy"], Values):
            _haproxy(name, service, service["haproxy"])


def _daemon(daemon: Values, uid: int) -> str | None:
    environ = daemon.place.scope.environ
    home = home_of(uid, environ)
    daemon.fill("state_dir", home.state_dir)
    if not daemon.given("runtime_dir"):
        problem = trust_fault(home.runtime_dir, uid, environ)
        if problem:
            daemon.place.fault(problem.what, f"{problem.then}, or set daemon.runtime_dir")
    daemon.fill("runtime_dir", home.runtime_dir)
    if isinstance(daemon["runtime_dir"], str):
        daemon.fill("control_socket", os.path.join(daemon["runtime_dir"], "control.sock"))
    _short_enough(daemon)
    state_dir = daemon["state_dir"]
    return None if state_dir is BAD else str(state_dir)


def _short_enough(daemon: Values) -> None:
    path = daemon["control_socket"]
    if isinstance(path, str) and not daemon.given("control_socket") and len(os.fsencode(path)) > SOCKET_PATH_MAX:
        what = f"the control socket's path would have more than {SOCKET_PATH_MAX} bytes"
        daemon.at("runtime_dir").fault(what, "set daemon.control_socket to a shorter one")


def _plane(name: str, plane: Values, state_dir: str | None) -> None:
    driver: Any = plane["driver"]
    if driver == "envoy":
        plane.fill("mode", "embedded")
        plane.fill("instances", {"local": INSTANCE.read(Mapping((), plane.place.mark), plane.place)})
    key = "map_dir" if driver == "haproxy" else "directory"
    for instance_name, instance in sections(plane["instances"]):
        if state_dir is not None and driver is not BAD:
            instance.fill(key, os.path.join(state_dir, driver, name, instance_name))
        if plane["mode"] == "attached" and isinstance(instance["directory"], str):
            instance.fill("admin", os.path.join(instance["directory"], "admin.sock"))


def _haproxy(name: str, service: Values, haproxy: Values) -> None:
    sessions, backends = service["sessions"], haproxy["backends"]
    if isinstance(sessions, Values) and isinstance(haproxy["cookie"], str):
        sessions.fill("cookie", haproxy["cookie"])
    if isinstance(sessions, Values):
        haproxy.fill("cookie", sessions["cookie"])
    haproxy.fill("bucket_cookie", f"lbctl_{name}")
    if haproxy["form"] == "weights":
        haproxy.fill("backend", f"{name}_servers")
        haproxy.fill("backends", None)
        return
    for colour in COLOURS if isinstance(backends, Values) else ():
        backends.fill(colour, f"{name}_{colour}")
