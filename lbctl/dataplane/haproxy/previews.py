"""What one HAProxy shows of the previews of a service: whether its config has them, and how many are under way."""

from collections.abc import Sequence

from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.previewrules import backend_of
from lbctl.dataplane.haproxy.statistics import Figures, Table
from lbctl.model.names import Colour
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
        if colour not in self._backends:
            return 0
        found = (Table.of(self._backends[colour], look.answers[self._asked[colour]]) for look in looks)
        own = [Figures(table.own) for table in found if table is not None]
        return sum(figures.running + figures.queued for figures in own)

    def obstacles(self, newest: Look) -> tuple[str, ...]:
        """Return, as `CODE: text`, what HAProxy's config lacks: a preview would be taken for a user, and tell lies."""
        for colour, backend in self._backends.items():
            if Table.of(backend, newest.answers[self._asked[colour]]) is None:
                name = self._service.name
                then = f"include the sections of {name} anew, `lbctl config render haproxy` prints them, and reload"
                return (f"PREVIEW_RULES_MISSING: HAProxy's config has no preview of {name} ({backend}): {then}",)
        return ()
