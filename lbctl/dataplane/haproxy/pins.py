"""The pins of one service on one HAProxy: their keys in the state map, the proof that its config obeys them, counts.

Pins lie in the state map beside the split. A worker obeys them only if its config has the rules, which came with the
table that counts calls: where that table is missing, every caller follows the split, whatever the map says.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

from lbctl.dataplane.haproxy.callers import addresses, callers_path, key_of, looks_at_addresses, table_of
from lbctl.dataplane.haproxy.looking import Look, unloaded
from lbctl.dataplane.haproxy.statemap import parse_lines
from lbctl.model.digits import count
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, Generation, ServiceName
from lbctl.model.route import UNKNOWN, Caller, Cell, Pin, Route
from lbctl.model.topology import Consumer, Instance, PinKind, Service

Pinned = tuple[tuple[Caller, Pin], ...]
ALL_KINDS = frozenset(PinKind)
_ROW = re.compile(r"0x[0-9a-f]+: key=(\S+) (.*)")
_COUNT = re.compile(r"\b(?:http_req_cnt|conn_cnt)=([0-9]+)")
_CELL = re.compile(r"(?:(unknown)|(.+)-(blue|green))>(blue|green)")
RENDER = "`lbctl config render haproxy` prints it"


class Pins:
    """The pins of one service; of one without consumers nothing is asked, written or missing."""

    def __init__(self, instance: Instance, service: Service, services: Sequence[Service]) -> None:
        self._service = service
        self.callers = service.callers
        self._table = f"show table {table_of(service.name)}"
        self._listeners = f"show stat {service.name} 8 -1"
        self._file = callers_path(instance, service.name)
        self._at = {consumer.kind for consumer in service.consumers.values()}
        self.unknowable = ""
        """Why callers cannot be told apart as configured."""
        try:
            self._addresses = addresses(service, services)
        except Garbled as error:
            self._addresses, self.unknowable = {}, str(error)

    @property
    def steering(self) -> tuple[str, ...]:
        """What must be asked to know whether a worker obeys pins."""
        return (self._table,) if self.callers else ()

    @property
    def questions(self) -> tuple[str, ...]:
        """What is asked of every worker at every look."""
        listeners = (self._listeners,) if PinKind.LISTENER in self._at else ()
        return (*self.steering, *listeners, *((self._show_map,) if looks_at_addresses(self._service) else ()))

    @property
    def _show_map(self) -> str:
        return f"show map {self._file}"

    # ---- values

    def read(self, entries: Mapping[str, str]) -> Pinned:
        """Return what these entries of the state map make of every caller: a missing or damaged one is no pin."""
        return tuple((caller, _pin(entries.get(self._key(caller), ""))) for caller in self.callers)

    def obeyed(self, look: Look) -> bool:
        """Whether this worker's config has the rules."""
        return not self.callers or _is_table(look.answers[self._table])

    def unpinned(self) -> Pinned:
        """Every caller follows the split."""
        return tuple((caller, Pin.SPLIT) for caller in self.callers)

    def entries(self, route: Route, split: str) -> dict[str, str]:
        """Return the entries that make a route, in the order in which they are written.

        Who is pinned is pinned before the split moves, and who is let go is let go after it: in between nobody is sent
        where neither the old route nor the new one sends him.
        """
        pins = {self._key(caller): pin.value for caller, pin in route.pins}
        firm = {key: pin for key, pin in pins.items() if pin != Pin.SPLIT}
        return {**firm, self._service.name: split, **pins}

    def refusal(self, route: Route) -> str:
        """Return why these pins can never be set; empty if they can."""
        wrong = route.misfit(self.callers)
        return f"{self._service.name}: {wrong}" if wrong else ""

    def damaged(self, entries: Mapping[str, str]) -> Iterator[str]:
        """Yield the keys that are missing or say nothing that HAProxy could use."""
        for caller in self.callers:
            if entries.get(self._key(caller)) not in set(Pin):
                yield self._key(caller)

    def _key(self, caller: Caller) -> str:
        return key_of(self._service.name, caller)

    # ---- counts

    def matrix(self, looks: Sequence[Look]) -> dict[Generation, dict[Cell, int]]:
        """Return the calls that every worker counted."""
        if not self.callers:
            return {}
        answers = {look.life: look.answers[self._table] for look in looks}
        return {life: parse_table(lines) for life, lines in answers.items() if _is_table(lines)}

    # ---- proof

    def obstacles(self, newest: Look) -> tuple[str, ...]:
        """Return, as `CODE: text`, what HAProxy's config lacks to obey pins."""
        if not self.callers:
            return ()
        return tuple(self._missing(newest))

    def _missing(self, newest: Look) -> Iterator[str]:
        name = self._service.name
        if self.unknowable:
            yield f"NO_PINS: {self.unknowable}"
        if not self.obeyed(newest):
            lacks = f"HAProxy's config lacks the pin rules of {name} (no table {table_of(name)})"
            yield f"PIN_RULES_MISSING: {lacks}: include the sections of {name} anew, {RENDER}, and reload"
        yield from self._missing_listeners(newest)
        yield from self._stale_addresses(newest)

    def _missing_listeners(self, newest: Look) -> Iterator[str]:
        listening = _listeners(newest.answers.get(self._listeners, ()))
        for caller, consumer in self._consumers(PinKind.LISTENER):
            want, at = consumer.listeners[caller.colour], listening.get(str(caller))
            if at is None or (at and at.rpartition(":")[2] != str(want.port)):
                there = "no listener" if at is None else f"at {at} the listener"
                then = f"write `bind {want} name {caller}` and `option socket-stats`, {RENDER}, and reload"
                yield f"PIN_LISTENER_MISSING: frontend {self._service.name} has {there} {caller}: {then}"

    def _stale_addresses(self, newest: Look) -> Iterator[str]:
        if not looks_at_addresses(self._service) or self.unknowable:
            return
        lines = newest.answers[self._show_map]
        loaded = None if unloaded(lines) else parse_lines(lines, columns=3)
        if loaded == self._addresses:
            return
        what = "is not loaded" if loaded is None else _difference(loaded, self._addresses)
        then = "`lbctl config render haproxy --write-maps` writes it; then reload"
        yield f"CALLERS_STALE: {self._file}: {what}: {then}"

    def _consumers(self, kind: PinKind) -> Iterator[tuple[Caller, Consumer]]:
        for caller in self.callers:
            consumer = self._service.consumers[caller.service]
            if consumer.kind is kind:
                yield caller, consumer


def parse_table(lines: Sequence[str]) -> dict[Cell, int]:
    """Return the cells of a `show table` answer; what is no cell is left out."""
    rows = (row for line in lines if (row := _ROW.fullmatch(line)) is not None)
    cells = ((_cell(row[1]), _COUNT.findall(row[2])) for row in rows)
    return {cell: count(counts[-1]) for cell, counts in cells if cell is not None and counts}


def _cell(text: str) -> Cell | None:
    found = _CELL.fullmatch(text)
    if found is None:
        return None
    caller = None if found[1] == UNKNOWN else Caller(ServiceName(found[2]), Colour(found[3]))
    return Cell(caller, Colour(found[4]))


def _is_table(lines: Sequence[str]) -> bool:
    return bool(lines) and lines[0].startswith("# table: ")


def _pin(text: str) -> Pin:
    return Pin(text) if text in set(Pin) else Pin.SPLIT


def _listeners(lines: Sequence[str]) -> dict[str, str]:
    """Return name and address of the listeners in a `show stat` answer; the address is empty where it is not told."""
    if not lines or not lines[0].startswith("# "):
        return {}
    columns = lines[0][2:].split(",")
    at = columns.index("addr") if "addr" in columns else -1
    rows = (line.split(",") for line in lines[1:])
    return {row[1]: row[at] if 0 <= at < len(row) else "" for row in rows if len(row) > 1}


def _difference(loaded: Mapping[str, str], wanted: Mapping[str, str]) -> str:
    host = min(host for host in {*loaded, *wanted} if loaded.get(host) != wanted.get(host))
    return f"{host} is {loaded.get(host, 'nobody')} there and {wanted.get(host, 'nobody')} in lbctl's config"
