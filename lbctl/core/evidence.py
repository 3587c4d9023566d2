"""What is known of a running target: counts since the last reading, the judge's word, since when things stand. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from lbctl.core import judge
from lbctl.core.counting import Counted
from lbctl.core.holds import Hold, holds, waits
from lbctl.core.hooks import hook_holds
from lbctl.core.judge.latency import slow_pairs
from lbctl.core.measured import measure
from lbctl.core.reconcile import routed
from lbctl.core.situation import Situation
from lbctl.core.state import Progress
from lbctl.model.names import Colour, ServiceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Member, Release
from lbctl.model.topology import JudgeSettings, Service
from lbctl.model.units import SECOND, Instant, Span, after, since

WARM_UP = Span(30 * SECOND)
"""After its first traffic, and after a server came back, a candidate may be slower; errors stay strict."""
WARM_UP_STEP = Span(15 * SECOND)
"""The same after a step that more than doubles its load."""


def settings(configured: JudgeSettings, release: Release) -> judge.Settings:
    """Return the judge's settings for a release: its planned length is the horizon, and every service that is judged
    has its part of the chance of a false rollback."""
    steps = len(release.plan.steps_bp)
    horizon = steps * release.plan.hold_min + release.plan.bake
    blind = configured.blind_limit
    return judge.Settings(
        false_rollback=configured.false_rollback / len(release.members),
        margin_abs=1 - configured.slo_ratio,
        margin_rel=configured.margin_rel,
        active_limit=configured.active_limit,
        horizon_s=max(60.0, horizon / SECOND),
        blind_limit_s=None if blind is None else blind / SECOND,
        retreat_above_bp=configured.retreat_above_bp,
    )


def begin(
    release: Release,
    services: Mapping[ServiceName, Service],
    saved: Mapping[ServiceName, judge.Account],
    learned: Mapping[ServiceName, judge.Learned],
    now: Instant,
) -> Progress:
    """Return the progress of a target that was just set, or met again after a start."""
    accounts: dict[ServiceName, judge.Account] = {}
    for name in release.members:
        told = settings(services[name].judge, release)
        known = learned.get(name, judge.Learned())
        terms = known.terms(services[name].judge.dispersion)
        account = saved[name] if name in saved else judge.Account.fresh(told, terms=terms, active=known.recent)
        accounts[name] = judge.new_step(account, told, share_bp=release.share_bp)
    opened = dict(accounts)
    return Progress(
        epoch=release.epoch,
        opened=opened,
        account=accounts.pop(release.service),
        followers=accounts,
        target_since=now,
        warm_until=after(now, _warm_up(release)),
    )


def _warm_up(release: Release) -> Span:
    """Return how long the candidate may be slower at a target that was just set: its caches are cold."""
    if not release.reached_bp:
        return WARM_UP
    return WARM_UP_STEP if release.share_bp > 2 * release.reached_bp else Span(0)


def follow(
    now: Situation,
    progress: Progress,
    counted: Mapping[ServiceName, Counted],
    learned: Mapping[ServiceName, judge.Learned],
) -> Progress:
    """Return the progress after this tick: evidence taken in, read-back noted, holds computed."""
    reached_since = _reached(now, progress)
    if reached_since != progress.reached_since:
        progress = replace(progress, reached_since=reached_since)
    measured = measure(progress.measured, now.attendance, reached_since, now.at)
    if measured is not progress.measured:
        progress = replace(progress, measured=measured)
    if now.moving and counted:
        progress = _judged(now, progress, counted, learned)
    return _held(replace_in(now, progress), progress)


def _judged(
    now: Situation,
    progress: Progress,
    counted: Mapping[ServiceName, Counted],
    learned: Mapping[ServiceName, judge.Learned],
) -> Progress:
    """Judge every service that has something new; the word of the release is the gravest of theirs."""
    accounts = {now.service.name: progress.account, **progress.followers}
    verdicts, samples = dict(progress.verdicts), {}
    for name, seen in counted.items():
        service = now.services[name]
        taken = samples[name] = sample(now, name, progress, seen, learned.get(name, judge.Learned()))
        accounts[name], verdicts[name] = judge.judge(accounts[name], taken, settings(service.judge, now.release))
    own = accounts.pop(now.service.name)
    verdict = gravest(now.service.name, verdicts)
    return replace(
        progress,
        account=own,
        followers=accounts,
        verdicts=verdicts,
        verdict=verdict,
        samples=samples,
        sampled_at=now.at,
    )


GRAVITY = {judge.Word.ADVANCE: 0, judge.Word.HOLD: 1, judge.Word.RETREAT: 2, judge.Word.ROLLBACK: 3}


def gravest(carrier: ServiceName, verdicts: Mapping[ServiceName, judge.Verdict]) -> judge.Verdict | None:
    """Return the gravest word, with whose it is in `blamed`.

    A provider is blamed before its consumer, which suffers from it: also where only the consumer's account is full
    yet and the provider's is suspicious. A follower that got too few calls is no reason to wait: not every request
    needs it.
    """
    heard = {n: v for n, v in verdicts.items() if n == carrier or v.code != "not_enough_evidence"}
    if not heard:
        return None
    worst = max(heard, key=lambda name: (GRAVITY[heard[name].word], name != carrier))
    if len(verdicts) == 1 or heard[worst].word is judge.Word.ADVANCE:
        return heard.get(carrier, heard[worst])
    verdict = heard[worst]
    reasons = [f"{worst}: {verdict.reason}"]
    blamed = worst
    if worst == carrier and verdict.word is judge.Word.ROLLBACK:
        for name in sorted(name for name, one in heard.items() if name != carrier and one.code == "suspicious"):
            blamed = name
            reasons.insert(0, f"{name}: {heard[name].reason}")
    return replace(verdict, reason="; ".join(reasons), blamed=blamed)


def replace_in(now: Situation, progress: Progress) -> Situation:
    """Return the situation with newer progress."""
    return now if now.progress is progress else replace(now, progress=progress)


def proved(now: Situation) -> bool:
    """Whether every instance reads back the target, runtime and boot, with no operation unresolved."""
    return (
        not now.unresolved
        and not now.under_way
        and all(
            isinstance(reading := now.readings[instance], InstanceReading) and routed(reading, name, want)
            for name, want in now.wants.items()
            for instance in now.instances[name]
        )
    )


def _reached(now: Situation, progress: Progress) -> Instant | None:
    if not proved(now):
        return None
    return now.at if progress.reached_since is None else progress.reached_since


def sample(
    now: Situation, name: ServiceName, progress: Progress, counted: Counted, learned: judge.Learned
) -> judge.Sample:
    """Return one tick of one service as the judge sees it. `learned` is what was known before this tick."""
    member, pair = now.release.members[name], now.pairs[name]
    candidate, active = counted.pools[member.to], counted.pools[member.origin]
    return judge.Sample(
        dt_s=counted.span_s,
        share_bp=now.release.share_bp,
        candidate=None if candidate is None else candidate.counts,
        active=None if active is None else active.counts,
        late=None if candidate is None or active is None else judge.Pair(candidate.late, active.late),
        slow=_slow(now, member, progress, counted, learned),
        servers={} if candidate is None else {str(name): counts for name, counts in candidate.servers.items()},
        retreated=now.release.retreated_from_bp > 0,
        candidate_down=pair.candidate.dead,
        active_down=pair.active.dead,
        active_probed_healthy=pair.active.alive_bp >= now.release.plan.min_healthy_bp and pair.active.up_count > 0,
        panic=bool(now.checker_suspect),
    )


def _slow(
    now: Situation, member: Member, progress: Progress, counted: Counted, learned: judge.Learned
) -> Mapping[judge.Stream, judge.Pair]:
    if counted.times is None:
        return {}
    limits = learned.speed.limits_ms(warming=cold_left(now, progress) > 0)
    return slow_pairs(limits, counted.times[member.to], counted.times[member.origin])


def cold_left(now: Situation, progress: Progress) -> Span:
    """Return for how long yet the candidate may be slower because its caches are cold."""
    return since(now.at, max(progress.warm_until, after(now.candidate_up_since, WARM_UP)))


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
    found = (*found, *hook_holds(now, found))
    held_since = {hold.code: progress.held_since.get(hold.code, now.at) for hold in found}
    return replace(progress, holds=found, held_since=held_since)


def _overdue(now: Situation, progress: Progress) -> tuple[Hold, ...]:
    lacking = waits(now)
    if not now.moving or any(wait.code in {"time", "reaching"} for wait in lacking):
        return ()
    # Evidence that was planned for takes its time: it is no trouble before the step is as long as it may be.
    early = since(progress.target_since, now.at) < now.release.plan.hold_max
    return tuple(wait for wait in lacking if not (early and wait.code == "evidence"))
