"""What must fit together. Each check looks at what is readable and leaves alone what already has a fault."""

from collections.abc import Iterator

from lbctl.config.composite import Values, sections
from lbctl.config.hostkinds import Member
from lbctl.config.place import BAD, Place
from lbctl.config.quantity import STEPS_HINT, span_text, steps_fault
from lbctl.model.topology import Address

COLOURS = ("blue", "green")
_PROBES = ("http", "https", "tcp", "command")
INSTANCE_KEYS = {
    **dict.fromkeys(("directory", "admin"), "envoy"),
    **dict.fromkeys(("socket", "master_socket", "map_dir"), "haproxy"),
}
"""Which driver a key of an instance is for."""
_PIN_KEYS = {"blue": "listener", "green": "listener", "header": "header"}


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


def approvals(values: Values) -> None:
    """A number without a group, or a group without a number, asks nobody."""
    if values.good("count", "group") and bool(values["count"]) != (values["group"] is not None):
        what = "count without a group" if values["count"] else "a group without a count"
        values.place.fault(what, "give both, as in {count: 1, group: deployers}")


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


def plane(values: Values) -> None:
    """Keys of a data plane belong to its driver."""
    driver = values["driver"]
    if driver is BAD:
        return
    if driver == "haproxy" and not values.given("instances"):
        values.place.fault("the key instances is missing", "add `instances: {lb1: {socket: /run/haproxy/admin.sock}}`")
    _foreign(values, driver, {"mode": "envoy", "envoy": "envoy", "request_log": "haproxy"})
    attached = values["mode"] == "attached"
    if driver == "envoy" and attached and values.given("envoy"):
        values.at("envoy").fault("an attached Envoy is run by others, whichever binary they took", "delete it")
    for name, instance in sections(values["instances"]):
        _foreign(instance, driver, INSTANCE_KEYS)
        if driver == "envoy" and not attached and instance.given("admin"):
            instance.at("admin").fault("a key for mode attached, and this is embedded", "delete it")
        if driver == "haproxy" and not instance.given("socket"):
            instance.place.fault(f"instance {name} has no socket", "add `socket: /run/haproxy/admin.sock`")


def _foreign(values: Values, driver: str, owners: dict[str, str]) -> None:
    for key, owner in owners.items():
        if owner != driver and values.given(key):
            values.at(key).fault(f"a key for driver {owner}, and this is {driver}", "delete it")


def consumer(values: Values) -> None:
    """The keys of a pin belong to its kind, and none of them is missing."""
    pin = values["pin"]
    if pin is BAD:
        return
    for key, owner in _PIN_KEYS.items():
        if owner != pin and values.given(key):
            values.at(key).fault(f"a key for pin {owner}, and this is {pin}", "delete it")
    lacking = [key for key, owner in _PIN_KEYS.items() if owner == pin and not values.given(key)]
    if lacking and not values.refused & _PIN_KEYS.keys():
        then = "add `header: X-Lbctl-Pool`" if pin == "header" else f"add `{lacking[0]}: 10.0.0.5:9001`"
        values.place.fault(f"pin {pin} needs {' and '.join(lacking)}", then)


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
        _form(values, haproxy)
    if values["protocol"] == "tcp" and values.given("sessions"):
        values.at("sessions").warn("TCP has no cookies: sessions are not used", "delete it")
    if isinstance(values["tls"], Values) and not _asks_by_tls(values):
        values.at("tls").warn("tls is only used by questions over https", "use `health: {https: …}` or delete it")


def _asks_by_tls(values: Values) -> bool:
    version = values["version"]
    by_version = isinstance(version, Values) and version.given("https")
    return by_version or not isinstance(values["health"], Values) or values["health"].given("https")


def members(pools: Values) -> Iterator[tuple[str, str, Member]]:
    """Yield colour, name and server of every readable server."""
    for colour in COLOURS:
        pool = pools[colour]
        for name, member in pool.items() if isinstance(pool, dict) else ():
            if isinstance(member, Member):
                yield colour, name, member


def _addresses(values: Values, pools: Values) -> None:
    first: dict[Address, str] = {}
    own = [listen for *_, listen in listens("", values)]
    for colour, name, member in members(pools):
        address = member.address
        there = first.setdefault(address, f"{colour}.{name}")
        if there != f"{colour}.{name}":
            member.place.fault(f"{address} is already the address of {there}", "give each server its own address")
        if any(meet(listen, address) for listen in own):
            member.place.fault(f"{address} is this service's own listen address", "write the server's address")


def listens(name: str, values: Values) -> Iterator[tuple[Values, str, str, Address]]:
    """Yield every address that a service is called at: where it stands (section and key), and what it is for."""
    if isinstance(values["listen"], Address):
        yield values, "listen", f"{name} listens", values["listen"]
    for consumer_name, one in sections(values["consumers"]):
        for colour in COLOURS:
            if isinstance(one[colour], Address):
                yield one, colour, f"{consumer_name}-{colour} calls {name}", one[colour]


def meet(listen: Address, other: Address) -> bool:
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
    sessions = values["sessions"]
    both = isinstance(sessions, Values) and haproxy.given("cookie") and sessions.given("cookie")
    if both and BAD not in {haproxy["cookie"], sessions["cookie"]} and haproxy["cookie"] != sessions["cookie"]:
        haproxy.at("cookie").fault("another cookie than sessions.cookie", "delete one of them")


def _form(values: Values, haproxy: Values) -> None:
    """One backend or two, and what each form can carry."""
    weights = haproxy["form"] == "weights"
    wrong, right = ("backends", "backend: NAME") if weights else ("backend", "backends: {blue: NAME, green: NAME}")
    if haproxy["form"] is not BAD and haproxy.given(wrong):
        count = "one backend" if weights else "two backends"
        haproxy.at(wrong).fault(f"form {haproxy['form']} has {count}", f"write `{right}`")
    if weights and values["protocol"] == "tcp":
        haproxy.at("form").fault("form weights is for http and grpc", "write `form: map`, or another protocol")
