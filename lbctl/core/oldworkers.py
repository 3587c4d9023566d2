"""Old workers of a load balancer that nobody sees: they may still route, and hold work. Pure.

That a load balancer was reloaded is recorded where it does not show what became of its old workers (`rest.remembered`):
a daemon that was started since must not take them for gone. It ends when they can be seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lbctl.model.names import InstanceName
from lbctl.model.reading import InstanceReading
from lbctl.model.record import Record

UNSEEN = "OLD_WORKERS_UNSEEN"
"""The warning of a load balancer that may have old workers which nobody sees or steers."""


def unseen_workers(record: Record, instance: InstanceName, reading: InstanceReading) -> Iterator[str]:
    """Yield, as `CODE: text`, that a load balancer may have old workers that are not seen."""
    yield from (text for text in reading.warnings if text.startswith(UNSEEN))
    if reading.blind and instance in record.unseen:
        began = f"it was reloaded or restarted when {record.unseen[instance]} began"
        yield f"{UNSEEN}: {began}, and old workers may still route; set `master_socket`"


def with_lives(record: Record, seen: Mapping[InstanceName, InstanceReading]) -> Record:
    """Return the record in which these lives are known: of a load balancer that does not show its old workers, also
    that there may be some. The two go together, or a reload that is noted with something else would be forgotten."""
    lives = {instance: one.generation for instance, one in seen.items()}
    new = {i: one.generation for i, one in seen.items() if one.blind and _is_new(record, i, one)}
    return replace(record, generations={**record.generations, **lives}, unseen={**record.unseen, **new})


def _is_new(record: Record, instance: InstanceName, reading: InstanceReading) -> bool:
    return record.generations.get(instance) not in {None, reading.generation}
