"""How one HAProxy holds the route of one service: what a form must be able to read, write, and say about itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol as Shape

from lbctl.dataplane.haproxy.client import Blocks
from lbctl.dataplane.haproxy.looking import Look
from lbctl.dataplane.haproxy.workers import Worker, batches
from lbctl.dataplane.patience import Patience
from lbctl.model.names import Colour
from lbctl.model.operation import Ability
from lbctl.model.reading import ServiceReading
from lbctl.model.route import Route

Entries = Mapping[str, str]
Send = Callable[[Sequence[str]], Awaitable[Blocks]]


@dataclass(frozen=True, slots=True)
class Line:
    """The command line of one worker during one operation. What is changed is fenced, what is asked is not."""

    worker: Worker
    _ask: Send
    _change: Send

    async def ask(self, *commands: str) -> Blocks:
        """Ask. Raises Unreachable, Garbled."""
        return [block for part in batches(commands) for block in await self._ask(part)]

    async def change(self, *commands: str) -> Blocks:
        """Change, in as few batches as HAProxy takes. Raises Unreachable, Garbled, Overtaken."""
        return [block for part in batches(commands) for block in await self._change(part)]


class Form(Shape):
    """One service on one instance."""

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked of every worker at every look."""

    @property
    def steering(self) -> tuple[str, ...]:
        """Those of the questions that `runtime` needs."""

    @property
    def backends(self) -> Mapping[Colour, str]:
        """HAProxy's name of each pool; one for both where they share a backend."""

    @property
    def boot_files(self) -> tuple[Path, ...]:
        """What HAProxy reads at its start."""

    def reading(self, looks: Sequence[Look], boot: Entries | None) -> ServiceReading:
        """Return what all looks, the newest first, and the boot files say. `boot` is the map file. Raises Garbled."""

    def runtime(self, look: Look) -> Route | None:
        """Return what this worker routes; None: lbctl does not steer it. Raises Garbled."""

    async def bring(self, line: Line, route: Route) -> str:
        """Bring one worker to a route and read it back; return why that did not come true, empty if it did.

        Raises: as `Line`.
        """

    def store(self, route: Route, patience: Patience | None = None) -> None:
        """Write the boot value, durably; called in a thread. `patience`: see `SlotFile.write`.

        Raises:
            OSError: it is not written, or not all of it.
            ValueError: this route cannot be written.
        """

    def refusal(self, route: Route) -> str:
        """Return why this form can never make that route; empty if it can."""

    def damaged(self, entries: Entries) -> tuple[str, ...]:
        """Return the keys of pins that these entries of the map lack, or hold with a value that says nothing."""

    def ability(self, look: Look, tables: Mapping[str, bool]) -> Ability:
        """Return what can be done with this service. `tables` says of every stick table whether it names servers."""
