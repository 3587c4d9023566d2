"""A shop that writes down all that is decided, told, answered, held and ordered: what people and load balancers get."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from lbctl.core import ready
from lbctl.core.claims import lacking
from lbctl.core.emptiness import emptiness
from lbctl.core.state import Administer, Apply, Ask, Effect, Mark, Note, Reply, Save
from lbctl.model.entry import Entry
from lbctl.model.operation import SetClosing, SetRoute, SetServer
from lbctl.model.record import Record
from lbctl.model.request import Request
from tests.shop import Shop

PASSING = {"rev", "clock", "counted", "served", "rows"}
"""What of a record only says that time passed."""


class Written:
    """A shop and its transcript."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.lines: list[str] = []
        self._began = shop.now
        self._record, self._said = shop.state.record, dict[str, str]()
        shop.heard = lambda effect: self.lines.extend(f"  {line}" for line in _effect(effect))

    def ask(self, request: Request) -> None:
        """Ask, and go on until it is answered."""
        self.lines.append(f"{self._now} {type(request).__name__} by {request.actor}")
        self.shop.ask(request)
        self._look()

    def does(self, what: str) -> None:
        """Say what happens in the world."""
        self.lines.append(f"{self._now} {what}")

    def run(self, ticks: int) -> None:
        """Let time pass."""
        for _ in range(ticks):
            self.shop.tick()
            self._look()

    def until(self, phase: str, ticks: int = 200) -> None:
        """Let time pass until the release is in a phase."""
        for _ in range(ticks):
            release = self.shop.release
            if release is not None and release.phase.value == phase:
                return
            self.run(1)
        raise AssertionError(f"{phase} never came: {self.lines[-5:]}")

    @property
    def _now(self) -> str:
        return f"+{(self.shop.now - self._began) / 1_000:.1f}"

    def _look(self) -> None:
        state = self.shop.state
        self.lines += [f"{self._now} {line}" for line in _differing("", self._record, state.record)]
        self._record = state.record
        said = dict(_standing(self.shop))
        for key in sorted(said.keys() | self._said.keys()):
            if _timeless(said.get(key)) != _timeless(self._said.get(key)):
                self.lines.append(f"{self._now} {key}: {said.get(key, 'over')}")
        self._said = said


def _timeless(text: str | None) -> str | None:
    """That a time passes is no news."""
    return None if text is None else re.sub(r"[0-9.]+(ms|s|m|h)\b", "…", text)


def _standing(shop: Shop) -> Iterator[tuple[str, str]]:
    """Yield what stands: holds, what a proof and a claim wait for, what records on the board wait for."""
    state = shop.state
    for name, progress in state.progress.items():
        for hold in progress.holds:
            marks = "overridable " * hold.overridable + "pages " * hold.pages
            yield f"hold {name} {hold.code}", f"{marks}{hold.reason}; needs {hold.needs}"
    for name, adopted in state.record.services.items():
        if name in state.topology.services:
            colour = adopted.active.other
            proof = emptiness(state, name, colour, shop.now)
            yield f"proof {name} {colour}", f"{proof.waits}{' (silent)' * proof.silent}"
    for name, held in state.record.claims.items():
        if name in state.topology.services:
            yield f"claim {name}", lacking(state, name, held)
    for unit in state.topology.units.values():
        yield from ((f"board {name}", why) for name, why in ready.waiting(state, unit).items())


def _effect(effect: Effect) -> Iterator[str]:
    match effect:
        case Save(entries=entries, kept=kept):
            yield from ("kept" for _ in range(kept))
            yield from map(_entry, entries)
        case Note(entries):
            yield from map(_entry, entries)
        case Reply(answer):
            words = "; ".join(f"{key} {value}" for key, value in answer.body.items())
            yield f"{'accepted' if answer.accepted else 'refused'}: {words}"
        case Apply(instance, operations):
            yield f"{instance}: " + ", ".join(map(_operation, operations))
        case Administer(instance, operations):
            yield f"{instance}: " + ", ".join(map(_operation, operations))
        case Ask(key, hook, facts):
            yield f"ask {hook.name} {key}: {facts}"
        case Mark(release, _, token):
            yield f"token of {release}: {token}"
        case _:
            yield f"token of {effect.release}: go again"


def _operation(operation: SetRoute | SetClosing | SetServer) -> str:
    match operation:
        case SetRoute(service=service, place=place, route=route):
            bound = (
                "" if operation.expect_generation is None else f" if {operation.expect_generation} {operation.expect}"
            )
            return f"{place} {service} {route}{bound}"
        case SetClosing(service=service, colour=colour, per_second=rate):
            return f"close {colour} of {service} {rate}/s"
        case SetServer(service=service, server=server, admin=admin):
            return f"{server} of {service} {admin}"


def _entry(entry: Entry) -> str:
    data = ", ".join(f"{key} {value}" for key, value in entry.data.items())
    whose = " ".join(filter(None, (entry.service, entry.release and f"release {entry.release}", entry.actor)))
    return f"{entry.severity} {entry.kind} ({whose}): {entry.text} [{data}]"


def _differing(path: str, before: Any, after: Any) -> Iterator[str]:
    """Yield what of a record is another now."""
    if before == after:
        return
    if is_dataclass(before) and type(before) is type(after):
        for one in fields(before):
            if one.name not in PASSING or not isinstance(before, Record):
                yield from _differing(f"{path}.{one.name}", getattr(before, one.name), getattr(after, one.name))
    elif isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in [*before, *(key for key in after if key not in before)]:
            yield from _differing(f"{path}[{key}]", before.get(key), after.get(key))
    else:
        yield f"{path.lstrip('.')}: {_short(after)}"


def _short(value: Any) -> str:
    if is_dataclass(value) and not isinstance(value, type):
        told = ((one.name, getattr(value, one.name), one.default) for one in fields(value) if one.name not in PASSING)
        return f"{type(value).__name__}({', '.join(f'{k} {_short(v)}' for k, v, d in told if v not in (d, {}, ()))})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_short(one)}" for key, one in value.items()) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_short, value)) + ")"
    return str(value)
