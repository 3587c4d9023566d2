"""What the state says of units: their release, its step, its gates, as samples. Pure."""

from collections.abc import Iterator

from lbctl.core.holds import Hold
from lbctl.core.situation import Situation
from lbctl.core.state import State
from lbctl.daemon.metrics.pools import Sample
from lbctl.daemon.views import first_hold
from lbctl.model.record import Phase, Release
from lbctl.model.topology import Unit
from lbctl.model.units import BP_FULL, Instant, since

GATES: dict[str, frozenset[str]] = {
    "approval": frozenset({"approval"}),
    "health": frozenset({"candidate", "capacity", "checker"}),
    "hook": frozenset({"hook"}),
    "version": frozenset({"attestation"}),
}
"""By the codes of holds. `freeze` and `partner` wait also where no release runs."""


def unit_samples(state: State, unit: Unit, here: Situation | None, now: Instant) -> Iterator[Sample]:
    """Yield what is known of one unit; `here` is its running release."""
    name = unit.name
    release = state.record.releases.get(name)
    for phase in Phase:
        is_now = release is not None and release.phase is phase
        yield "lbctl_release_state", (name, phase.value), float(is_now)
    if release is not None:
        yield from _info(name, release)
    for gate, waits in _gates(state, unit, here).items():
        yield "lbctl_gate_state", (name, gate, "waiting" if waits else "open"), 1.0
    yield from _step(name, here, now)


def _info(name: str, release: Release) -> Iterator[Sample]:
    for service, member in release.members.items():
        yield "lbctl_release_info", (name, release.id, service, member.version, member.to.value), 1.0
    yield "lbctl_release_step_ratio", (name,), release.share_bp / BP_FULL


def _step(name: str, here: Situation | None, now: Instant) -> Iterator[Sample]:
    hold = first_hold(here)
    held_ms = 0
    if hold is not None and here is not None and here.progress is not None:
        held_ms = since(here.progress.held_since.get(hold.code, now), now)
    yield "lbctl_release_held_seconds", (name,), held_ms / 1_000
    if here is not None and here.moving and here.progress is not None:
        plan = here.release.plan
        planned = plan.bake if here.release.phase is Phase.BAKING else plan.hold_min
        yield "lbctl_release_step_seconds", (name,), since(here.progress.target_since, now) / 1_000
        yield "lbctl_release_step_planned_seconds", (name,), planned / 1_000


def _gates(state: State, unit: Unit, here: Situation | None) -> dict[str, bool]:
    """Return whether each gate is waited for."""
    holds: tuple[Hold, ...] = () if here is None or here.progress is None else here.progress.holds
    codes = {hold.code for hold in holds}
    waits = {gate: bool(codes & known) for gate, known in GATES.items()}
    waits["approval"] |= here is not None and here.release.phase is Phase.AWAITING_APPROVAL
    waits["freeze"] = any(one in state.observed.frozen for one in unit.services)
    waits["partner"] = any(one in state.record.board for one in unit.services)
    return waits
