"""Everything one decision about one running release looks at, gathered once per tick. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from lbctl.core import judge
from lbctl.core.coupling import providers_of
from lbctl.core.emptiness import Emptiness, emptiness
from lbctl.core.matrix import Tally
from lbctl.core.readback import under_way
from lbctl.core.state import REFUSED_FOR, Progress, State
from lbctl.core.targets import exposed, target
from lbctl.core.wellness import Pair, Wellness, together, way_open
from lbctl.model.attested import Attested
from lbctl.model.hook import Heard, Hook, HookKey
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.reading import InstanceReading, Token, Unreadable
from lbctl.model.record import Adopted, Phase, Record, Release
from lbctl.model.route import Route
from lbctl.model.sessions import Attendance
from lbctl.model.topology import Plan, Service
from lbctl.model.units import Instant, Span, since


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """One running release at one instant. `candidate` and `active` are by role: colours do not matter here.

    `service`, `adopted` and `want` are the carrier's. `services`, `pairs` and `wants` have every service of the
    release; `candidate` and `active` are all their pools together, `readings` all their instances.
    """

    at: Instant
    record: Record
    service: Service
    adopted: Adopted
    release: Release
    want: Route
    services: Mapping[ServiceName, Service]
    wants: Mapping[ServiceName, Route]
    instances: Mapping[ServiceName, tuple[InstanceName, ...]]
    pairs: Mapping[ServiceName, Pair]
    progress: Progress | None
    readings: Mapping[InstanceName, InstanceReading | Unreadable | None]
    unresolved: Mapping[InstanceName, str]
    refusals: Mapping[InstanceName, str]
    """Instances that refused a change of one of its services lately, and why."""
    under_way: frozenset[InstanceName]
    """Instances with an operation for this service on its way, or not read since it ended."""
    matrix: Mapping[ServiceName, Tally]
    """Who called whom: of every service that one of the release calls, or that is one of it and is called."""
    empties: Mapping[ServiceName, Emptiness]
    """How far the proof is that each old pool is unused; nothing before it drains."""
    token: Token
    token_trouble: str
    """Why the token cannot be read; empty if it can."""
    candidate: Wellness
    active: Wellness
    candidate_up_since: Instant
    """When the last of the candidate's servers came up, by the prober."""
    way_open: bool
    checker_suspect: str
    frozen: str
    """Why nothing goes forward now by the calendar; empty if it may."""
    frozen_for: Span | None
    """How long that lasts; None: nobody knows."""
    attendance: Mapping[InstanceName, Attendance]
    """Who came to the carrier, and what was drawn, by the instances that can tell."""
    attested: Mapping[tuple[ServiceName, ServerName], Attested]
    configured_hooks: tuple[Hook, ...]
    hooks: Mapping[HookKey, Heard]
    """What hooks said at this target."""
    durable: bool
    durable_at: Instant
    journal_error: str

    @property
    def verdict(self) -> judge.Verdict | None:
        """The judge's last word for this release."""
        return None if self.progress is None else self.progress.verdict

    @property
    def reached_since(self) -> Instant | None:
        """Since when every instance reads back the target."""
        return None if self.progress is None else self.progress.reached_since

    @property
    def moving(self) -> bool:
        """Whether the candidate gets user traffic that the judge watches."""
        return self.release.phase in {Phase.SHIFTING, Phase.BAKING}


Situations = Mapping[ServiceName, Situation]


def situations(state: State, now: Instant) -> Situations:
    """Gather the facts about every running release, by each of its services."""
    found: dict[ServiceName, Situation] = {}
    for release in state.record.releases.values():
        here = None if release.phase.ended else situation(state, release.service, now)
        if here is not None:
            found |= dict.fromkeys(release.members, here)
    return found


def situation(state: State, name: ServiceName, now: Instant) -> Situation | None:
    """Gather the facts about the running release that `name` is part of; None if there is none, or if a service of it
    vanished from the config."""
    release = state.record.running(name)
    if release is None or any(member not in state.topology.services for member in release.members):
        return None
    service = state.topology.services[release.service]
    wants = {one: want for one in release.members if (want := target(state.topology, state.record, one)) is not None}
    instances = dict.fromkeys(i for one in release.members for i in state.topology.instances_of(one))
    readings = {instance: state.observed.instances.get(instance) for instance in instances}
    pairs = {
        one: Pair(candidate=state.wells[one, member.to], active=state.wells[one, member.origin])
        for one, member in release.members.items()
    }
    frozen, frozen_for = _frozen(state, release)
    return Situation(
        at=now,
        record=state.record,
        service=service,
        adopted=state.record.services[release.service],
        release=release,
        want=wants[release.service],
        services={one: state.topology.services[one] for one in release.members},
        wants=wants,
        instances={one: state.topology.instances_of(one) for one in release.members},
        pairs=pairs,
        progress=state.progress.get(release.id),
        readings=readings,
        unresolved={i: why for i in instances if i in state.lanes and (why := state.lanes[i].unresolved)},
        refusals=_refusals(state, release, now),
        under_way=_under_way(state, release, readings),
        matrix=_matrix(state, release),
        empties=_empties(state, release, now),
        token=state.observed.tokens.get(release.id, Token.NONE),
        token_trouble=state.observed.token_trouble.get(release.id, ""),
        candidate=together({one: pair.candidate for one, pair in pairs.items()}),
        active=together({one: pair.active for one, pair in pairs.items()}),
        candidate_up_since=_up_since(state, service, release.to),
        way_open=all(way_open(pair.active, pair.candidate, release.plan.min_healthy_bp) for pair in pairs.values()),
        checker_suspect=_suspect(state, release),
        frozen=frozen,
        frozen_for=frozen_for,
        attendance=_attendance(state, release.service),
        attested=state.observed.attested,
        configured_hooks=state.topology.unit_of(release.service).hooks,
        hooks={key: one for key, one in state.hooks.items() if (key.release, key.epoch) == (release.id, release.epoch)},
        durable=state.durable.rev == state.record.rev,
        durable_at=state.durable_at,
        journal_error=state.journal_error,
    )


def _suspect(state: State, release: Release) -> str:
    """Return why the checks of the first service that they are doubted of are doubted; empty if of none."""
    return next((why for one in release.members if (why := state.observed.checker_suspect.get(one))), "")


def _frozen(state: State, release: Release) -> tuple[str, Span | None]:
    """Return why, and for how long, by the first service that the calendar holds."""
    seen = state.observed
    return next(((why, seen.frozen_for.get(one)) for one in release.members if (why := seen.frozen.get(one))),
                ("", None))  # fmt: skip


def _attendance(state: State, name: ServiceName) -> Mapping[InstanceName, Attendance]:
    seen = state.observed.sessions
    return {i: seen[i, name] for i in state.topology.instances_of(name) if (i, name) in seen}


def _refusals(state: State, release: Release, now: Instant) -> Mapping[InstanceName, str]:
    lately = {i: one.refusal for i, one in state.lanes.items() if since(one.refused_at, now) < REFUSED_FOR}
    return {i: refusal[1] for i, refusal in lately.items() if refusal is not None and refusal[0] in release.members}


def _under_way(
    state: State, release: Release, readings: Mapping[InstanceName, InstanceReading | Unreadable | None]
) -> frozenset[InstanceName]:
    pairs = [(i, reading, one) for i, reading in readings.items() for one in release.members]
    return frozenset(i for i, reading, one in pairs if under_way(state.lanes.get(i), one, reading))


def _empties(state: State, release: Release, now: Instant) -> Mapping[ServiceName, Emptiness]:
    if not release.phase.swapped:
        return {}
    return {one: emptiness(state, one, member.origin, now) for one, member in release.members.items()}


def _matrix(state: State, release: Release) -> Mapping[ServiceName, Tally]:
    called = [provider for one in release.members for provider in (one, *providers_of(state.topology, one))]
    return {one: state.matrix[one] for one in dict.fromkeys(called) if one in state.matrix}


def _up_since(state: State, service: Service, colour: Colour) -> Instant:
    health = [state.observed.health.get((service.name, server.name)) for server in service.pool(colour).servers]
    return max((one.since for one in health if one is not None and one.up), default=Instant(-(1 << 40)))


def _way_open(state: State, name: ServiceName, away: Colour, plan: Plan) -> bool:
    return way_open(state.wells[name, away.other], state.wells[name, away], plan.min_healthy_bp)


def home_open(state: State, name: ServiceName) -> bool:
    """Whether traffic of `name` may be moved away from the pool that should not have it."""
    release = state.ordered.running(name)
    plan = release.plan if release else state.topology.services[name].plan
    return _way_open(state, name, exposed(state.ordered, name), plan)
