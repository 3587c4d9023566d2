"""What a daemon that is up says first: for whom, and everything a person should know about how it found its files."""

from collections.abc import Iterable, Iterator

from lbctl.about import VERSION
from lbctl.model.entry import Kind, Scalar, Severity
from lbctl.model.record import Record
from lbctl.model.topology import Topology

Said = tuple[Kind, str, Severity, dict[str, Scalar]]
FOUND: dict[str, Scalar] = {"found": "at the start"}
"""Marks what nothing of this life will say to be over: what an earlier one left."""


def greetings(topology: Topology, record: Record, troubles: Iterable[str | None]) -> Iterator[Said]:
    """Yield them. `troubles` are those of the journal."""
    names = ", ".join(topology.services)
    yield Kind.DAEMON_STARTED, f"lbctld {VERSION} is up for {names}, from revision {record.rev}", Severity.INFO, {}
    for trouble in filter(None, troubles):
        yield Kind.JOURNAL_FAILED, f"the journal was found in trouble: {trouble}", Severity.PAGE, FOUND
    for release in record.releases.values():
        gone = [name for name in release.members if name not in topology.services]
        if not release.phase.ended and gone:
            text = (
                f"release {release.id} is in {release.phase}, but {', '.join(gone)} is not in the config: "
                "it stays as it is until the service is back in the config and lbctld has reloaded it"
            )
            yield Kind.HOLD_PAGED, text, Severity.PAGE, FOUND
