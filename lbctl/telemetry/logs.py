"""The request logs of a config: opened before anything else changes, taken into use all at once."""

from collections.abc import Mapping

from lbctl.model.names import InstanceName, ServiceName
from lbctl.model.reading import Timing
from lbctl.model.sessions import Attendance
from lbctl.model.topology import Plane, Protocol, RequestLog, Service, Topology
from lbctl.model.units import Instant
from lbctl.telemetry.mailbox import Mailbox, Unbound, opened
from lbctl.telemetry.requestlog import PlaneLog, Readings

Mailboxes = Mapping[RequestLog, Mailbox]


class RequestLogs:
    """Every plane's request log, by where it comes in. Needs a running event loop."""

    def __init__(self) -> None:
        self._logs: dict[RequestLog, PlaneLog] = {}

    def opened_for(self, topology: Topology) -> Mailboxes:
        """Open what a config needs and is not open yet, and change nothing else.

        Raises:
            Unbound: one cannot be opened; none is then.
        """
        fresh: dict[RequestLog, Mailbox] = {}
        try:
            for at in _planes(topology).keys() - self._logs.keys():
                fresh[at] = opened(at)
        except Unbound:
            give_back(fresh)
            raise
        return fresh

    def take(self, topology: Topology, fresh: Mailboxes, now: Instant) -> None:
        """Go over to a config, with the mailboxes that were opened for it."""
        planes = _planes(topology)
        for at in self._logs.keys() - planes.keys():
            self._logs.pop(at).close()
        for at, plane in planes.items():
            if at in fresh:
                self._logs[at] = PlaneLog(fresh[at])
            self._logs[at].configure(plane, _served(topology, plane), now)
            if at in fresh:
                self._logs[at].start()

    def timing(self, readings: Readings, now: Instant) -> dict[tuple[InstanceName, ServiceName], Timing]:
        """Return the times of requests that every request log told."""
        return {key: timing for log in self._logs.values() for key, timing in log.timing(readings, now).items()}

    def sessions(self, now: Instant) -> dict[tuple[InstanceName, ServiceName], Attendance]:
        """Return which sessions came back lately, by every request log; asked after the times."""
        return {key: seen for log in self._logs.values() for key, seen in log.sessions(now).items()}

    def close(self) -> None:
        """Receive no more."""
        for log in self._logs.values():
            log.close()
        self._logs = {}


def give_back(fresh: Mailboxes) -> None:
    """Close what was opened for a config that is not taken."""
    for mailbox in fresh.values():
        mailbox.close()


def _planes(topology: Topology) -> dict[RequestLog, Plane]:
    return {plane.request_log: plane for plane in topology.planes.values() if plane.request_log is not None}


def _served(topology: Topology, plane: Plane) -> list[Service]:
    """Those whose requests have lines: a TCP connection is no request, and its frontend sends none."""
    here = (service for service in topology.services.values() if service.plane == plane.name)
    return [service for service in here if service.protocol is not Protocol.TCP]
