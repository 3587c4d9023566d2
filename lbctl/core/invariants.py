"""What must always hold between two records. Asserted in production, in the simulator and in the property tests alike.

A broken invariant is a bug in lbctl, not an operating condition: the daemon ends, systemd starts it again from the last
record, and traffic stays where it is.
"""

from lbctl.core.transitions import may_go
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Adopted, Member, Phase, PoolState, Record, Release
from lbctl.model.units import BP_FULL


class InvariantViolatedError(AssertionError):
    """The core decided something that its own rules forbid."""


def check(before: Record, after: Record) -> None:
    """Raise if the step from one record to the next breaks a rule."""
    _claim(after.rev > before.rev, "the revision rises")
    _claim(after.next_release >= before.next_release, "release numbers are never reused")
    for name, adopted in after.services.items():
        states = {adopted.blue.state, adopted.green.state}
        _claim(adopted.pool(adopted.active).state is not PoolState.IDLE, f"{name}: the active pool is never idle")
        _claim(states != {PoolState.ACTIVE}, f"{name}: one pool is active, not two")
        for pool in (adopted.blue, adopted.green):
            unused = pool.state is PoolState.IDLE and pool.keep_bp == 0
            _claim(pool.certificate is None or unused, f"{name}: a certified pool is idle and honours no session")
            for provider, partner in pool.paired.items() if pool.state is PoolState.DRAINING else ():
                held = after.claims.get(provider)
                free = held is None or held.colour is not partner
                _claim(free, f"{name}: no pool that may still call is paired with a pool of {provider} that is claimed")
        _sessions(name, before.services.get(name), adopted)
    for release in after.releases.values():
        _release(before, after, release)


def _release(before: Record, after: Record, release: Release) -> None:
    old = before.releases.get(release.unit_name)
    _claim(release.origin is not release.to, f"{release.id}: a release goes to the other pool")
    if old is None or old.id != release.id:
        _claim(old is None or old.phase.ended, f"{release.id}: one release at a time")
        _claim(release.phase is Phase.PREFLIGHT and release.share_bp == 0, f"{release.id}: it starts without traffic")
        return
    _claim((old.origin, old.to) == (release.origin, release.to), f"{release.id}: from and to are fixed")
    _claim(may_go(old.phase, release.phase), f"{release.id}: no edge {old.phase} → {release.phase}")
    _claim(release.epoch >= old.epoch, f"{release.id}: the epoch never falls")
    _claim(release.share_bp == old.share_bp or release.epoch > old.epoch, f"{release.id}: a new target is a new epoch")
    if old.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}:
        _claim(release.share_bp == 0, f"{release.id}: rolling back is latched")
    if release.phase is Phase.BAKING or release.phase.swapped:
        _claim(release.share_bp == BP_FULL, f"{release.id}: baked and drained only at 100 %")
    if release.phase.swapped:
        for name, member in release.members.items():
            rule = f"{release.id}: the candidate of {name} is active while the old drains"
            _claim(after.services[name].active is member.to, rule)
    keep_bp = after.services[release.service].pool(release.to).keep_bp
    _claim(release.share_bp == 0 or keep_bp == BP_FULL, f"{release.id}: new traffic, kept")
    for name, member in release.followers.items() if not release.phase.ended else ():
        _follower(old, after, release, name, member)


def _sessions(name: ServiceName, before: Adopted | None, after: Adopted) -> None:
    """Sessions go one way only, and never out of both pools."""
    for colour in Colour:
        pool, was = after.pool(colour), None if before is None else before.pool(colour)
        _claim(pool.state is not PoolState.ACTIVE or pool.keep_bp == BP_FULL, f"{name}: active honours its sessions")
        if pool.leaving is None:
            continue
        _claim(pool.state is not PoolState.ACTIVE, f"{name}: no session leaves the active pool")
        _claim(after.pool(colour.other).keep_bp == BP_FULL, f"{name}: who leaves one pool is honoured in the other")
        if was is None or was.leaving is None or was.leaving.began_at != pool.leaving.began_at:
            continue
        _claim(pool.keep_bp <= was.keep_bp, f"{name}: who was moved is not called back")
        used = pool.leaving.paced_at - was.leaving.paced_at
        _claim(used > 0 or pool.keep_bp == was.keep_bp, f"{name}: no time is used twice for moving sessions")


def _follower(old: Release, after: Record, release: Release, name: ServiceName, member: Member) -> None:
    was = old.followers.get(name)
    _claim(was is not None and (was.origin, was.to) == (member.origin, member.to), f"{release.id}: {name} is fixed")
    if member.flipped:
        _claim(release.phase.swapped, f"{release.id}: {name} flips only at the end")
    consumer, provider = after.services[release.service], after.services[name]
    partners = [consumer.pool(colour).paired.get(name) for colour in (release.origin, release.to)]
    _claim(partners == [member.origin, member.to], f"{release.id}: both pools stay with their partner in {name}")
    _claim(provider.pool(member.to).state is not PoolState.IDLE, f"{release.id}: a called pool of {name} is not idle")


def _claim(holds: bool, rule: str) -> None:
    if not holds:
        raise InvariantViolatedError(rule)
