"""The CI jobs of two teams: each claims, deploys when it may, says ready in any order, late, twice, or never."""

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Contract
from lbctl.model.request import Claim, GiveBack, SayReady, Withdraw
from lbctl.model.units import Instant
from lbctl.sim.unit.fleet import API, Life, Version
from lbctl.sim.unit.site import SERVICES, A, B

if TYPE_CHECKING:
    from lbctl.sim.unit.world import UnitWorld

PATIENCE_MS = 5_000
"""A job ends well before the claim that it holds, whatever happens."""
RETRY_MS = 1_500
"""So long it waits for an answer: lbctld may have died."""
BREAKING = 0.6
"""How often a team builds what only the other team's next version can speak with."""

BESIDE = 0.1
"""How much less often a team begins another build while it has one under way."""
AWAITED = 0.8
"""How often it builds what the other team's version waits for."""


class Stage(StrEnum):
    """How far a job is."""

    CLAIMS = "claims"
    WAITS = "waits"
    DEPLOYS = "deploys"
    SAYS = "says"


@dataclass(slots=True)
class Job:
    """One build of a team."""

    service: ServiceName
    build: str
    began_at: Instant
    stage: Stage = Stage.CLAIMS
    take_over: bool = False
    asked: int = 0
    asked_at: Instant = Instant(-RETRY_MS)
    colour: Colour = Colour.BLUE
    version: Version | None = None
    says_at: Instant = Instant(0)
    says_left: int = 1


def work(world: "UnitWorld") -> None:
    """Let every job do its next step, and a team begin another one."""
    for name in SERVICES:
        if world.jobs.random() < world.rates.jobs * (BESIDE if _has_work(world, name) else 1):
            _begin(world, name)
    for job in list(world.running):
        _go_on(world, job)


def _has_work(world: "UnitWorld", name: ServiceName) -> bool:
    """Whether the team has a version under way already."""
    record = world.disk.record
    waits = name in record.claims or name in record.board or record.running(name) is not None
    return waits or any(job.service == name and job.says_at <= world.now for job in world.running)


def _begin(world: "UnitWorld", name: ServiceName) -> None:
    mine = [job for job in world.running if job.service == name]
    if len(mine) > 1:
        return
    deploying = any(job.stage is Stage.DEPLOYS for job in mine)
    take_over = not deploying and world.jobs.random() < world.rates.take_over
    if take_over:  # A person ends the other jobs first.
        world.count("job takes over")
        world.running = [job for job in world.running if job not in mine]
    world.builds += 1
    world.running.append(Job(name, f"build/{world.builds}", world.now, take_over=take_over))


def _go_on(world: "UnitWorld", job: Job) -> None:
    dice, rates = world.jobs.random, world.rates
    if world.now - job.began_at > PATIENCE_MS and job.stage in {Stage.CLAIMS, Stage.WAITS}:
        world.count("job runs out of time")
        world.running.remove(job)
        return
    if rates.job_dies and dice() < rates.job_dies:
        world.count(f"job dies while it {job.stage}")
        world.running.remove(job)
        return
    STEPS[job.stage](world, job)


def _claims(world: "UnitWorld", job: Job) -> None:
    answer = world.answers.get(job.asked)
    if answer is None:
        if world.now - job.asked_at >= RETRY_MS:
            _ask(world, job, Claim(service=job.service, build=job.build, take_over=job.take_over, **world.request()))
    elif answer.accepted:
        job.stage, job.colour = Stage.WAITS, Colour(answer.body["colour"])
    else:
        world.count("job is refused a claim")
        world.running.remove(job)


def _ask(world: "UnitWorld", job: Job, request: Claim | SayReady) -> None:
    job.asked, job.asked_at = request.id, world.now
    world.ask(request)


def _waits(world: "UnitWorld", job: Job) -> None:
    """Deploy as soon as it may; whoever finds its claim gone ends."""
    if world.process is None:
        return
    state = world.process.state
    held = state.record.claims.get(job.service)
    if held is None or held.build != job.build or held.colour is not job.colour:
        world.running.remove(job)
    elif held.granted and state.durable.claims.get(job.service) == held:
        job.stage, job.version = Stage.DEPLOYS, _built(world, job.service)
        done = Instant(world.now + world.jobs.randint(200, 1_000))
        world.count("job deploys")
        world.deploy((job.service, job.colour), job.version, done)


def _built(world: "UnitWorld", name: ServiceName) -> Version:
    """Return a version that knows the apis of today, of tomorrow, or of both."""
    record = world.disk.record
    active = [world.fleet.runs[one, record.services[one].active].version.apis for one in SERVICES]
    today = max(active[0] & active[1], default=1)
    other = B if name == A else A
    if other in record.board and world.jobs.random() < AWAITED:
        return world.fleet.version(_known(record.board[other].contract))
    if world.jobs.random() < BREAKING:
        return world.fleet.version({today + 1})
    return world.fleet.version({today, today + 1} if world.jobs.random() < 0.5 else {today})


def _known(contract: Contract) -> set[int]:
    """Return the apis that a version declares to know, or to offer."""
    text = contract.requires.get(API)
    if text is None:
        return set(contract.provides[API])
    low, high = (int(part.lstrip("<>=")) for part in text.split(","))
    return set(range(low, high + 1))


def _deploys(world: "UnitWorld", job: Job) -> None:
    if world.fleet.runs[job.service, job.colour].life is Life.DEPLOYING:
        return
    dice, rates = world.jobs.random, world.rates
    job.stage, job.says_at, job.asked = Stage.SAYS, world.now, 0
    if rates.ready_late and dice() < rates.ready_late:
        world.count("job says ready late")
        job.says_at = Instant(world.now + world.jobs.choice((500, 2_000, 12_000)))
    if rates.ready_twice and dice() < rates.ready_twice:
        world.count("job says ready twice")
        job.says_left = 2


def _says(world: "UnitWorld", job: Job) -> None:
    assert job.version is not None
    answer = world.answers.get(job.asked)
    if answer is not None:
        job.says_left -= 1
        job.asked, job.asked_at = 0, Instant(-RETRY_MS)
        world.count("job is ready" if answer.accepted else "job is not ready")
        if job.says_left == 0:
            world.running.remove(job)
    elif world.now >= job.says_at and world.now - job.asked_at >= RETRY_MS:
        version = job.version
        said = SayReady(
            service=job.service,
            version=str(version.number),
            build=job.build,
            contract=version.contract(job.service),
            **world.request(),
        )
        _ask(world, job, said)


STEPS = {Stage.CLAIMS: _claims, Stage.WAITS: _waits, Stage.DEPLOYS: _deploys, Stage.SAYS: _says}


def meddle(world: "UnitWorld", name: ServiceName) -> None:
    """Take back what was claimed or said, without a job that would know why."""
    held = world.disk.record.claims.get(name)
    if world.jobs.random() < 0.5:
        world.count("job withdraws")
        world.ask(Withdraw(service=name, **world.request()))
    elif held is not None and not any(job.stage is Stage.DEPLOYS for job in world.running if job.service == name):
        world.count("job gives back")
        world.running = [job for job in world.running if job.build != held.build]
        world.ask(GiveBack(service=name, build=held.build, **world.request()))
