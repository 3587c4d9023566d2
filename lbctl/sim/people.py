"""What people ask for: anything, at any time; and, once the faults stop, what a diligent operator would."""

from collections.abc import Callable
from random import Random
from typing import Any

from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.record import Record, Release
from lbctl.model.request import (
    Adopt,
    Cancel,
    Maintenance,
    Pause,
    Promote,
    Request,
    Resume,
    Rollback,
    Switch,
)
from lbctl.model.topology import DriftPolicy, HoldLimit, Plan, SessionsBack
from lbctl.model.units import Span

STEPS = ((1_000, 5_000, 10_000), (100, 2_500, 10_000), (10_000,), (500, 2_500, 5_000, 10_000))


def plan(chance: Random) -> Plan:
    """Return some plan with times short enough for a simulated minute."""
    return Plan(
        steps_bp=chance.choice(STEPS),
        hold_min=Span(chance.choice((0, 300, 1_000))),
        hold_max=Span(10_000),
        hold_then=chance.choice(tuple(HoldLimit)),
        bake=Span(chance.choice((0, 500))),
        retain=Span(chance.choice((0, 1_000))),
        preflight=Span(8_000),
        sessions_back=chance.choice(tuple(SessionsBack)),
        drift=chance.choice(tuple(DriftPolicy)),
    )


class Asking:
    """Makes requests with rising numbers and fresh nonces."""

    def __init__(self, service: ServiceName, chance: Random) -> None:
        self._service = service
        self._chance = chance
        self._number = 0

    def anything(self, record: Record) -> Request:
        """Return a request that somebody could make now; it may well be refused."""
        release = record.running(self._service)
        if release is None:
            return self._at_rest(record)
        kinds = (Pause, Resume, Resume, Resume, Promote, Promote, Rollback, Cancel, Switch, Adopt, Maintenance)
        kind = self._chance.choice(kinds)
        return self._of(kind, release)

    def _at_rest(self, record: Record) -> Request:
        if record.maintenance or any(one.maintenance for one in record.services.values()):
            return self.maintenance(on=False, every=record.maintenance)
        if self._service not in record.services:
            return self.adopt(Colour.BLUE, settle=self._chance.random() < 0.5)
        if self._chance.random() < 0.05:
            return self.maintenance(on=True, every=self._chance.random() < 0.5)
        return self.switch(plan(self._chance))

    def _of(self, kind: type, release: Release) -> Request:
        match kind.__name__:
            case "Promote":
                return Promote(release=release.id, full=self._chance.random() < 0.3, **self.asked())
            case "Switch":
                return self.switch(plan(self._chance))
            case "Adopt":
                return self.adopt(self._chance.choice(tuple(Colour)), settle=True)
            case "Maintenance":
                return self.maintenance(on=self._chance.random() < 0.3, every=self._chance.random() < 0.5)
            case _:
                make: Callable[..., Request] = kind
                return make(release=release.id, **self.asked())

    def operator(self, record: Record, *, without_token: bool, suspected: bool) -> Request | None:
        """Return what brings a release to its end: lift what a person must lift, and take back a candidate that stays
        suspected because nothing is left to compare it with."""
        if record.maintenance:
            return self.maintenance(on=False, every=True)
        adopted = record.services.get(self._service)
        if adopted is None:
            return self.adopt(Colour.BLUE, settle=True)
        if adopted.maintenance:
            return self.maintenance(on=False, every=False)
        release = record.running(self._service)
        if release is None:
            return None
        if release.paused_by is not None or release.latched or without_token:
            return self.resume(release.id)
        return Rollback(release=release.id, **self.asked()) if suspected else None

    def switch(self, with_plan: Plan, to: Colour | None = None) -> Switch:
        """Ask for a release."""
        return Switch(service=self._service, to=to, version="v", plan=with_plan, **self.asked())

    def adopt(self, active: Colour, *, settle: bool) -> Adopt:
        """Ask to drive the service."""
        return Adopt(service=self._service, active=active, settle=settle, **self.asked())

    def resume(self, release: ReleaseId) -> Resume:
        """Ask to go on."""
        return Resume(release=release, **self.asked())

    def rollback(self, release: ReleaseId) -> Rollback:
        """Ask to go back."""
        return Rollback(release=release, **self.asked())

    def maintenance(self, *, on: bool, every: bool) -> Maintenance:
        """Ask to stop or allow writes."""
        return Maintenance(service=None if every else self._service, on=on, **self.asked())

    def asked(self) -> dict[str, Any]:
        """What every request has: the next number, and a nonce of its own."""
        self._number += 1
        return {"id": self._number, "actor": "someone", "nonce": f"{self._number:x}", "wall": ""}
