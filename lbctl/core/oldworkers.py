"""Old workers of a load balancer: who keeps one alive, and those that nobody sees. They may still route. Pure.

That a load balancer was reloaded is recorded where it does not show what became of its old workers (`rest.remembered`):
a daemon that was started since must not take them for gone. It ends when they can be seen.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from lbctl.model.digits import whole
from lbctl.model.names import Generation, InstanceName, ServiceName
from lbctl.model.reading import Holder, InstanceReading
from lbctl.model.record import Record

UNSEEN = "OLD_WORKERS_UNSEEN"
"""The warning of a load balancer that may have old workers which nobody sees or steers."""


EPOCH_LEAST_S = 1_500_000_000
"""Where a life says when it began by the clock of its host, in seconds, it is more than this (July 2017)."""


def kept_by(reading: InstanceReading, life: Generation) -> list[tuple[ServiceName, Holder]]:
    """Return who is known to be in flight on a worker and at which service, the oldest first."""
    found = [
        (name, one)
        for name, seen in reading.services.items()
        for pool in seen.pools.values()
        for one in pool.holders
        if one.generation == life
    ]
    return sorted(found, key=lambda pair: -pair[1].age)


def old_since_s(reading: InstanceReading, life: Generation) -> int | None:
    """Return when the next worker began and this one became old, in seconds of its host's clock; None: it is not told.
    Not of an Envoy, whose lives begin in ticks of another clock."""
    lives = {one: _began_s(one) for one in (reading.generation, *reading.draining_generations)}
    mine = lives.get(life)
    if mine is None:
        return None
    return min((at for one, at in lives.items() if one != life and at is not None and at >= mine), default=None)


def _began_s(life: Generation) -> int | None:
    found = whole(life.partition("@")[2])
    return found if found is not None and found > EPOCH_LEAST_S else None


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
