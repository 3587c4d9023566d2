"""The rules that the world must be able to miss. Each is left out, or read loosely, in one place."""

from dataclasses import replace

from lbctl.sim.chance import EVERYTHING, FAULTS
from tests.simulation.damaged import Mutant
from tests.simulation.leaving_mutants import MUTANTS as LEAVING

SICK = replace(FAULTS, server_dies=0.05, pool_dies=0.02, heal=0.15, person=0.06)
"""Servers and pools come and go."""
STUCK = replace(FAULTS, late=0.6, stuck=0.1, mute=0.1, lost=0.05, person=0.06, full=0.0, keeps_no_fence=1.0)
"""Operations take their time, and the fence dies with the process."""
DYING = replace(STUCK, crash=0.02, idle_crash=0.02, stuck=0.3)
BLIND = replace(FAULTS, unreadable=0.03, skipped=0.5, slow=0.5, person=0.06)
RELOADED = replace(FAULTS, reload=0.03, refused=0.2, lost=0.1, heal=0.02)
LOST = replace(FAULTS, crash=0.01, idle_crash=0.005, reboot=0.6, late=0.6, person=0.06)
FORGOTTEN = replace(FAULTS, full=0.02, heal=0.1, crash=0.02, idle_crash=0.02, person=0.06, reboot=0.0)
FULL = replace(FAULTS, full=0.02, heal=0.1, slow=0.3, person=0.06)
CALM = replace(FAULTS, edit=0.0, edit_boot=0.0, crash=0.0, idle_crash=0.0, person=0.06)
"""Hands off the load balancers: what sessions meet is lbctl's doing alone."""
BUSY = replace(CALM, person=0.2)
HOOKED = replace(EVERYTHING, hooks=1.0, hook_fails=0.5, person=0.06)

MUTANTS = (
    *LEAVING,
    # A decision is durable before its first effect; forward needs everything.
    Mutant(
        "traffic follows decisions that are not durable",
        "state",
        "return self.record if self.kept_rev > self.durable.rev else self.durable",
        "return self.record",
        rates=FULL,
        seed=7,
    ),
    Mutant(
        "a raise needs no go-token",
        "holds",
        "RAISE_NEEDS: tuple[Question, ...] = (\n    _maintenance,\n    _token,",
        "RAISE_NEEDS: tuple[Question, ...] = (\n    _maintenance,",
        rates=LOST,
        seed=10,
    ),
    Mutant(
        "an advance needs no go-token",
        "holds",
        "    _frozen,\n    _token,\n    _journal,",
        "    _frozen,\n    _journal,",
        seed=11,
    ),
    Mutant(
        "a raise needs no healthy candidate",
        "holds",
        "    _fresh,\n    _candidate,\n)",
        "    _fresh,\n)",
        rates=SICK,
        seed=6,
    ),
    Mutant(
        "a raise does not need all instances",
        "holds",
        "    _durable,\n    _instances,",
        "    _durable,",
        rates=BLIND,
        seed=29,
    ),
    Mutant(
        "a raise does not wait for what is unresolved",
        "holds",
        "    _unresolved,\n    _fresh,",
        "    _fresh,",
        rates=STUCK,
        seed=3,
    ),
    Mutant("a pause does not hold", "holds", "    _paused,\n    _latched,", "    _latched,", seed=6),
    Mutant("a latched hold does not hold", "holds", "    _paused,\n    _latched,", "    _paused,", seed=66),
    Mutant("a decision is told before it is durable", "machine", "if tellable(state, answer):", "if answer:"),
    # Going back.
    Mutant(
        "a rollback marks no back token",
        "change",
        "return Change(record=changed, entries=(told,), lowering=True, marks=(mark,))",
        "return Change(record=changed, entries=(told,), lowering=True)",
        rates=FORGOTTEN,
        seed=8,
    ),
    Mutant(
        "a rollback waits for the journal",
        "change",
        "Change(record=changed, entries=(told,), lowering=True, marks=(mark,))",
        "Change(record=changed, entries=(told,), marks=(mark,))",
        rates=FULL,
        seed=3,
    ),
    Mutant(
        "a back token is not obeyed",
        "rules",
        "if now.token is not Token.BACK or",
        "if True or",
        liveness=True,
        rates=FORGOTTEN,
        seed=10,
    ),
    Mutant(
        "a lowering by drift does not hold the token",
        "change",
        "record=record.with_release(release), entries=(told,), lowering=True, marks=(mark,))",
        "record=record.with_release(release), entries=(told,), lowering=True)",
    ),
    Mutant(
        "a held token is never freed",
        "commit",
        "    if rev != state.record.rev:\n        return state, tuple(effects)",
        "    if rev:\n        return replace(state, journal_error=''), tuple(effects)",
        liveness=True,
        seed=51,
    ),
    Mutant(
        "rolled_back does not wait for the journal",
        "rules",
        "not now.durable or now.journal_error or not proved(now)",
        "not proved(now)",
        also=(
            (
                "machine",
                "forward = changes if state.settled and not state.offered else []",
                "forward = changes if not state.offered else []",
            ),
        ),
        rates=FULL,
    ),
    Mutant(
        "a hook that says no does not hold",
        "evidence",
        "    found = (*found, *hook_holds(now, found))\n",
        "",
        rates=HOOKED,
    ),
    Mutant(
        "users go home to a dead pool",
        "wellness",
        "    if home.dead:\n        return False\n    return home.alive_bp",
        "    return True or home.alive_bp",
        rates=SICK,
        seed=2,
    ),
    Mutant(
        "sessions go home to a dead pool",
        "reconcile",
        "if not leave.lowers and want.keep_bp(exposed) < max(keeps):",
        "if False:",
        rates=SICK,
        seed=6,
    ),
    # Read back runtime and boot value, of every generation, on every instance.
    Mutant(
        "old generations are not read back",
        "reconcile",
        "        and all(route == want for route in (*routes, *seen.skewed.values()))\n        and seen.boot == want",
        "        and seen.runtime[reading.generation] == want\n        and seen.boot == want",
        rates=RELOADED,
        seed=42,
    ),
    Mutant("boot values are not read back", "reconcile", "        and seen.boot == want\n", "", seed=4),
    Mutant(
        "one instance read back is enough",
        "evidence",
        "        not now.unresolved\n        and not now.under_way\n        and all(",
        "        not now.unresolved\n        and not now.under_way\n        and any(",
        seed=19,
    ),
    Mutant("the boot value is raised at once", "reconcile", "or (raises and not settled)", ""),
    Mutant(
        "the boot value is never raised",
        "reconcile",
        "or (raises and not settled)",
        "or raises",
        liveness=True,
        seed=11,
    ),
    # Fences and unknown outcomes.
    Mutant(
        "nothing is unresolved after a start",
        "machine",
        '_unresolved("lbctl was started: an earlier operation may still land", now)',
        "Lane()",
        rates=DYING,
        seed=2,
    ),
    Mutant(
        "an unknown outcome is forgotten",
        "lanes",
        'unresolved=why or "no answer"',
        'unresolved=""',
        rates=STUCK,
        seed=5,
    ),
    Mutant(
        "what is under way counts as read back",
        "evidence",
        "        not now.unresolved\n        and not now.under_way\n        and all(",
        "        not now.unresolved\n        and all(",
        rates=STUCK,
        seed=23,
    ),
    Mutant(
        "what is unresolved does not block an end",
        "evidence",
        "        not now.unresolved\n        and not now.under_way\n        and all(",
        "        not now.under_way\n        and all(",
        rates=DYING,
        seed=68,
    ),
    Mutant(
        "an unresolved instance is not sent its target",
        "lanes",
        "resend=resolvable or outdated",
        "resend=False",
        liveness=True,
        seed=12,
    ),
    Mutant(
        "a raise is planned from an older reading",
        "holds",
        "    _unresolved,\n    _fresh,",
        "    _unresolved,",
        rates=BLIND,
        seed=7,
    ),
    Mutant(
        "a raise is not bound to what was read",
        "reconcile",
        "    return goal.share_bp(exposed) > 0 or not leave.lowers",
        "    return False",
        rates=replace(STUCK, reload=0.02, edit=0.02),
        seed=2,
    ),
    Mutant(
        "a raise of the boot value is not bound to what was read",
        "reconcile",
        "        expect_generation=reading.generation if bound else None,\n"
        "        expect=newest if bound else None,\n    )\n\n\ndef _permitted",
        "    )\n\n\ndef _permitted",
        rates=replace(STUCK, reload=0.02, edit=0.02),
        seed=4,
    ),
    # Drift.
    Mutant(
        "a reload is climbed over",
        "drift",
        "    if not now.moving:\n        return None\n    lost",
        "    if now.moving:\n        return None\n    lost",
        seed=1,
    ),
    Mutant(
        "drift at rest is left",
        "lanes",
        "if want is None or _untouchable(state, name, here):",
        "if want is None or here is None:",
        liveness=True,
        seed=12,
    ),
    Mutant(
        "share 0 waits for evidence",
        "holds",
        "    if now.release.share_bp and (now.verdict",
        "    if (now.verdict",
        liveness=True,
        seed=48,
    ),
    Mutant(
        "maintenance still writes",
        "lanes",
        "    if want is None or _untouchable(state, name, here):",
        "    if want is None:",
        seed=17,
    ),
    # The account and the record.
    Mutant(
        "a restart forgets the judge's account",
        "machine",
        "accounts = state.accounts.get(release.id, {})",
        "accounts = {}",
    ),
    Mutant(
        "a step is skipped",
        "change",
        "return next((step for step in release.plan.steps_bp if step > release.share_bp), BP_FULL)",
        "return BP_FULL",
    ),
    Mutant(
        "a step does not wait for the read-back",
        "rules",
        "not now.progress.holds and not waits(now)",
        "not now.progress.holds",
    ),
    Mutant(
        "a rolled back pool gets its sessions back before its share",
        "reconcile",
        "    if share_bp == 0 and want.share_bp(exposed) > 0:",
        "    if False:",
        seed=4,
    ),
    Mutant(
        "the roles swap with the rollback's decision",
        "change",
        "    carrier = carrier.with_pool(release.origin, origin)",
        "    carrier = replace(carrier, active=release.origin).with_pool(release.origin, origin)",
        seed=7,
    ),
    # Sessions.
    Mutant(
        "sessions move as fast as they can",
        "parting",
        "    going = min(used, int(spent / needed))",
        "    going = used",
        seed=28,
    ),
    Mutant(
        "time is used twice for moving sessions",
        "parting",
        "    after = replace(leaving, paced_at=Instant(paced_at + round(going * needed)), left=left)",
        "    after = replace(leaving, left=left)",
        rates=CALM,
    ),
    Mutant(
        "sessions that should wait are moved",
        "change",
        "per_second=policy.per_second,",
        "per_second=policy.per_second or 5,",
        seed=2,
    ),
    Mutant(
        "a rollback does not honour the sessions of active again",
        "change",
        "    origin = replace(carrier.pool(release.origin), keep_bp=BP_FULL, leaving=None)",
        "    origin = replace(carrier.pool(release.origin), leaving=None)",
        rates=BUSY,
    ),
    Mutant(
        "a new release does not honour the sessions of its candidate",
        "change",
        "keep_bp=BP_FULL, leaving=None))\n    moved",
        "leaving=None))\n    moved",
    ),
)
