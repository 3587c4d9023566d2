"""What one HAProxy shows of the previews of a service: whether its config has them, and how many are under way."""

from collections.abc import Mapping, Sequence

from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.previewrules import backend_of
from lbctl.dataplane.haproxy.statistics import Figures, Table
from lbctl.model.names import Colour, Generation
from lbctl.model.topology import HaproxyBinding, Service


class Previews:
    """The previews of one service; of one that has none nothing is asked."""

    def __init__(self, service: Service, binding: HaproxyBinding) -> None:
        self._service = service
        self._backends = {colour: backend_of(binding, colour) for colour in Colour} if service.preview else {}
        self._asked = {colour: f"show stat {backend} 6 -1" for colour, backend in self._backends.items()}

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked of every worker at every look."""
        return tuple(self._asked.values())

    def in_flight(self, colour: Colour, looks: Sequence[Look]) -> int:
        """Return how many previews of a pool wait or are being answered, over all workers."""
        own = [Figures(table.own) for table in self._tables(colour, looks).values()]
        return sum(figures.running + figures.queued for figures in own)

    def added(self, colour: Colour, looks: Sequence[Look], taken: Mapping[Generation, int]) -> dict[Generation, int]:
        """Return what every worker was given for a pool, with its previews: they use it as well."""
        previews = self._tables(colour, looks)
        return {life: count + (previews[life].taken if life in previews else 0) for life, count in taken.items()}

    def _tables(self, colour: Colour, looks: Sequence[Look]) -> dict[Generation, Table]:
        if colour not in self._backends:
            return {}
        found = {look.life: Table.of(self._backends[colour], look.answers[self._asked[colour]]) for look in looks}
        return {life: table for life, table in found.items() if table is not None}

    def obstacles(self, newest: Look) -> tuple[str, ...]:
        """Return, as `CODE: text`, what HAProxy's config lacks: a preview would be taken for a user, and tell lies."""
        for colour, backend in self._backends.items():
            if Table.of(backend, newest.answers[self._asked[colour]]) is None:
                name = self._service.name
                then = f"include the sections of {name} anew, `lbctl config render haproxy` prints them, and reload"
                return (f"PREVIEW_RULES_MISSING: HAProxy's config has no preview of {name} ({backend}): {then}",)
        return ()
