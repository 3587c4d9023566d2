"""From checked values to the model. Nothing can be wrong any more here."""

from typing import Any

from lbctl.config.attestation import version_check
from lbctl.config.composite import Values
from lbctl.config.hooks import hooks_of
from lbctl.config.settings import Access, DaemonSettings
from lbctl.model.names import Colour, InstanceName, PlaneName, ServerName, ServiceName, UnitName
from lbctl.model.sessions import AtDeadline, SessionPolicy
from lbctl.model.topology import (
    Approvals,
    Consumer,
    Deadlines,
    Drain,
    DriftPolicy,
    Driver,
    EnvoyMode,
    Freeze,
    HaproxyBinding,
    HaproxyForm,
    HealthCheck,
    HoldLimit,
    Instance,
    JudgeSettings,
    PinKind,
    Plan,
    Plane,
    PlanMode,
    Pool,
    Probe,
    Protocol,
    Rendezvous,
    Server,
    ServerTls,
    Service,
    SessionsBack,
    Topology,
    Unit,
)


def topology(root: Values) -> Topology:
    """Return planes, services and units."""
    planes = {PlaneName(name): _plane(PlaneName(name), values) for name, values in root["data_planes"].items()}
    units = {UnitName(name): _unit(UnitName(name), values) for name, values in (root["units"] or {}).items()}
    unit_of = {service: unit for unit in units.values() for service in unit.services}
    names = [(ServiceName(name), values) for name, values in root["services"].items()]
    return Topology(planes, {name: _service(name, values, unit_of.get(name)) for name, values in names}, units)


def daemon(root: Values) -> DaemonSettings:
    """Return where lbctl's own files are."""
    values = root["daemon"]
    keys = ("state_dir", "runtime_dir", "control_socket", "metrics", "dashboard")
    return DaemonSettings(**{key: values[key] for key in keys})


def access(root: Values) -> Access:
    """Return who may do what."""
    values = root["access"]
    gate = {ServiceName(name): people for name, people in (values["gate"] or {}).items()}
    return Access(observe=values["observe"], operate=values["operate"], admin=values["admin"], gate=gate)


def _plane(name: PlaneName, values: Values) -> Plane:
    driver = Driver(values["driver"])
    directory = "map_dir" if driver is Driver.HAPROXY else "directory"
    instances = tuple(
        Instance(
            name=InstanceName(f"{name}/{short}"),
            directory=one[directory],
            socket=one["socket"] or one["admin"],
            master_socket=one["master_socket"],
        )
        for short, one in values["instances"].items()
    )
    binary = values["envoy"]["binary"] if values["envoy"] is not None else None
    return Plane(
        name=name,
        driver=driver,
        instances=instances,
        envoy_binary=binary,
        envoy_mode=EnvoyMode(values["mode"] or EnvoyMode.EMBEDDED),
        request_log=values["request_log"],
    )


def _unit(name: UnitName, values: Values) -> Unit:
    return Unit(
        name=name,
        services=tuple(ServiceName(one) for one in values["services"]),
        rendezvous=None if values["rendezvous"] is None else Rendezvous(values["rendezvous"]),
        plan=_plan(values),
        judge=_judge(values["judge"]),
        deadlines=_deadlines(values),
        freeze=_freeze(values),
        hooks=hooks_of(values["hooks"]),
    )


def _service(name: ServiceName, values: Values, unit: Unit | None) -> Service:
    """Return a service; in a unit it goes by the unit's plan and is judged by the unit's rules."""
    tls = values["tls"]
    return Service(
        name=name,
        plane=PlaneName(values["data_plane"]),
        blue=_pool(Colour.BLUE, values),
        green=_pool(Colour.GREEN, values),
        listen=values["listen"],
        listen_tls=values["listen_tls"],
        health=_health(values["health"]),
        version=version_check(values["version"]),
        tls=None if tls is None else ServerTls(tls["ca"], tls["name"]),
        haproxy=_haproxy(values["haproxy"]),
        protocol=Protocol(values["protocol"]),
        cookie=values["sessions"]["cookie"],
        drain=_drain(values["drain"]),
        preview=tuple(values["preview"]["networks"]),
        sessions=_sessions(values["sessions"]),
        consumers={ServiceName(one): _consumer(about) for one, about in (values["consumers"] or {}).items()},
        plan=_plan(values) if unit is None else unit.plan,
        judge=_judge(values["judge"]) if unit is None else unit.judge,
        deadlines=_deadlines(values) if unit is None else unit.deadlines,
        freeze=_freeze(values) if unit is None else unit.freeze,
        hooks=hooks_of(values["hooks"]) if unit is None else unit.hooks,
    )


def _drain(values: Values) -> Drain:
    return Drain(
        quiet=values["quiet"],
        idle=values["idle"],
        limit=values["limit"],
        known=tuple(values["known"]),
    )


def _sessions(values: Values) -> SessionPolicy:
    return SessionPolicy(
        per_second=values["policy"],
        deadline=values["deadline"],
        at_deadline=AtDeadline(values["at_deadline"]),
    )


def _deadlines(values: Values) -> Deadlines:
    return Deadlines(**{key: values["deadlines"][key] for key in ("board", "claim")})


def _freeze(values: Values) -> tuple[Freeze, ...]:
    return tuple(
        Freeze(
            start=one["from"],
            end=one["until"],
            zone=one["zone"],
            days=tuple(one["days"] or ()),
            reason=one["reason"] or "",
        )
        for one in values["freeze"] or ()
    )


def _consumer(values: Values) -> Consumer:
    kind = PinKind(values["pin"])
    listeners = {colour: values[colour.value] for colour in Colour} if kind is PinKind.LISTENER else {}
    return Consumer(kind=kind, listeners=listeners, header=values["header"])


def _pool(colour: Colour, values: Values) -> Pool:
    named = values["pools"][colour.value].items()
    return Pool(colour, tuple(Server(ServerName(name), one.address, one.cookie) for name, one in named))


def _haproxy(values: Values | None) -> HaproxyBinding | None:
    if values is None:
        return None
    form = HaproxyForm(values["form"])
    shared = form is HaproxyForm.WEIGHTS
    backends = {colour: values["backend"] if shared else values["backends"][colour.value] for colour in Colour}
    return HaproxyBinding(backends, values["cookie"], values["bucket_cookie"], form)


def _health(values: Values | None) -> HealthCheck | None:
    if values is None:
        return None
    kind = next(probe for probe in Probe if values.given(probe.value))
    asked: Any = values[kind.value]
    shared = ("port", "host", "status", "interval", "timeout", "rise", "fall", "keep_alive")
    return HealthCheck(
        kind=kind,
        path=asked if kind in {Probe.HTTP, Probe.HTTPS} else "/",
        command=asked if kind is Probe.COMMAND else (),
        **{key: values[key] for key in shared},
    )


def _approvals(values: Values) -> Approvals:
    group = values["group"]
    return Approvals(values["count"], "" if group is None else group.text, None if group is None else group.id)


def _plan(values: Values) -> Plan:
    hold = values["hold"]
    return Plan(
        steps_bp=tuple(values["steps"]),
        hold_min=hold["min"],
        hold_max=hold["max"],
        hold_then=HoldLimit(hold["then"]),
        bake=values["bake"],
        retain=values["retain"],
        preflight=values["deadlines"]["preflight"],
        approvals=_approvals(values["approvals"]),
        approval=values["deadlines"]["approval"],
        sessions_back=SessionsBack(values["on_rollback"]["sessions"]),
        drift=DriftPolicy(values["drift"]),
        min_healthy_bp=values["min_healthy"],
        capacity=values["capacity"],
    )


def _judge(values: Values) -> JudgeSettings:
    return JudgeSettings(
        slo_ratio=values["slo"],
        false_rollback=values["false_rollback"],
        active_limit=values["active_limit"],
        dispersion=values["dispersion"],
        blind_limit=values["blind_limit"],
        target_rate=values["target_rate"],
        plan=PlanMode(values["plan"]),
        retreat_above_bp=values["retreat_above"],
        retreat_to_bp=values["retreat_to"],
        slow_limit=values["slow_limit"],
    )
