"""What is known of a running target: counts since the last reading, the judge's word, since when things stand. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from lbctl.core import judge
from lbctl.core.counting import Counted
from lbctl.core.holds import Hold, holds, waits
from lbctl.core.judge.latency import slow_pairs
from lbctl.core.reconcile import routed
from lbctl.core.situation import Situation
from lbctl.core.state import Progress
from lbctl.model.names import Colour
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Release
from lbctl.model.topology import JudgeSettings
from lbctl.model.units import SECOND, Instant, Span, after, since

WARM_UP = Span(30 * SECOND)
"""After its first traffic, and after a server came back, a candidate may be slower; errors stay strict."""
WARM_UP_STEP = Span(15 * SECOND)
"""The same after a step that more than doubles its load."""


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
        horizon_s=max(60.0, horizon / SECOND),
        blind_limit_s=None if blind is None else blind / SECOND,
        retreat_above_bp=configured.retreat_above_bp,
    )


def begin(
    release: Release,
    configured: JudgeSettings,
    saved: judge.Account | None,
    learned: judge.Learned,
    now: Instant,
) -> Progress:
    """Return the progress of a target that was just set, or met again after a start."""
    told = settings(configured, release)
    terms = learned.terms(configured.dispersion)
    account = saved if saved is not None else judge.Account.fresh(told, terms=terms, active=learned.recent)
    account = judge.new_step(account, told, share_bp=release.share_bp)
    return Progress(epoch=release.epoch, account=account, target_since=now, warm_until=after(now, _warm_up(release)))


def _warm_up(release: Release) -> Span:
    """Return how long the candidate may be slower at a target that was just set: its caches are cold."""
    if not release.reached_bp:
        return WARM_UP
    return WARM_UP_STEP if release.share_bp > 2 * release.reached_bp else Span(0)


def follow(now: Situation, progress: Progress, counted: Counted | None, learned: judge.Learned) -> Progress:
    """Return the progress after this tick: evidence taken in, read-back noted, holds computed."""
    reached_since = _reached(now, progress)
    if reached_since != progress.reached_since:
        progress = replace(progress, reached_since=reached_since)
    if now.moving and counted is not None:
        account, verdict = judge.judge(
            progress.account,
            sample(now, progress, counted, learned),
            settings(now.service.judge, now.release),
        )
        progress = replace(progress, account=account, verdict=verdict)
    return _held(replace_in(now, progress), progress)


def replace_in(now: Situation, progress: Progress) -> Situation:
    """Return the situation with newer progress."""
    return now if now.progress is progress else replace(now, progress=progress)


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


def sample(now: Situation, progress: Progress, counted: Counted, learned: judge.Learned) -> judge.Sample:
    """Return one tick as the judge sees it. `learned` is what was known before this tick."""
    candidate, active = counted.pools[now.release.to], counted.pools[now.release.origin]
    return judge.Sample(
        dt_s=counted.span_s,
        share_bp=now.release.share_bp,
        candidate=None if candidate is None else candidate.counts,
        active=None if active is None else active.counts,
        late=None if candidate is None or active is None else judge.Pair(candidate.late, active.late),
        slow=_slow(now, progress, counted, learned),
        servers={} if candidate is None else {str(name): counts for name, counts in candidate.servers.items()},
        candidate_down=now.candidate.dead,
        active_down=now.active.dead,
        active_probed_healthy=now.active.alive_bp >= now.release.plan.min_healthy_bp and now.active.up_count > 0,
        panic=bool(now.checker_suspect),
    )


def _slow(
    now: Situation, progress: Progress, counted: Counted, learned: judge.Learned
) -> Mapping[judge.Stream, judge.Pair]:
    if counted.times is None:
        return {}
    warming = now.at < progress.warm_until or since(now.candidate_up_since, now.at) < WARM_UP
    limits = learned.speed.limits_ms(warming=warming)
    return slow_pairs(limits, counted.times[now.release.to], counted.times[now.release.origin])


def learn(learned: judge.Learned, counted: Counted, active: Colour, *, moving: bool) -> judge.Learned:
    """Return what is known of active after this tick. While a release moves only its speed is followed: everything
    else it is judged by was fixed when it began."""
    times = None if counted.times is None else counted.times[active]
    if moving:
        return learned if times is None else learned.faster(times, counted.span_s)
    pool = counted.pools[active]
    return learned if pool is None else learned.after(pool.counts, counted.span_s, times)


def _held(now: Situation, progress: Progress) -> Progress:
    """Note every hold and since when; a step whose time is over but that lacks traffic is held as well."""
    found = (*holds(now), *_overdue(now, progress))
    held_since = {hold.code: progress.held_since.get(hold.code, now.at) for hold in found}
    return replace(progress, holds=found, held_since=held_since)


def _overdue(now: Situation, progress: Progress) -> tuple[Hold, ...]:
    lacking = waits(now)
    if not now.moving or any(wait.code in {"time", "reaching"} for wait in lacking):
        return ()
    # Evidence that was planned for takes its time: it is no trouble before the step is as long as it may be.
    early = since(progress.target_since, now.at) < now.release.plan.hold_max
    return tuple(wait for wait in lacking if not (early and wait.code == "evidence"))
