"""What the API answers about a plan, as forms. More keys may come; none will go."""

from typing import Literal

import msgspec


class Told(msgspec.Struct):
    """A refusal, a warning, or what is not ready."""

    code: str
    text: str


class PlanStep(msgspec.Struct):
    """One step to come: how long it must last to show `target_rate`, the smallest bad ratio that it shows as planned,
    and the requests that must be judged before it is done. Null: not known, or no length suffices."""

    share_bp: int
    hold_min_ms: int
    text: str
    needed_s: float | None = None
    sees_ratio: float | None = None
    evidence: int = 0


class PlanTraffic(msgspec.Struct):
    """The traffic that a plan was made for."""

    rps: float
    active_bad_ratio: float
    dispersion: float
    dispersion_from: Literal["given", "learned", "assumed"]
    known_s: float
    text: str


class BetterPlan(msgspec.Struct):
    """Steps and hold that see more, and the command that takes them."""

    steps_bp: list[int]
    hold_ms: int
    sees_ratio: float
    until_full_ms: int
    text: str
    command: str


class PlanMember(msgspec.Struct):
    """One service of a plan."""

    service: str
    from_: str = msgspec.field(name="from")
    to: str
    version_from: str
    version_to: str


class PlanSessions(msgspec.Struct):
    """What becomes of sessions: of those on `pool`, which is left, from the end of the bake on, and of the candidate's
    if it goes back (`on_rollback`, `back_text`). `count`: about how many came to `pool` within the last minute, null:
    not known, and `uncounted` says why nobody can. `lasts_ms`: how long moving them takes, null: nobody is moved, or
    it is not known yet."""

    pool: str
    policy: Literal["wait", "move"]
    per_second: int | None
    idle_ms: int
    deadline_ms: int
    at_deadline: Literal["keep", "close"]
    count: int | None
    uncounted: str
    lasts_ms: int | None
    on_rollback: Literal["auto", "keep", "drain", "move"]
    text: str
    back_text: str


class HookView(msgspec.Struct):
    """Who is asked, or told, at a point of the release. `asked`: its yes is waited for."""

    at: str
    name: str
    asked: bool
    timeout_ms: int
    no_answer: Literal["hold", "pass", "rollback"]


class PlanAnswer(msgspec.Struct):
    """What a release would do. A switch is refused for `refusals`; for `unready` it starts, and waits in preflight.

    `traffic` null: not known yet; `better` null: none needed; `sessions` null: what users speak has none.
    """

    service: str
    from_: str = msgspec.field(name="from")
    to: str
    version_from: str
    version_to: str
    refusals: list[Told]
    unready: list[Told]
    warnings: list[Told]
    steps: list[PlanStep]
    bake_ms: int
    retain_ms: int
    total_min_ms: int
    writes: list[str]
    back: str
    plan_mode: Literal["warn", "auto", "strict"] = "warn"
    target_rate: float = 0.02
    traffic: PlanTraffic | None = None
    better: BetterPlan | None = None
    unit: str | None = None
    members: list[PlanMember] = []
    gate: str = ""
    hooks: list[HookView] = []
    sessions: PlanSessions | None = None
