"""From the options of `lbctl simulate` to a rehearsal, and to what it says. Nothing here needs a daemon."""

from dataclasses import replace
from typing import Any

import click

from lbctl.cli.commands.config import loaded_config
from lbctl.cli.commands.simulate import no_such, rate_of, watched_of
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import span_ms
from lbctl.config.quantity import STEPS_HINT, parse_percent, parse_share, shown, steps_fault
from lbctl.control.plans import SPAN_MAX, hold_limit
from lbctl.model.errors import Refused
from lbctl.model.names import Colour, ServiceName
from lbctl.model.topology import Plan, Topology
from lbctl.model.units import MINUTE, Span
from lbctl.sim.rehearsal.rehearse import Refusal, rehearse
from lbctl.sim.rehearsal.script import WRITE, Kind, Reader, Trouble
from lbctl.sim.rehearsal.setting import Setting, taking_part
from lbctl.sim.rehearsal.view import view

Json = dict[str, Any]


def rehearsed(asked: Json) -> Json:
    """Return what would happen.

    Raises:
        Failure: the config is not valid, has no such service, or the release may not begin.
        BadParameter: an option cannot be read; it is named.
    """
    setting = setting_of(loaded_config(asked["file"]).topology, asked)
    try:
        return view(setting, rehearse(setting))
    except Refusal as refused:
        raise Failure(str(refused), why=refused.why, then=refused.then, exit_code=Exit.REFUSED) from None


def setting_of(topology: Topology, asked: Json) -> Setting:
    """Return the rehearsal that the options describe."""
    target = _target(topology, asked["service"])
    try:
        part, carrier, followers, assumed = taking_part(topology, target)
    except KeyError:
        raise no_such(target, [*topology.units, *topology.services]) from None
    except Refused as refused:
        raise Failure(refused.what, why=refused.why, then=refused.then, exit_code=Exit.REFUSED) from None
    active, plan = Colour(asked["active"]), planned(part.unit_of(carrier).plan, asked)
    return Setting(
        topology=part,
        carrier=carrier,
        followers=followers,
        active=active,
        plan=plan,
        troubles=_troubles(Reader(part, carrier, active.other, len(plan.steps_bp)), asked),
        rate=rate_of(asked["rate"]),
        usual_errors=_ratio(asked["usual_errors"], "--usual-errors"),
        usual_ms=float(_span(asked["usual_latency"], "--usual-latency", MINUTE)),
        watched=Span(watched_of(asked["watched"])),
        seed=asked["seed"],
        assumed=tuple(assumed),
    )


def _target(topology: Topology, given: str | None) -> str:
    """Return what goes: the only one there is, where nothing is named."""
    if given is not None:
        unit = topology.unit_of(ServiceName(given)) if given in topology.services else None
        if unit is not None and len(unit.services) > 1:
            raise click.BadParameter(f"{given} goes with unit {unit.name}: name that", param_hint="--service")
        return given
    units = list(dict.fromkeys(topology.unit_of(name).name for name in topology.services))
    if len(units) > 1:
        raise click.UsageError(f"this config has several: say --service {' or --service '.join(units)}")
    return units[0]


def planned(plan: Plan, asked: Json) -> Plan:
    """Return the config's plan with what the options say over it, as a switch would take it."""
    if asked["steps"] is not None:
        plan = replace(plan, steps_bp=_steps(asked["steps"]))
    if asked["hold"] is not None:
        hold = _span(asked["hold"], "--hold", SPAN_MAX)
        plan = replace(plan, hold_min=hold, bake=hold, hold_max=hold_limit(plan, hold))
    bake = plan.bake if asked["bake"] is None else _span(asked["bake"], "--bake", SPAN_MAX)
    retain = plan.retain if asked["retain"] is None else _span(asked["retain"], "--retain", SPAN_MAX)
    return replace(plan, bake=bake, retain=retain)


def _steps(text: str) -> tuple[int, ...]:
    try:
        steps = tuple(parse_share(part.strip()) for part in text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{error}; write 5%,25%,50%,100%", param_hint="--steps") from None
    fault = steps_fault(steps)
    if fault is not None:
        raise click.BadParameter(f"{fault[1]} (number {fault[0] + 1}); {STEPS_HINT}", param_hint="--steps")
    return steps


def _span(text: str, option: str, most: int) -> Span:
    span = Span(span_ms(text, option))
    if span > most:
        raise click.BadParameter(f"{shown(text)} is too long", param_hint=option)
    return span


def _ratio(text: str, option: str) -> float:
    try:
        ratio = float(parse_percent(text)) / 100
    except ValueError as error:
        raise click.BadParameter(f"{error}; write it like 0.05%", param_hint=option) from None
    if not 0 <= ratio <= 1:
        raise click.BadParameter(f"{shown(text)} is not within 0 % and 100 %", param_hint=option)
    return ratio


def _troubles(reader: Reader, asked: Json) -> tuple[Trouble, ...]:
    found = []
    for kind in Kind:
        for text in asked[kind.value]:
            try:
                found.append(reader.read(kind, text))
            except ValueError as error:
                hint = f"--{kind.value}"
                raise click.BadParameter(f"{error}; write {WRITE[kind]}", param_hint=hint) from None
    return tuple(found)
