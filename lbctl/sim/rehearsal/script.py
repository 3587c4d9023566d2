"""What is to go wrong, to whom, and when: as people write it, and as the rehearsal needs it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from lbctl.config.quantity import parse_percent, parse_span, shown
from lbctl.model.names import Colour, InstanceName, ServerName, ServiceName
from lbctl.model.topology import Topology
from lbctl.model.units import HOUR, MINUTE, Span, seconds

EXTRA_MAX = MINUTE
LENGTH_MAX = Span(24 * HOUR)
_WHEN = re.compile(r"(?P<what>[^@+]*)(?:@(?P<at>[^@+]+))?(?:\+(?P<length>[^@+]+))?")
_STEP = re.compile(r"step([1-9][0-9]?)")


class Kind(StrEnum):
    """What can go wrong."""

    ERRORS = "errors"
    LATENCY = "latency"
    DEAD = "dead"
    UNREADABLE = "unreadable"
    RELOAD = "reload"
    KILL = "kill"


class Moment(StrEnum):
    """From when on, where that is no time."""

    START = "start"
    STEP = "step"
    BAKE = "bake"
    DRAIN = "drain"


@dataclass(frozen=True, slots=True)
class When:
    """`number` is which step, counted from 1; `after` how long after the start of the release."""

    moment: Moment = Moment.START
    number: int = 0
    after: Span = Span(0)

    def __str__(self) -> str:
        if self.moment is Moment.START:
            return f"{seconds(self.after)} after the start" if self.after else "the start"
        return f"step {self.number}" if self.moment is Moment.STEP else f"the {self.moment}"


@dataclass(frozen=True, slots=True)
class Whom:
    """Servers of one pool: all of them, or one."""

    service: ServiceName
    colour: Colour
    server: ServerName | None = None

    def __str__(self) -> str:
        return f"{self.service}/{self.server or self.colour}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One thing that goes wrong. `amount`: a ratio for errors, milliseconds for latency. `length` None: for good."""

    kind: Kind
    begins: When
    length: Span | None = None
    whom: Whom | None = None
    instance: InstanceName | None = None
    amount: float = 0.0

    @property
    def text(self) -> str:
        """What happens, for people."""
        return _TEXTS[self.kind](self)


_TEXTS: dict[Kind, Callable[[Trouble], str]] = {
    Kind.ERRORS: lambda one: f"{one.whom} fails {one.amount * 100:g} % of its requests",
    Kind.LATENCY: lambda one: f"{one.whom} answers {seconds(int(one.amount))} later",
    Kind.DEAD: lambda one: f"{one.whom} is dead",
    Kind.UNREADABLE: lambda one: f"{one.instance} routes on, but cannot be read or written",
    Kind.RELOAD: lambda one: f"{one.instance} is reloaded",
    Kind.KILL: lambda one: "lbctld is killed",
}
WRITE = {
    Kind.ERRORS: "green=3%, green=3%@step2 or green=3%@step2+30s",
    Kind.LATENCY: "green=300ms, green=300ms@step2 or green=300ms@bake+1m",
    Kind.DEAD: "green, green-2@step2 or green@90s+20s",
    Kind.UNREADABLE: "lb1, lb1@step2 or lb1@step2+20s",
    Kind.RELOAD: "lb1 or lb1@step2",
    Kind.KILL: "@step2 or @90s+10s",
}
"""How each is written."""


class Reader:
    """Reads what people write, against the services that are rehearsed. `carrier` is meant where none is named."""

    def __init__(self, topology: Topology, carrier: ServiceName, to: Colour, steps: int) -> None:
        self._topology = topology
        self._carrier = carrier
        self._colours = {**{colour.value: colour for colour in Colour}, "candidate": to, "active": to.other}
        self._steps = steps

    def read(self, kind: Kind, text: str) -> Trouble:
        """Return the trouble that `text` describes.

        Raises:
            ValueError: it cannot be read; the text says what is wrong with it.
        """
        found = _WHEN.fullmatch(text)
        if found is None:
            raise ValueError(f"{shown(text)} has more than one @ or +")
        when = self._when(found["at"]) if found["at"] else When()
        length = None if found["length"] is None else _length(found["length"])
        who, equals, amount = found["what"].partition("=")
        if bool(equals) != (kind in {Kind.ERRORS, Kind.LATENCY}):
            raise ValueError(f"{shown(text)} cannot be read")
        if kind is Kind.KILL:
            if who:
                raise ValueError(f"{shown(text)} cannot be read")
            if when == When():
                raise ValueError("a release begins only while lbctld lives: say when, as @step2")
            return Trouble(kind=kind, begins=when, length=length or Span(5_000))
        if kind is Kind.RELOAD and length is not None:
            raise ValueError(f"{shown(text)}: a reload takes no time")
        if kind in {Kind.UNREADABLE, Kind.RELOAD}:
            return Trouble(kind=kind, begins=when, length=length, instance=self._instance(who))
        size = {Kind.ERRORS: _ratio, Kind.LATENCY: _extra}.get(kind, lambda _: 0.0)(amount)
        return Trouble(kind=kind, begins=when, length=length, whom=self._whom(who), amount=size)

    def _when(self, text: str) -> When:
        step = _STEP.fullmatch(text)
        if step is not None:
            number = int(step[1])
            if number > self._steps:
                raise ValueError(f"there is no step {number}: the plan has {self._steps}")
            return When(Moment.STEP, number)
        if text in {Moment.BAKE, Moment.DRAIN}:
            return When(Moment(text))
        try:
            return When(after=parse_span(text))
        except ValueError:
            raise ValueError(f"{shown(text)} is no moment: step1, step2 …, bake, drain, or a time as 90s") from None

    def _whom(self, text: str) -> Whom:
        name, slash, rest = text.rpartition("/")
        service = self._topology.services.get(ServiceName(name)) if slash else self._topology.services[self._carrier]
        if service is None:
            raise ValueError(f"there is no service {shown(name)}: {', '.join(self._topology.services)}")
        if rest in self._colours:
            return Whom(service.name, self._colours[rest])
        for colour in Colour:
            for server in service.pool(colour).servers:
                if server.name == rest:
                    return Whom(service.name, colour, server.name)
        servers = [server.name for colour in Colour for server in service.pool(colour).servers]
        raise ValueError(f"{service.name} has no {shown(rest)}: blue, green, candidate, active, {', '.join(servers)}")

    def _instance(self, text: str) -> InstanceName:
        names = [one.name for plane in self._topology.planes.values() for one in plane.instances]
        found = [name for name in names if text in {name, name.rpartition("/")[2]}]
        if len(found) == 1:
            return found[0]
        raise ValueError(f"there is no load balancer {shown(text)}: {', '.join(names)}")


def _ratio(text: str) -> float:
    ratio = float(parse_percent(text)) / 100
    if not 0 <= ratio <= 1:
        raise ValueError(f"{shown(text)} is not within 0 % and 100 %")
    return ratio


def _extra(text: str) -> float:
    extra = parse_span(text)
    if extra > EXTRA_MAX:
        raise ValueError(f"{shown(text)} is longer than {seconds(EXTRA_MAX)}: take `errors` for what never answers")
    return float(extra)


def _length(text: str) -> Span:
    length = parse_span(text)
    if not 0 < length <= LENGTH_MAX:
        raise ValueError(f"{shown(text)} is not within 1ms and {seconds(LENGTH_MAX)}")
    return length
