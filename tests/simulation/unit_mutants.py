"""The rules of units that their world must be able to miss. Each is left out, or read loosely, in one place."""

from dataclasses import replace

from lbctl.sim.chance import TEAMS, UNIT
from tests.simulation.damaged import Mutant

BUSY = replace(TEAMS, stops_old=0.0)
SICK = replace(TEAMS, pool_dies=0.03, server_dies=0.03, heal=0.15)
"""Servers and pools come and go."""
LATE = replace(TEAMS, ready_late=0.6)
TURNED = replace(TEAMS, person=0.08, late=0.2, reload=0.01)
"""People turn releases round, and load balancers are reloaded."""
ALL = replace(UNIT.times(2.5), **{one: getattr(TEAMS, one) for one in TEAMS.__slots__ if getattr(TEAMS, one)})
"""As many faults as one service has."""
SLOW = replace(TEAMS, late=0.5, stuck=0.2, lost=0.1, reload=0.02, person=0.04)

MUTANTS = (
    # Pins.
    Mutant(
        "an idle pool follows the split",
        "targets",
        "            return Pin.NONE",
        "            return Pin.SPLIT",
        rates=TEAMS,
        seed=1,
    ),
    Mutant(
        "a draining pool follows the split",
        "targets",
        "        case PoolState.DRAINING:\n            return towards",
        "        case PoolState.DRAINING:\n            return Pin.SPLIT",
        rates=TEAMS,
        seed=5,
    ),
    Mutant(
        "a release pins nobody",
        "targets",
        "    if release is not None and member is not None and (provider in release.members or caller.colour is member.to):\n        return towards",
        "    if False:\n        return towards",
        rates=TEAMS,
    ),
    Mutant(
        "a release pins only its candidate",
        "targets",
        "(provider in release.members or caller.colour is member.to)",
        "caller.colour is member.to",
        rates=TEAMS,
        seed=3,
    ),
    Mutant(
        "a way back changes pins",
        "targets",
        "    member = None if release is None else release.members[caller.service]",
        "    release = None if release is not None and release.phase.value == 'rolling_back' else release\n"
        "    member = None if release is None else release.members[caller.service]",
        rates=TURNED,
        seed=2,
    ),
    Mutant(
        "a follower's default is not moved before the pins",
        "retiring",
        "    return any(not follower.flipped for follower in now.release.followers.values())",
        "    return False",
        rates=SICK,
        seed=18,
    ),
    Mutant(
        "the pins of an old pool end with its certificate",
        "retiring",
        "    record = _with_pool(now.record, name, colour, found)\n",
        "    record = _with_pool(now.record, name, colour, found, paired={})\n",
        rates=TEAMS,
    ),
    # Together.
    Mutant(
        "only the carrier is read back",
        "evidence",
        "            for name, want in now.wants.items()\n",
        "            for name, want in [(now.release.service, now.want)]\n",
        rates=SICK,
        seed=5,
    ),
    Mutant(
        "a follower stays when its carrier goes over",
        "rules",
        "replace(adopted.with_pool(member.to, new), active=member.to))",
        "replace(adopted.with_pool(member.to, new), active=member.to if name == release.service else adopted.active))",
        rates=TEAMS,
    ),
    Mutant(
        "a follower stays when its carrier goes back",
        "rules",
        "        record = record.with_service(name, replace(record.services[name], active=member.origin))\n",
        "        back = member.origin if name == ended.service else member.to\n"
        "        record = record.with_service(name, replace(record.services[name], active=back))\n",
        rates=TURNED,
        seed=2,
    ),
    Mutant(
        "a follower does not honour its sessions again on the way back",
        "change",
        "        origin = replace(adopted.pool(member.origin), keep_bp=BP_FULL, leaving=None)\n",
        "        origin = adopted.pool(member.origin)\n",
        rates=UNIT,
        seed=4,
    ),
    # Claims and the board.
    Mutant(
        "a claim does not wait for what is in use",
        "claims",
        "        in_use(state, name, held.colour, at),\n",
        "        (),\n",
        rates=TEAMS,
        seed=2,
    ),
    Mutant(
        "a claim does not wait until the pool may call nobody",
        "claims",
        "    for provider in providers_of(state.topology, name) if idle else ():",
        "    for provider in ():",
        rates=SLOW,
    ),
    Mutant(
        "a claim does not look at boot values",
        "claims",
        "for route in (*routes, seen.boot)):",
        "for route in routes):",
        rates=ALL,
        seed=38,
    ),
    Mutant(
        "a pool that an old consumer is pinned to may be claimed",
        "claims",
        "    _not_called(state, record, name, adopted.active.other)\n",
        "",
        rates=SLOW,
        seed=14,
    ),
    Mutant(
        "what was superseded keeps its grant",
        "claims",
        "replace(held, since=now, granted=False, tainted=True)",
        "replace(held, since=now, tainted=True)",
        rates=SLOW,
        seed=16,
    ),
    Mutant(
        "a certificate outlives a claim",
        "claims",
        "keep_bp=0, certificate=None, voided=None",
        "keep_bp=0, voided=None",
        rates=TEAMS,
        seed=14,
    ),
    Mutant(
        "another build may say that it is ready",
        "ready",
        "    _held_by(state, request)\n    if",
        "    if",
        rates=LATE,
        seed=15,
    ),
    Mutant(
        "a set is not compared by its contracts",
        "board",
        "    if rendezvous(unit, record) is not Rendezvous.CONTRACT:\n        return None",
        "    return None",
        rates=TEAMS,
    ),
    Mutant(
        "a version alone is not compared with who stays",
        "board",
        "        if consumer not in chosen and provider not in chosen:\n            continue",
        "        if consumer not in chosen or provider not in chosen:\n            continue",
        rates=TEAMS,
    ),
    Mutant(
        "only one goes at a time",
        "board",
        "            return range(waiting, 0, -1)",
        "            return range(min(waiting, 1), 0, -1)",
        rates=TEAMS,
        liveness=True,
    ),
    Mutant(
        "a claim stands for ever",
        "standing",
        '    if since(held.since, now) < limit:\n        return None\n    text = (\n        f"{held.colour} of {name} was claimed',
        '    if since(held.since, now) >= 0:\n        return None\n    text = (\n        f"{held.colour} of {name} was claimed',
        rates=TEAMS,
        seed=2,
        liveness=True,
    ),
    # Old pools.
    Mutant(
        "an old provider does not wait for its consumer",
        "emptiness",
        "        still_called(state, name, colour, now),\n",
        "        (),\n",
        rates=BUSY,
    ),
    Mutant(
        "an old consumer counts as stopped when it is certified",
        "stopped",
        "            if running:\n",
        "            if False:\n",
        rates=BUSY,
    ),
)
