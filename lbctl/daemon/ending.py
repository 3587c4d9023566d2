"""How a release ended, in one word: the same in status, in lists and in metrics."""

from lbctl.model.record import Phase, Release

RESULTS = ("certified", "unproven", "rolled_back", "cancelled")
"""`certified` and `unproven` are both finished: it is proved that nobody uses an old pool, or it is not."""


def result_of(release: Release | None) -> str:
    """Return one of RESULTS; empty while it runs, and where there is none."""
    if release is None or not release.phase.ended:
        return ""
    if release.phase is Phase.FINISHED:
        return "unproven" if release.outcome else "certified"
    return release.phase.value
