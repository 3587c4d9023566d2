"""What a new config may not change while lbctl runs: its own directories, and whatever a running release is about.

A release fixes who goes and who calls whom. So do those that its members call and are called by: they need not go
themselves for a pin of the release to stand at them, or to tell them by their addresses.
"""

from collections.abc import Collection

from lbctl.config.fault import Fault
from lbctl.config.settings import Config
from lbctl.model.names import Colour, ServiceName
from lbctl.model.topology import PinKind, Pool


def check_reload(old: Config, new: Config, in_release: Collection[ServiceName]) -> list[Fault]:
    """Return why `new` cannot replace `old` while running: empty if it can. Places are those of `new`."""
    faults = [
        new.fault(f"daemon.{key}", f"{key} cannot change while lbctl runs", "restart lbctld, or put it back")
        for key in ("state_dir", "runtime_dir", "control_socket", "metrics", "dashboard")
        if getattr(old.daemon, key) != getattr(new.daemon, key)
    ]
    for name in sorted(in_release):
        faults.extend(_released(old, new, name))
        faults.extend(_called(old, new, name, in_release))
        faults.extend(_calling(old, new, name, in_release))
    return list(dict.fromkeys(faults))


def _then(name: ServiceName) -> str:
    return f"wait for its release, or end it with `lbctl rollback {name}`"


def _released(old: Config, new: Config, name: ServiceName) -> list[Fault]:
    before, now = old.topology.services.get(name), new.topology.services.get(name)
    then = _then(name)
    if before is None:
        return []
    if now is None:
        return [new.fault(f"services.{name}", f"{name} is in release and cannot vanish", then)]
    kept = {
        "pools.blue": (before.blue, now.blue),
        "pools.green": (before.green, now.green),
        "data_plane": (old.topology.planes[before.plane], new.topology.planes[now.plane]),
        "haproxy": (before.haproxy, now.haproxy),
        "protocol": (before.protocol, now.protocol),
        "judge": (before.judge, now.judge),
        "listen": ((before.listen, before.listen_tls), (now.listen, now.listen_tls)),
        "sessions": (before.cookie, now.cookie),
        "consumers": (before.consumers, now.consumers),
    }
    return _regrouped(old, new, name) + [
        new.fault(f"services.{name}.{key}", f"cannot change while {name} is in release", then)
        for key, (was, is_now) in kept.items()
        if was != is_now
    ]


def _called(old: Config, new: Config, name: ServiceName, in_release: Collection[ServiceName]) -> list[Fault]:
    """What `name` calls: its candidate's pins stand there, also where that service does not go with it."""
    found: list[Fault] = []
    for provider in {**old.topology.services, **new.topology.services}:
        before, now = old.topology.services.get(provider), new.topology.services.get(provider)
        was = None if before is None else before.consumers.get(name)
        is_now = None if now is None else now.consumers.get(name)
        if provider in in_release or (was is None and is_now is None):
            continue
        what = f"cannot change while {name}, which calls {provider}, is in release"
        if was != is_now:
            key = "" if now is None else ".consumers" if is_now is None else f".consumers.{name}"
            found.append(new.fault(f"services.{provider}{key}", what, _then(name)))
        elif before is not None and now is not None:
            found += [new.fault(f"services.{provider}.{key}", what, _then(name)) for key in _moved(old, new, provider)]
    return found


def _moved(old: Config, new: Config, provider: ServiceName) -> list[str]:
    """Return the keys by which a provider's pins would have to be written to somewhere else."""
    before, now = old.topology.services[provider], new.topology.services[provider]
    planes = old.topology.planes[before.plane], new.topology.planes[now.plane]
    changed = {"data_plane": planes[0] != planes[1], "haproxy": before.haproxy != now.haproxy}
    return [key for key, is_so in changed.items() if is_so]


def _calling(old: Config, new: Config, name: ServiceName, in_release: Collection[ServiceName]) -> list[Fault]:
    """Who calls `name`: a pool that is told by its servers' addresses keeps them while its pin counts."""
    found: list[Fault] = []
    for consumer, how in old.topology.services[name].consumers.items() if name in old.topology.services else ():
        before, now = old.topology.services.get(consumer), new.topology.services.get(consumer)
        if how.kind is not PinKind.SOURCE or consumer in in_release or before is None or now is None:
            continue
        what = f"cannot change while {name}, which tells {consumer} by its servers' addresses, is in release"
        found += [
            new.fault(f"services.{consumer}.pools.{colour}", what, _then(name))
            for colour in Colour
            if _hosts(before.pool(colour)) != _hosts(now.pool(colour))
        ]
    return found


def _hosts(pool: Pool) -> set[str]:
    return {server.address.host for server in pool.servers}


def _regrouped(old: Config, new: Config, name: ServiceName) -> list[Fault]:
    was, is_now = old.topology.unit_of(name), new.topology.unit_of(name)
    if (was.name, was.services) == (is_now.name, is_now.services):
        return []
    what = f"the services of {was.name} cannot change while {was.name} is in release"
    then = f"wait for its release, or end it with `lbctl rollback {was.name}`"
    return [new.fault(f"units.{was.name}.services", what, then)]
