"""A daemon that is up: its parts, and how it takes a new config, whole or not at all."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl import wall
from lbctl.about import VERSION
from lbctl.config.load import load
from lbctl.config.reloading import check_reload
from lbctl.config.settings import Alert, Config, ExecAlert, WebhookAlert
from lbctl.control.port import UNASKED, Asked
from lbctl.crash import Point, passing
from lbctl.daemon.checks import Checks
from lbctl.daemon.executor import Executor
from lbctl.daemon.feed import Feed
from lbctl.daemon.headcount import Headcount
from lbctl.daemon.hooks import Hooks
from lbctl.daemon.loop import Loop
from lbctl.daemon.metrics.counted import Counted
from lbctl.daemon.notify_socket import NotifySocket
from lbctl.daemon.observer import Observer
from lbctl.daemon.plant import Plant, Rebuilt
from lbctl.daemon.versions import Versions
from lbctl.gate.attest import Asker
from lbctl.model.entry import Entry, Kind, Scalar, Severity
from lbctl.model.errors import LbctlError
from lbctl.model.record import Record
from lbctl.notify.outbox import Outbox
from lbctl.notify.port import Channel, ExecChannel, WebhookChannel
from lbctl.probe.port import targets_of
from lbctl.probe.supervisor import Prober
from lbctl.store.clock import Clock
from lbctl.store.journal import Journal
from lbctl.telemetry.logs import Mailboxes, RequestLogs, give_back

DRAIN_ALERTS_S = 1.0


@dataclass(slots=True)
class Running:
    """A daemon that is up."""

    config: Config
    loop: Loop
    plant: Plant
    checks: Checks
    asker: Asker
    versions: Versions
    hooks: Hooks
    prober: Prober
    headcount: Headcount
    executor: Executor
    observer: Observer
    logs: RequestLogs
    journal: Journal
    feed: Feed
    clock: Clock
    notify: NotifySocket
    outbox: Outbox
    counted: Counted
    failed: "asyncio.Future[None]"
    """Ends with the loop: then a rule of lbctl's own was broken, and the daemon ends with it."""
    refused: str = ""
    """Why the config file, as it was at the last reload, cannot be taken: the next start would fail. Empty: it was."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reload(self, asked: Asked = UNASKED) -> str:
        """Take the config file anew, whole or not at all; one reload at a time.

        A bad one is refused, told, and the old one stays: return why, empty if it was taken.
        """
        async with self._turn:
            self.notify.reloading()
            try:
                if why := await self._reloaded(asked):
                    self._refuse(why, asked)
                return why
            finally:
                # Also where a rule of lbctl's own was broken: systemd would wait for the end of this for ever.
                self.notify.ready(self.status_line())

    async def _reloaded(self, asked: Asked) -> str:
        try:
            config = await asyncio.to_thread(load, self.config.path, uid=os.getuid(), environ=os.environ)
            passing(Point.RELOAD_READ)
            return self._refusal(config, self.loop.state.record) or await self._take(config, asked)
        except LbctlError as error:
            # One line, whatever the number of faults: an event is read in a list.
            return "; ".join(str(error).splitlines())

    def _refusal(self, config: Config, record: Record) -> str:
        """Return why a config cannot be taken while the record is as it is; empty if it can."""
        in_release = {name for name in self.config.topology.services if record.running(name) is not None}
        return "; ".join(fault.render(config.path) for fault in check_reload(self.config, config, in_release))

    def _refuse(self, reason: str, asked: Asked) -> None:
        self.refused = f"since {wall.now()}: {reason}"
        text = f"the new config is refused, the old one stays: {reason}"
        data = {"reason": asked.reason} if asked.reason else None
        self.tell(Kind.CONFIG_REFUSED, text, Severity.WARNING, data=data, actor=asked.actor)

    async def _take(self, config: Config, asked: Asked) -> str:
        """Take a config, and return "". What may refuse comes first: the alerts' addresses, the request logs, the load
        balancers. That takes its time, so the loop looks once more at what is in release now: return why not, then."""
        other_alerts = config.alerts != self.config.alerts
        if other_alerts:
            outbox_of(config, self.journal, self.loop, self.clock)
        mailboxes = self.logs.opened_for(config.topology)
        try:
            rebuilt = await self.plant.rebuilt(config.topology)
        except LbctlError:
            give_back(mailboxes)
            raise
        passing(Point.RELOAD_BUILT)
        why = await self.loop.reconfigure(
            config.topology,
            refused=lambda record: self._refusal(config, record),
            take=lambda: self._go_over(config, rebuilt, mailboxes),
        )
        if why:
            give_back(mailboxes)
            await self.plant.undo(rebuilt)
            return f"a release began meanwhile: {why}"
        passing(Point.RELOAD_TAKEN)
        await self.observer.replan(self.plant.planes)
        if other_alerts:
            await self._replace_outbox()
        passing(Point.RELOAD_DONE)
        text = f"the config was reloaded: {len(config.topology.services)} services"
        told = f"{text}: {asked.reason}" if asked.reason else text
        self.tell(Kind.CONFIG_RELOADED, told, data={"reason": asked.reason}, actor=asked.actor)
        return ""

    def _go_over(self, config: Config, rebuilt: Rebuilt, mailboxes: Mailboxes) -> None:
        """Bring everything that goes by the config to the new one, in the turn in which the loop takes it."""
        self.plant.take(rebuilt)
        self.logs.take(config.topology, mailboxes, self.clock.now())
        self.executor.planes = self.plant.planes
        self.checks.configure(config.topology)
        self.versions.configure(config.topology)
        self.headcount.configure(config.topology)
        self.prober.set_targets([target for one in config.topology.services.values() for target in targets_of(one)])
        self.config, self.refused = config, ""

    async def _replace_outbox(self) -> None:
        """The old channels end before the new ones are made: each goes on where it was, nothing is told twice. What the
        journal cannot take is given to the old ones until then, and handed over."""
        await self.outbox.close(DRAIN_ALERTS_S)
        outbox = outbox_of(self.config, self.journal, self.loop, self.clock)
        outbox.take_over(self.outbox)
        self.outbox = self.executor.outbox = outbox
        outbox.start()

    async def close_outbox(self) -> None:
        """Let waiting alerts go out for a moment; the rest is told after the next start."""
        await self.outbox.close(DRAIN_ALERTS_S)

    def tell(
        self,
        kind: Kind,
        text: str,
        severity: Severity = Severity.INFO,
        data: Mapping[str, Scalar] | None = None,
        actor: str = "",
    ) -> None:
        """Record a fact about the daemon itself."""
        found = dict(data or {})
        entry = Entry(kind=kind, at=self.clock.now(), text=text, severity=severity, actor=actor, data=found)
        self.executor.note((entry,))

    def status_line(self) -> str:
        """One line for `systemctl status`."""
        running = [release for release in self.loop.state.record.releases.values() if not release.phase.ended]
        words = ", ".join(f"{one.unit_name} release {one.id} {one.phase.value}" for one in running)
        refused = "; the config file is refused, the old config stays" if self.refused else ""
        return (words or f"{len(self.config.topology.services)} services at rest") + refused


def outbox_of(config: Config, journal: Journal, loop: Loop, clock: Clock) -> Outbox:
    """Return the alert channels of a config, not started. Raises LbctlError."""
    return Outbox(
        journal,
        [_channel(alert) for alert in config.alerts],
        record=lambda: loop.state.record,
        now=clock.now,
        version=VERSION,
    )


def _channel(alert: Alert) -> Channel:
    match alert:
        case ExecAlert():
            return ExecChannel(alert.name, alert.argv, alert.on)
        case WebhookAlert():
            return WebhookChannel(alert.name, alert.url.value, alert.secret.value, alert.on)
        case _:
            return alert
