"""How a release ended, in one word: the same in status, in lists and in metrics."""

from lbctl.model.record import Phase, Record, Release

RESULTS = ("certified", "unproven", "rolled_back", "cancelled")
"""`certified` and `unproven` are both finished: it is proved that nobody uses an old pool, or it is not."""


def result_of(release: Release | None, record: Record) -> str:
    """Return one of RESULTS; empty while it runs, and where there is none. What is proved later, at rest, counts."""
    if release is None or not release.phase.ended:
        return ""
    if release.phase is Phase.FINISHED:
        return "unproven" if release.outcome and not certified_since(release, record) else "certified"
    return release.phase.value


def certified_since(release: Release, record: Record) -> bool:
    """Whether the old pools of a release that is through have certificates of it by now."""
    pools = [record.services[name].pool(one.origin) for name, one in release.members.items() if name in record.services]
    found = [pool.certificate for pool in pools]
    return len(found) == len(release.members) and all(one is not None and one.release == release.id for one in found)
