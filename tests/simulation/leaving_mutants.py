"""The rules of emptiness and of the point of no return, each left out or read loosely in one place."""

from dataclasses import replace

from lbctl.sim.chance import FAULTS, NONE
from tests.simulation.damaged import Mutant

LEAVING = replace(FAULTS, person=0.04, leaves=0.15, visit=0.02, heal=0.3, edit=0.0, errors=0.0, server_dies=0.0)
"""Users stay on old pools for a while, and leave."""
STAYING = replace(LEAVING, leaves=0.05, visit=0.1, stays=0.5, reload=0.02)
RETURNING = replace(LEAVING, visit=0.1, stays=0.0, stray=0.05, reload=0.02, crash=0.0, idle_crash=0.0)
"""Somebody comes again and again, never for long."""
NO_RETURN = replace(NONE, slow=0.4, person=0.03, heal=0.3, full=0.003, late=0.1, regret=0.3)
"""The journal takes its time, and people go back."""
DOOMED = replace(NO_RETURN, idle_crash=0.01, slow=0.5)

MUTANTS = (
    Mutant(
        "what is in flight keeps nobody",
        "emptiness",
        "        elif pool.in_flight:",
        "        elif False:",
        also=(("calm", "pool.in_flight > 0 or ", ""),),
        rates=STAYING,
        seed=1,
    ),
    Mutant(
        "a request restarts no quiet time",
        "calm",
        "disturbed = disturbed or pool.in_flight > 0 or came.get(instance) != pool.arrived",
        "disturbed = disturbed or pool.in_flight > 0 or instance not in came",
        rates=RETURNING,
    ),
    Mutant(
        "only the newest generation's requests count",
        "calm",
        "came.get(instance) != pool.arrived\n            came[instance] = pool.arrived",
        "came.get(instance) != pool.arrived.get(reading.generation)\n"
        "            came[instance] = pool.arrived.get(reading.generation)",
        rates=RETURNING,
        seed=58,
    ),
    Mutant(
        "no further quiet time after the last session",
        "state",
        "return max(self.idle_since, self.closed_since, self.alone_since)",
        "return self.idle_since",
        rates=RETURNING,
    ),
    Mutant(
        "sessions are not closed before the certificate",
        "emptiness",
        "    if adopted.pool(colour).keep_bp or calm is None or calm.closed_since is None:",
        "    if calm is None:",
        also=(
            ("state", "self.closed_since is None or ", ""),
            ("state", "return max(self.idle_since, self.closed_since, self.alone_since)", "return self.idle_since"),
        ),
        rates=RETURNING,
    ),
    Mutant(
        "keep 0 is not read back",
        "calm",
        "    if want is None or not closes or not reads_back(state, name, want):",
        "    if want is None or not closes:",
        also=(
            (
                "emptiness",
                "        elif want is None or not routed(reading, name, want):",
                "        elif want is None:",
            ),
            ("retiring", "    return proved(now) and progress is not None", "    return progress is not None"),
        ),
        rates=replace(LEAVING, refused=0.3, lost=0.2),
    ),
    Mutant(
        "one instance read is enough",
        "emptiness",
        "    return all(isinstance(one, InstanceReading) and one.taken_at >= at for one in readings)",
        "    return any(isinstance(one, InstanceReading) and one.taken_at >= at for one in readings)",
        also=(
            ("emptiness", '            yield f"the next reading of {instance} is awaited"', "            continue"),
            ("retiring", "    return proved(now) and progress is not None", "    return progress is not None"),
        ),
        rates=replace(STAYING, unreadable=0.03),
        seed=11,
    ),
    Mutant(
        "a rollback does not wait for the first certificate",
        "noreturn",
        "        case Rollback() | Cancel():\n            return any(",
        "        case Rollback() | Cancel():\n            return False and any(",
        rates=NO_RETURN,
        seed=6,
    ),
    Mutant(
        "a rollback waits for the journal for ever",
        "noreturn",
        "        if state.journal_error or since(state.record.releases[unit].phase_since, now) >= WINDOW",
        "        if state.journal_error",
        rates=NO_RETURN,
        seed=10,
    ),
    Mutant(
        "a back token is obeyed after the certificate",
        "rules",
        "now.release.phase in {Phase.ROLLING_BACK, Phase.RETIRING}",
        "now.release.phase is Phase.ROLLING_BACK",
        also=(
            (
                "transitions",
                "frozenset({Phase.RETIRING, Phase.FINISHED})",
                "frozenset({Phase.RETIRING, Phase.FINISHED, Phase.ROLLING_BACK})",
            ),
        ),
        rates=DOOMED,
        seed=99,
    ),
    Mutant(
        "a certificate does not count for a rollback",
        "requests",
        "    if now.release.phase is Phase.RETIRING:\n        raise too_late(now)\n",
        "",
        also=(
            (
                "transitions",
                "frozenset({Phase.RETIRING, Phase.FINISHED})",
                "frozenset({Phase.RETIRING, Phase.FINISHED, Phase.ROLLING_BACK})",
            ),
        ),
        rates=NO_RETURN,
        seed=7,
    ),
)
