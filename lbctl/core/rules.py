"""What is decided at a tick about a running release: one table, the first rule that speaks wins (design: priority).

Each rule is a pure function of the situation and says what changes, or nothing. Requests of people are in `requests`;
they come between ticks and obey the same order, because a latched way back answers before anything else here.
"""

from collections.abc import Callable
from dataclasses import replace

from lbctl.core import judge
from lbctl.core.change import Change, entry, go_back, leaves, next_step, to_phase, with_share, with_states
from lbctl.core.drift import handmade, moved_generations, rebased
from lbctl.core.evidence import proved
from lbctl.core.holds import waits
from lbctl.core.hooks import says_back
from lbctl.core.judge.wording import figures
from lbctl.core.matching import miscalled
from lbctl.core.patience import patience
from lbctl.core.retiring import from_draining, from_retiring
from lbctl.core.retreat import mistaken, retreat, taken_back
from lbctl.core.situation import Situation
from lbctl.model.entry import Kind, Severity
from lbctl.model.reading import Token
from lbctl.model.record import By, Phase, PoolState, Record, Release
from lbctl.model.topology import HoldLimit
from lbctl.model.units import BP_FULL, Instant, percent, seconds, since

Rule = Callable[[Situation], Change | None]


def decide(now: Situation) -> Change | None:
    """Return the change this tick makes to the release, at most one."""
    for rule in MAINTENANCE_RULES if _in_maintenance(now) else RULES:
        change = rule(now)
        if change is not None:
            return change
    return None


def _in_maintenance(now: Situation) -> bool:
    return now.record.in_maintenance(*now.services)


def _back_token(now: Situation) -> Change | None:
    # A certificate that is on disk says that the old pool may be stopped: from then on there is no way back.
    if now.token is not Token.BACK or now.release.phase in {Phase.ROLLING_BACK, Phase.RETIRING}:
        return None
    reason = "the way back was taken, and could not be recorded then (back token)"
    # In maintenance only a person can have taken the way back, and only a person's way back is written.
    by = By.PERSON if _in_maintenance(now) else By.ITSELF
    return go_back(now.record, now.release, now.at, "token", reason, by)


def _rolled_back(now: Situation) -> Change | None:
    """The end of the way back: read back everywhere, runtime and boot, with the decision safe in the journal."""
    if now.release.phase is not Phase.ROLLING_BACK or not now.durable or now.journal_error or not proved(now):
        return None
    if any(getattr(reading, "taken_at", now.at) <= now.release.phase_since for reading in now.readings.values()):
        return None
    ended = to_phase(now.release, Phase.ROLLED_BACK, now.at)
    record = with_states(now.record, ended, origin=PoolState.ACTIVE, to=PoolState.DRAINING)
    for name, member in ended.members.items():
        record = record.with_service(name, replace(record.services[name], active=member.origin))
    record = record.with_release(ended)
    took = seconds(since(now.release.phase_since, now.at))
    text = f"all new traffic is on {ended.origin} again, read back everywhere after {took}: {ended.outcome}"
    told = entry(Kind.ROLLBACK_FINISHED, ended, now.at, text, severity=Severity.WARNING, by=str(ended.back_by))
    return Change(record=record, entries=(told,))


def _judged_bad(now: Situation) -> Change | None:
    verdict = now.verdict
    if not now.moving or verdict is None or verdict.word is not judge.Word.ROLLBACK:
        return None
    return go_back(now.record, now.release, now.at, verdict.code, verdict.reason, By.ITSELF, numbers=figures(verdict))


def _wrong_cell(now: Situation) -> Change | None:
    """A call that its pin forbids: the pair that answers each other may not know each other."""
    wrong = miscalled(now)
    if not now.moving or not wrong:
        return None
    return go_back(now.record, now.release, now.at, "wrong_cell", wrong, By.ITSELF)


def _candidate_dead(now: Situation) -> Change | None:
    """Also while the old pool drains: the candidate is then active, but the way back is still there."""
    if now.release.phase is not Phase.DRAINING or now.checker_suspect:
        return None
    dead = next((name for name, pair in now.pairs.items() if pair.candidate.dead and not pair.active.dead), None)
    if dead is None:
        return None
    member, trouble = now.release.members[dead], now.pairs[dead].candidate.trouble()
    whose = f" of {dead}" if now.release.followers else ""
    reason = f"every server of {member.to}{whose} is down while {member.origin} lives: {trouble}"
    return go_back(now.record, now.release, now.at, "candidate_dead", reason, By.ITSELF)


def _hook_says_back(now: Situation) -> Change | None:
    why = says_back(now)
    if not why or not (now.moving or now.release.phase.unmoved):
        return None
    return go_back(now.record, now.release, now.at, "hook", why, By.ITSELF)


def _unmoved_deadline(now: Situation) -> Change | None:
    found = patience(now)
    if found is None or found[1] > 0:
        return None
    why = now.progress.holds[0].reason if now.progress and now.progress.holds else "the split is not read back"
    word, limit = found[0], since(now.release.phase_since, now.at) + found[1]
    reason = f"{word} took longer than {seconds(limit)}: {why}"
    return go_back(now.record, now.release, now.at, "deadline", reason, By.ITSELF)


def _hold_deadline(now: Situation) -> Change | None:
    """A step that was held up to its maximum, if the plan says to go back then. Only steps with traffic count."""
    plan, progress = now.release.plan, now.progress
    if now.release.phase is not Phase.SHIFTING or plan.hold_then is not HoldLimit.ROLLBACK or progress is None:
        return None
    if since(progress.target_since, now.at) < plan.hold_max or not _has_traffic(now):
        return None
    why = progress.holds[0].reason if progress.holds else "the step was not done"
    reason = f"held at {percent(now.release.share_bp)} for {seconds(plan.hold_max)}: {why}"
    return go_back(now.record, now.release, now.at, "deadline", reason, By.ITSELF)


def _has_traffic(now: Situation) -> bool:
    return now.progress is not None and now.progress.account.step.candidate.total > 0


def _reached(now: Situation) -> Change | None:
    if now.release.phase is not Phase.SHIFTING or now.reached_since is None:
        return None
    if now.release.reached_bp == now.release.share_bp:
        return None
    reached = replace(now.release, reached_bp=now.release.share_bp)
    text = f"{percent(reached.share_bp)} on {reached.to} is read back everywhere"
    told = entry(Kind.STEP_REACHED, reached, now.at, text)
    return Change(record=now.record.with_release(reached), entries=(told,))


def _advance(now: Situation) -> Change | None:
    """Go forward: needs every proof. What each phase goes to is the table below."""
    if not now.durable or now.progress is None or now.progress.epoch != now.release.epoch:
        return None
    forward = FORWARD.get(now.release.phase)
    return None if forward is None else forward(now)


def _from_preflight(now: Situation) -> Change | None:
    if now.progress is None or now.progress.holds or now.reached_since is None:
        return None
    return _await_approval(now) if now.release.unapproved_count else first_traffic(now)


def _await_approval(now: Situation) -> Change:
    release, plan = to_phase(now.release, Phase.AWAITING_APPROVAL, now.at), now.release.plan
    text = (
        f"everything is proved; {release.unapproved_count} of {plan.approvals.count} approvals of group "
        f"{plan.approvals.group} are missing: lbctl release approve {release.id}"
    )
    stop = f"lbctl release cancel {release.id}"
    told = entry(Kind.APPROVAL_AWAITED, release, now.at, text, stop=stop)
    return Change(record=now.record.with_release(release), entries=(told,))


def first_traffic(now: Situation) -> Change:
    """Return the first step of a release."""
    return climb(now, now.release.plan.steps_bp[0])


def climb(now: Situation, share_bp: int, actor: str = "") -> Change:
    """Return the step to `share_bp`."""
    record = with_share(now.record, now.release, share_bp, now.at)
    release = record.releases[now.release.unit_name]
    judged = now.verdict.reason if now.verdict is not None else "preflight passed"
    numbers = judged if now.release.share_bp or now.verdict is None else "nothing to judge at 0 %"
    text = f"{percent(now.release.share_bp)} → {percent(share_bp)} on {release.to}: {numbers}"
    stop = f"lbctl rollback {release.id}"
    told = entry(Kind.STEP_STARTED, release, now.at, text, actor=actor, stop=stop, **figures(now.verdict))
    return Change(record=record, entries=(told,))


def _from_shifting(now: Situation) -> Change | None:
    if now.release.share_bp == BP_FULL and now.release.reached_bp == BP_FULL and now.reached_since is not None:
        return _bake(now)
    if mistaken(now):
        return taken_back(now)
    if _stands(now):
        return climb(now, next_step(now.release))
    return None


def _stands(now: Situation) -> bool:
    """Whether nothing holds, and time and evidence of this target are complete."""
    return now.progress is not None and not now.progress.holds and not waits(now) and _advances(now)


def _advances(now: Situation) -> bool:
    return now.release.share_bp == 0 or (now.verdict is not None and now.verdict.word is judge.Word.ADVANCE)


def _bake(now: Situation) -> Change:
    release = to_phase(now.release, Phase.BAKING, now.at)
    text = f"all new traffic is on {release.to}; {release.origin} stays full and warm for {seconds(release.plan.bake)}"
    told = entry(Kind.BAKE_STARTED, release, now.at, text, stop=f"lbctl rollback {release.id}")
    return Change(record=now.record.with_release(release), entries=(told,))


def _from_baking(now: Situation) -> Change | None:
    """The bake is over: the candidate becomes active with the record that enters draining."""
    baked = since(now.release.phase_since, now.at) >= now.release.plan.bake
    if not baked or not _stands(now):
        return None
    return drain(now)


def drain(now: Situation, actor: str = "") -> Change:
    """Return the role swap."""
    release = to_phase(now.release, Phase.DRAINING, now.at)
    record = with_states(now.record, release, origin=PoolState.DRAINING, to=PoolState.ACTIVE)
    for name, member in release.members.items():
        adopted = record.services[name]
        # A follower's pool has no share that rises: what it was emptied of once, it honours from now on.
        new = replace(adopted.pool(member.to), version=member.version, keep_bp=BP_FULL)
        record = record.with_service(name, replace(adopted.with_pool(member.to, new), active=member.to))
    record = _with_sessions_leaving(record, release, now.at)
    text = f"{release.to} is active; {release.origin} drains and stays warm for {seconds(release.plan.retain)}"
    told = entry(Kind.DRAIN_STARTED, release, now.at, text, actor=actor, stop=f"lbctl rollback {release.id}")
    return Change(record=record.with_release(release), entries=(told,))


def _with_sessions_leaving(record: Record, release: Release, at: Instant) -> Record:
    """Only the carrier has sessions of its own: the calls of a follower's old pool are pinned."""
    adopted = record.services[release.service]
    old = replace(adopted.pool(release.origin), leaving=leaves(release.plan.sessions, at))
    return record.with_service(release.service, adopted.with_pool(release.origin, old))


FORWARD: dict[Phase, Rule] = {
    Phase.PREFLIGHT: _from_preflight,
    Phase.AWAITING_APPROVAL: _from_preflight,
    Phase.SHIFTING: _from_shifting,
    Phase.BAKING: _from_baking,
    Phase.DRAINING: from_draining,
    Phase.RETIRING: from_retiring,
}
"""What going forward means in each phase."""

RULES: tuple[Rule, ...] = (
    _back_token,
    _rolled_back,
    _candidate_dead,
    _wrong_cell,
    _judged_bad,
    _hook_says_back,
    _unmoved_deadline,
    _hold_deadline,
    rebased,
    handmade,
    moved_generations,
    retreat,
    _reached,
    _advance,
)

MAINTENANCE_RULES: tuple[Rule, ...] = (_back_token, _rolled_back)
"""In maintenance nothing is decided but the end of a way back that a person asked for."""
