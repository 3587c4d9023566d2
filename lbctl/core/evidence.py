"""From readings to evidence: counter deltas, the judge's tick, and whether the target is read back. Pure.

Counters belong to a generation. After a reload or restart the first reading is only a new baseline: "no data", never
a negative count. A tick without any new reading gives no sample; an instance that cannot be read gives "not read".
"""

from collections.abc import Mapping
from dataclasses import replace

from lbctl.core import judge
from lbctl.core.holds import Hold, holds, waits
from lbctl.core.reconcile import routed
from lbctl.core.situation import Situation
from lbctl.core.state import Baseline, Progress
from lbctl.model.names import Colour, InstanceName, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Release
from lbctl.model.topology import JudgeSettings
from lbctl.model.units import SECOND, Instant, since

Baselines = Mapping[tuple[InstanceName, Colour], Baseline]


def settings(configured: JudgeSettings, release: Release) -> judge.Settings:
    """Return the judge's settings for a release: its planned length is the horizon."""
    steps = len(release.plan.steps_bp)
    horizon = steps * release.plan.hold_min + release.plan.bake
    blind = configured.blind_limit
    return judge.Settings(
        false_rollback=configured.false_rollback,
        margin_abs=1 - configured.slo_ratio,
        margin_rel=configured.margin_rel,
        active_limit=configured.active_limit,
        dispersion=2.0 if configured.dispersion is None else configured.dispersion,
        horizon_s=max(60.0, horizon / SECOND),
        blind_limit_s=None if blind is None else blind / SECOND,
    )


def begin(release: Release, configured: JudgeSettings, saved: judge.Account | None, now: Instant) -> Progress:
    """Return the progress of a target that was just set, or met again after a start."""
    account = saved if saved is not None else judge.Account.fresh(settings(configured, release))
    account = judge.new_step(account, settings(configured, release), share_bp=release.share_bp)
    return Progress(epoch=release.epoch, account=account, sampled_at=now, target_since=now)


def follow(now: Situation, progress: Progress) -> Progress:
    """Return the progress after this tick: evidence taken in, read-back noted, holds computed."""
    progress = replace(progress, reached_since=_reached(now, progress))
    if now.moving:
        progress = _judged(now, progress)
    return _held(replace_in(now, progress), progress)


def replace_in(now: Situation, progress: Progress) -> Situation:
    """Return the situation with newer progress."""
    return replace(now, progress=progress)


def proved(now: Situation) -> bool:
    """Whether every instance reads back the target, runtime and boot, with no operation unresolved."""
    name = now.service.name
    return (
        not now.unresolved
        and not now.under_way
        and all(
            isinstance(reading, InstanceReading) and routed(reading, name, now.want)
            for reading in now.readings.values()
        )
    )


def _reached(now: Situation, progress: Progress) -> Instant | None:
    if not proved(now):
        return None
    return now.at if progress.reached_since is None else progress.reached_since


def _judged(now: Situation, progress: Progress) -> Progress:
    fresh = {n: r for n, r in now.readings.items() if isinstance(r, InstanceReading) and _is_new(n, r, progress)}
    unread = [name for name, reading in now.readings.items() if not isinstance(reading, InstanceReading)]
    if not fresh and not (unread and len(unread) == len(now.readings)):
        return progress
    candidate = _delta(fresh, progress.baselines, now.service.name, now.release.to)
    active = _delta(fresh, progress.baselines, now.service.name, now.release.origin)
    sample = judge.Sample(
        dt_s=max(0.001, since(progress.sampled_at, now.at) / SECOND),
        share_bp=now.release.share_bp,
        candidate=candidate,
        active=active,
        candidate_down=now.candidate.dead,
        active_down=now.active.dead,
        active_probed_healthy=now.active.alive_bp >= now.release.plan.min_healthy_bp and now.active.up_count > 0,
        panic=bool(now.checker_suspect),
    )
    account, verdict = judge.judge(progress.account, sample, settings(now.service.judge, now.release))
    baselines = {**progress.baselines, **_baselines(fresh, now.service.name)}
    return replace(progress, account=account, verdict=verdict, sampled_at=now.at, baselines=baselines)


def _is_new(name: InstanceName, reading: InstanceReading, progress: Progress) -> bool:
    return all(
        (baseline := progress.baselines.get((name, colour))) is None or reading.taken_at > baseline.taken_at
        for colour in Colour
    )


def _delta(
    fresh: Mapping[InstanceName, InstanceReading], baselines: Baselines, service: ServiceName, colour: Colour
) -> judge.Counts | None:
    """Return what a pool did since the last reading, over all instances that can say; None if none can."""
    total = bad = 0
    known = False
    for name, reading in fresh.items():
        before = baselines.get((name, colour))
        seen = reading.services.get(service)
        if seen is None or before is None or before.generation != reading.generation:
            continue
        pool = seen.pools[colour]
        if pool.requests < before.requests or pool.errors < before.errors:
            continue
        total, bad, known = total + pool.requests - before.requests, bad + pool.errors - before.errors, True
    return judge.Counts(total, bad) if known else None


def _baselines(
    fresh: Mapping[InstanceName, InstanceReading], service: ServiceName
) -> dict[tuple[InstanceName, Colour], Baseline]:
    return {
        (name, colour): Baseline(reading.generation, reading.taken_at, pool.requests, pool.errors)
        for name, reading in fresh.items()
        if service in reading.services
        for colour, pool in reading.services[service].pools.items()
    }


def _held(now: Situation, progress: Progress) -> Progress:
    """Note every hold and since when; a step whose time is over but that lacks traffic is held as well."""
    found = (*holds(now), *_overdue(now))
    held_since = {hold.code: progress.held_since.get(hold.code, now.at) for hold in found}
    return replace(progress, holds=found, held_since=held_since)


def _overdue(now: Situation) -> tuple[Hold, ...]:
    lacking = waits(now)
    if not now.moving or any(wait.code in {"time", "reaching"} for wait in lacking):
        return ()
    return lacking
