"""The request log of one data plane: what came in, what is missing, and the timing that both make."""

from collections.abc import Iterable, Mapping

import structlog

from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.reading import InstanceReading, Timing, Unreadable
from lbctl.model.sessions import Attendance
from lbctl.model.topology import HaproxyForm, Plane, RequestLog, Service
from lbctl.model.units import MINUTE, SECOND, Instant, since
from lbctl.telemetry.loss import LATE, Missing, Unsent, Window
from lbctl.telemetry.mailbox import Mailbox
from lbctl.telemetry.proof import Look, Proof
from lbctl.telemetry.receiver import Receiver
from lbctl.telemetry.tally import LaneKey, Tally

log = structlog.get_logger("lbctl.request_log")
BESIDE_MIN = 20
"""So many lines of other backends, and none of lbctl's, and the names are wrong."""

Readings = Mapping[InstanceName, InstanceReading | Unreadable]


class _Audit:
    """What one lane misses, and has too much of, by the load balancer's own count."""

    def __init__(self, form: HaproxyForm) -> None:
        self.missing = Missing()
        self.window = Window()
        self.proof = Proof(form)


class PlaneLog:
    """Receives, counts and compares. Errors are never told from it: counters tell those."""

    def __init__(self, mailbox: Mailbox) -> None:
        self.at: RequestLog = mailbox.log
        self._tally = Tally()
        self._receiver = Receiver(mailbox, self._tally.take)
        self._window = Window()
        self._unsent: dict[InstanceName, Unsent] = {}
        self._audits: dict[LaneKey, _Audit] = {}
        self._looked_at: Instant | None = None
        self._told_at: Instant | None = None
        self._told = 0
        self._holed: dict[LaneKey, Instant] = {}
        """Lanes whose lines are not complete, and since when that is so."""

    def start(self) -> None:
        """Receive from now on."""
        self._receiver.start()

    def configure(self, plane: Plane, services: Iterable[Service], now: Instant) -> None:
        """Count the lines of these from now on; what stays keeps its counts."""
        services = list(services)
        self._tally.configure(plane, services, f"{self.at} since {now}")
        forms = {one.name: one.haproxy.form for one in services if one.haproxy is not None}
        self._audits = {key: self._audit(key, forms.get(key[1], HaproxyForm.MAP)) for key in self._tally.lanes}
        # Only a unix socket refuses its sender. Over UDP a line that HAProxy could not send was another log's.
        names = [instance.name for instance in plane.instances] if isinstance(self.at.at, str) else []
        self._unsent = {name: self._unsent.get(name) or Unsent() for name in names}

    def close(self) -> None:
        """Receive no more."""
        self._receiver.close()

    def timing(self, readings: Readings, now: Instant) -> dict[tuple[InstanceName, ServiceName], Timing]:
        """Return what every service's requests took, and how much of it is missing."""
        if self._looked_at is None or since(self._looked_at, now) >= SECOND:
            self._looked_at = now
            self._receiver.look_after()
            self._tell(now)
        looks = {key: lane.look(now) for key, lane in self._tally.lanes.items()}
        self._compare(readings, looks)
        lost = self._lost()
        holed = self._window.look(now, self._tally.lines, lost) or bool(self._receiver.trouble)
        told = {key: self._timing(key, look, lost, holed=holed) for key, look in looks.items()}
        self._holed = {key: self._holed.get(key, now) for key, timing in told.items() if timing.sampled}
        return told

    def sessions(self, now: Instant) -> dict[tuple[InstanceName, ServiceName], Attendance]:
        """Return who came back lately. Where lines are missing, and are not only late, nobody can say who did not."""
        found: dict[tuple[InstanceName, ServiceName], Attendance] = {}
        for key, lane in self._tally.lanes.items():
            if since(self._holed.get(key, now), now) >= LATE:
                lane.calls.doubt(now)
            if lane.calls.tells:
                found[key] = lane.calls.look(now)
        return found

    def _audit(self, key: LaneKey, form: HaproxyForm) -> _Audit:
        known = self._audits.get(key)
        return known if known is not None and known.proof.form is form else _Audit(form)

    def _compare(self, readings: Readings, looks: Mapping[LaneKey, Look]) -> None:
        for (name, service), audit in self._audits.items():
            reading, look = readings.get(name), looks[name, service]
            if isinstance(reading, InstanceReading) and (seen := reading.services.get(service)) is not None:
                lane = self._tally.lanes[name, service]
                audit.missing.compare(reading, seen, lane.lines)
                lane.calls.served(reading.generation, seen.requests)
                audit.proof.compare(look, reading, seen.pools)
            else:
                audit.proof.look(look)
        for name, unsent in self._unsent.items():
            reading = readings.get(name)
            if isinstance(reading, InstanceReading):
                unsent.compare(reading)

    def _lost(self) -> int:
        """A line that was lost does not say whose it was: this is told of every service of the plane."""
        return self._receiver.refused + self._tally.damaged + sum(unsent.count for unsent in self._unsent.values())

    def _timing(self, key: LaneKey, look: Look, lost: int, *, holed: bool) -> Timing:
        lane, audit = self._tally.lanes[key], self._audits[key]
        missing, proof = audit.missing.count, audit.proof
        shown = proof.proved or look
        return Timing(
            source=lane.source,
            taken_at=shown.at,
            pools=shown.pools,
            lost=max(lost, missing),
            sampled=audit.window.look(look.at, lane.lines, missing) or holed,
            surplus=proof.surplus,
            forged=proof.forged(look.at),
            proved=proof.proved is not None,
        )

    def _tell(self, now: Instant) -> None:
        """Say once a minute at most that lines came in that were of no use."""
        tally = self._tally
        # Other backends of a shared frontend are no trouble, unless nothing else comes: then the names are wrong.
        wrong = not tally.lines and tally.beside >= BESIDE_MIN
        astray = tally.astray + (tally.beside if wrong else 0)
        useless = tally.foreign + tally.damaged + astray
        if useless <= self._told or (self._told_at is not None and since(self._told_at, now) < MINUTE):
            return
        self._told, self._told_at = useless, now
        log.warning(
            "request_log.useless_lines",
            at=str(self.at),
            foreign=tally.foreign,
            damaged=tally.damaged,
            of_no_pool=astray,
            last=repr(tally.example),
        )
