"""What a plan becomes when a release is cut from it: fixed evidence for every step, or a refusal. Pure."""

from dataclasses import dataclass, replace

from lbctl.core.planner.better import Better, better, blind
from lbctl.core.planner.outlook import Outlook, outlooks
from lbctl.core.planner.traffic import Aim, Traffic
from lbctl.core.planner.wording import better_words, options_words, ratio_words, step_sentence
from lbctl.model.errors import Refused
from lbctl.model.topology import JudgeSettings, Plan, PlanMode


@dataclass(frozen=True, slots=True)
class Forecast:
    """A plan at today's traffic. `traffic` is a sentence where it is not known; nothing else is said then."""

    plan: Plan
    mode: PlanMode
    aim: Aim
    traffic: Traffic | str
    steps: tuple[Outlook, ...] = ()
    better: Better | None = None

    @property
    def blind(self) -> bool:
        """Whether the target may pass a step unseen."""
        return bool(self.steps) and blind(self.steps, self.aim.target_rate)


def forecast(plan: Plan, configured: JudgeSettings, known: Traffic | str) -> Forecast:
    """Return what `plan` will see."""
    mode, aim = configured.plan, Aim.of(configured)
    if isinstance(known, str):
        return Forecast(plan, mode, aim, known)
    seen = outlooks(plan, mode, aim, known)
    return Forecast(plan, mode, aim, known, seen, better(plan, mode, aim, known))


def cut(ahead: Forecast) -> Plan:
    """Return the plan of a release that begins now: from here on its evidence is fixed.

    Raises:
        Refused: by `judge.plan: strict`, a step is too short, or nobody can say.
    """
    refusal = objection(ahead)
    if refusal is not None:
        raise refusal
    evidence = tuple(one.evidence_count for one in ahead.steps)
    return replace(ahead.plan, evidence=evidence if any(evidence) else ())


def objection(ahead: Forecast) -> Refused | None:
    """Return why a release by this plan is refused; None unless `judge.plan` is `strict`."""
    if ahead.mode is not PlanMode.STRICT:
        return None
    if isinstance(ahead.traffic, str):
        return Refused(
            "traffic_not_known",
            "judge.plan is strict, and nobody knows yet what this plan would see",
            why=ahead.traffic,
            then="wait until it is known, or set judge.plan: warn",
        )
    if not ahead.blind:
        return None
    short = [step_sentence(one, ahead.aim, ahead.traffic) for one in ahead.steps if one.short(ahead.aim.target_rate)]
    return Refused(
        "plan_too_short",
        "judge.plan is strict, and a fault may pass this plan unseen",
        why="; ".join(short) or "no step below 100 % compares the candidate with active",
        then=way_out(ahead),
    )


def way_out(ahead: Forecast) -> str:
    """Return the better plan in words, or what else helps."""
    if ahead.better is not None and ahead.better.sees_ratio <= ahead.aim.target_rate:
        return f"{better_words(ahead.better, ahead.aim)} ({options_words(ahead.better)})"
    target = ratio_words(ahead.aim.target_rate)
    none = f"no plan shows {target} within a day at this traffic" if ahead.better is None else ""
    best = "" if ahead.better is None else better_words(ahead.better, ahead.aim)
    other = ", or set judge.plan: warn" if ahead.mode is PlanMode.STRICT else ""
    return f"{none or best}; raise judge.target_rate{other}"
