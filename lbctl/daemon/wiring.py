"""The composition root: the only place that names concrete adapters and puts the daemon together."""

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from lbctl.about import VERSION
from lbctl.config.home import directory_mode
from lbctl.config.load import load
from lbctl.config.reloading import check_reload
from lbctl.config.settings import Alert, Config, ExecAlert, WebhookAlert
from lbctl.config.show import config_text
from lbctl.control.listener import Listener, listen
from lbctl.control.server import ControlServer
from lbctl.core import machine
from lbctl.core.state import State
from lbctl.daemon.activation import handed_over
from lbctl.daemon.checks import Checks
from lbctl.daemon.dashboard import show
from lbctl.daemon.desk import Desk
from lbctl.daemon.executor import Executor
from lbctl.daemon.feed import Feed
from lbctl.daemon.freezing import frozen
from lbctl.daemon.greeting import greetings
from lbctl.daemon.headcount import Headcount
from lbctl.daemon.hooks import Hooks
from lbctl.daemon.keeper import Keeper, accounts_before, learned_before, tallies_before
from lbctl.daemon.loop import Loop
from lbctl.daemon.metrics.counted import Counted
from lbctl.daemon.metrics.served import metrics_of, serve
from lbctl.daemon.notify_socket import NotifySocket
from lbctl.daemon.observer import Observer
from lbctl.daemon.plant import Plant, Rebuilt
from lbctl.daemon.versions import Versions
from lbctl.gate import hook
from lbctl.gate.attest import Asker
from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.errors import LbctlError
from lbctl.model.record import Record
from lbctl.notify.outbox import Outbox
from lbctl.notify.port import Channel, ExecChannel, WebhookChannel
from lbctl.probe.port import targets_of
from lbctl.probe.supervisor import Prober
from lbctl.store.clock import META_KEY, Clock
from lbctl.store.journal import Journal
from lbctl.store.kept import account_files, learned_files, matrix_files
from lbctl.store.tables import StoredEntry
from lbctl.store.token import TokenDir
from lbctl.telemetry.logs import Mailboxes, RequestLogs, give_back
from lbctl.telemetry.sockets.census import SocketCensus
from lbctl.telemetry.sockets.owners import with_descendants
from lbctl.telemetry.sockets.severing import Severing

log = structlog.get_logger("lbctl.daemon")

DRAIN_ALERTS_S = 1.0


def wall() -> str:
    """Return wall time for people, as ISO 8601 in UTC. Nothing is ever decided by it."""
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


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

    async def reload(self) -> None:
        """Take the config file anew, whole or not at all. A bad one is refused, told, and the old one stays."""
        self.notify.reloading()
        try:
            config = await asyncio.to_thread(load, self.config.path, uid=os.getuid(), environ=os.environ)
            why = self._refusal(config, self.loop.state.record) or await self._take(config)
            if why:
                self._refuse(why)
        except LbctlError as error:
            # One line, whatever the number of faults: an event is read in a list.
            self._refuse("; ".join(str(error).splitlines()))
        self.notify.ready(self.status_line())

    def _refusal(self, config: Config, record: Record) -> str:
        """Return why a config cannot be taken while the record is as it is; empty if it can."""
        in_release = {name for name in self.config.topology.services if record.running(name) is not None}
        return "; ".join(fault.render(config.path) for fault in check_reload(self.config, config, in_release))

    def _refuse(self, reason: str) -> None:
        log.error("config.refused", reason=reason)
        self.refused = f"since {wall()}: {reason}"
        self.tell(Kind.CONFIG_REFUSED, f"the new config is refused, the old one stays: {reason}", Severity.WARNING)

    async def _take(self, config: Config) -> str:
        """Take a config, and return "". What may refuse comes first: the alerts' addresses, the request logs, the load
        balancers. That takes its time, so the loop looks once more at what is in release now: return why not, then."""
        outbox = None if config.alerts == self.config.alerts else self.new_outbox(config)
        mailboxes = self.logs.opened_for(config.topology)
        try:
            rebuilt = await self.plant.rebuilt(config.topology)
        except LbctlError:
            give_back(mailboxes)
            raise
        why = await self.loop.reconfigure(
            config.topology,
            refused=lambda record: self._refusal(config, record),
            take=lambda: self._go_over(config, rebuilt, mailboxes),
        )
        if why:
            give_back(mailboxes)
            await self.plant.undo(rebuilt)
            return f"a release began meanwhile: {why}"
        await self.observer.replan(self.plant.planes)
        if outbox is not None:
            await self._replace_outbox(outbox)
        self.tell(Kind.CONFIG_RELOADED, f"the config was reloaded: {len(config.topology.services)} services")
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

    async def _replace_outbox(self, outbox: Outbox) -> None:
        """The old channels end before the new ones start: each goes on from its cursor, nothing is told twice."""
        old, self.outbox, self.executor.outbox = self.outbox, outbox, outbox
        await old.close(DRAIN_ALERTS_S)
        outbox.start()

    def new_outbox(self, config: Config) -> Outbox:
        """Return the alert channels of a config, not started. Raises LbctlError."""
        return _outbox(config, self.journal, self.loop, self.clock)

    async def close_outbox(self) -> None:
        """Let waiting alerts go out for a moment; the rest is told after the next start."""
        await self.outbox.close(DRAIN_ALERTS_S)

    def tell(self, kind: Kind, text: str, severity: Severity = Severity.INFO) -> None:
        """Record a fact about the daemon itself."""
        self.executor.note((Entry(kind=kind, at=self.clock.now(), text=text, severity=severity),))

    def status_line(self) -> str:
        """One line for `systemctl status`."""
        running = [release for release in self.loop.state.record.releases.values() if not release.phase.ended]
        words = ", ".join(f"{one.unit_name} release {one.id} {one.phase.value}" for one in running)
        refused = "; the config file is refused, the old config stays" if self.refused else ""
        return (words or f"{len(self.config.topology.services)} services at rest") + refused


@asynccontextmanager
async def running(config: Config, notify: NotifySocket) -> AsyncIterator[Running]:
    """Put the daemon together, run it for as long as the block lasts, and let go of everything. Traffic stays.

    Raises:
        LbctlError: something that must be there at the start is not; the text says what to do.
    """
    async with AsyncExitStack() as stack:
        state_dir, runtime_dir = Path(config.daemon.state_dir), Path(config.daemon.runtime_dir)
        journal = Journal.open(state_dir / "journal.db")
        stack.callback(journal.close)
        # Before anything is changed: a daemon that must give way to another one must not have touched its tokens.
        listener = _listener(stack, config)
        tokens = TokenDir(runtime_dir / "tokens")
        stack.callback(os.close, tokens.take())
        record = journal.latest() or Record()
        clock = Clock(record.clock, journal.meta(META_KEY))
        accounts = account_files(state_dir / "accounts")
        lessons = learned_files(state_dir / "learned")
        tokens.sweep({release.id: release.nonce for release in record.releases.values()})
        logs = RequestLogs()
        stack.callback(logs.close)
        logs.take(config.topology, logs.opened_for(config.topology), clock.now())
        plant = Plant(config.topology, clock.now, Severing())
        stack.push_async_callback(plant.close)
        await plant.bring_up(record.services.keys())
        calls, now = matrix_files(state_dir / "matrix"), clock.now()
        known, tallies = learned_before(config.topology, lessons), tallies_before(config.topology, calls, now)
        state = machine.start(record, config.topology, now, accounts_before(record, accounts), known, tallies)
        keeper = Keeper(accounts, lessons, calls)
        daemon = _assemble(config, state, journal, clock, keeper, tokens, plant, logs, notify)
        await _start(stack, daemon, listener)
        _greet(daemon)
        yield daemon


def _listener(stack: AsyncExitStack, config: Config) -> Listener:
    """Take the control socket; whoever connects now is answered as soon as the answers are true."""
    path = config.daemon.control_socket
    mode = directory_mode(os.path.dirname(path), os.getuid(), os.environ)
    listener = handed_over(os.environ, path) or listen(path, directory_mode=mode)
    stack.callback(listener.close)
    return listener


def _assemble(
    config: Config,
    state: State,
    journal: Journal,
    clock: Clock,
    keeper: Keeper,
    tokens: TokenDir,
    plant: Plant,
    logs: RequestLogs,
    notify: NotifySocket,
) -> Running:
    checks = Checks(config.topology, clock.now)
    asker = Asker()
    versions = Versions(config.topology, asker.ask, clock.now)
    loop = Loop(state, keeper, clock.now)
    counted = Counted(lambda: loop.state.record)
    prober = Prober(counted.beside(checks.heard))
    headcount = Headcount(config.topology, SocketCensus(clock.now, own=lambda: _own_pids(prober)), clock.now)
    observer = Observer(
        plant.planes,
        checks,
        tokens,
        logs,
        versions,
        clock.now,
        seen=loop.wake,
        repair=plant.repair,
        census=headcount.census,
        frozen=lambda: frozen(loop.state.topology, dt.datetime.now(dt.UTC), loop.state.record.freezes),
    )
    feed, hooks = Feed(), Hooks(hook.ask, clock.now, loop.arrive)
    outbox = _outbox(config, journal, loop, clock)

    def told(entries: tuple[StoredEntry, ...]) -> None:
        feed.tell(entries)
        counted.told(entries)
        executor.outbox.wake()

    executor = Executor(
        planes=plant.planes,
        journal=journal,
        tokens=tokens,
        outbox=outbox,
        now=clock.now,
        wall=wall,
        arrived=loop.arrive,
        answered=loop.answered,
        told=told,
        ask=hooks.ask,
        wrote=counted.wrote,
    )
    loop.connect(observer, executor, ticked=counted.after(notify.feed))
    return Running(
        config=config,
        loop=loop,
        plant=plant,
        checks=checks,
        asker=asker,
        versions=versions,
        hooks=hooks,
        prober=prober,
        headcount=headcount,
        executor=executor,
        observer=observer,
        logs=logs,
        journal=journal,
        feed=feed,
        clock=clock,
        notify=notify,
        outbox=outbox,
        counted=counted,
        failed=asyncio.get_running_loop().create_future(),
    )


def _own_pids(prober: Prober) -> frozenset[int]:
    """The processes whose connections are lbctl's own: this one, and the prober with the commands it runs."""
    return frozenset({os.getpid()}) | with_descendants([] if prober.pid is None else [prober.pid])


def _outbox(config: Config, journal: Journal, loop: Loop, clock: Clock) -> Outbox:
    return Outbox(
        journal,
        [_channel(alert) for alert in config.alerts],
        record=lambda: loop.state.record,
        now=clock.now,
        version=VERSION,
    )


async def _start(stack: AsyncExitStack, daemon: Running, listener: Listener) -> None:
    """Start everything, the eyes first, the answers last: whoever can connect gets true answers."""
    await daemon.prober.start()
    stack.push_async_callback(daemon.prober.stop)
    daemon.prober.set_targets([t for one in daemon.config.topology.services.values() for t in targets_of(one)])
    daemon.observer.start()
    stack.push_async_callback(daemon.observer.stop)
    stack.push_async_callback(daemon.asker.close)
    stack.push_async_callback(daemon.versions.close)
    stack.push_async_callback(daemon.headcount.close)
    daemon.outbox.start()
    stack.push_async_callback(daemon.close_outbox)
    stack.push_async_callback(daemon.executor.drained)
    stack.push_async_callback(daemon.hooks.close)
    await stack.enter_async_context(_deciding(daemon))
    asking = asyncio.create_task(daemon.plant.find_out(), name="find out")
    stack.callback(asking.cancel)
    metrics = metrics_of(daemon.loop, daemon.counted, lambda: daemon.outbox, daemon.checks, daemon.clock.now)
    desk = Desk(
        loop=daemon.loop,
        journal=daemon.journal,
        feed=daemon.feed,
        outbox=lambda: daemon.outbox,
        config=lambda: daemon.config,
        config_text=lambda: config_text(daemon.config),
        config_refused=lambda: daemon.refused,
        able=daemon.plant.able,
        asking=daemon.versions,
        connections=daemon.headcount.connections,
        metrics=metrics.text,
        now=daemon.clock.now,
    )
    await serve(stack, daemon.config.daemon.metrics, metrics.text)
    await show(stack, daemon.config.daemon.dashboard, desk, lambda: daemon.config.access)
    server = ControlServer(desk, listener, access=lambda: daemon.config.access)
    stack.push_async_callback(server.stop)
    await server.start()


@asynccontextmanager
async def _deciding(daemon: Running) -> AsyncIterator[None]:
    """Run the loop. If it fails, `failed` carries the reason: the daemon ends, and traffic stays where it is."""
    task = asyncio.create_task(daemon.loop.run(), name="loop")

    def ended(done: "asyncio.Task[None]") -> None:
        if not done.cancelled() and not daemon.failed.done():
            daemon.failed.set_exception(done.exception() or RuntimeError("the loop ended"))

    task.add_done_callback(ended)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


def _greet(daemon: Running) -> None:
    """Say that the daemon is up, and everything a person should know about how it found its files."""
    journal = daemon.journal
    troubles = (journal.damage, journal.read_only)
    for kind, text, severity in greetings(daemon.config.topology, daemon.loop.state.record, troubles):
        daemon.tell(kind, text, severity)
    if not daemon.journal.read_only:
        kept = daemon.journal.set_meta(META_KEY, daemon.clock.origin)
        kept.add_done_callback(_told_if_failed)
    daemon.notify.ready(daemon.status_line())


def _told_if_failed(kept: "asyncio.Future[None]") -> None:
    if not kept.cancelled() and (error := kept.exception()) is not None:
        log.warning("clock.unsaved", reason=str(error))


def _channel(alert: Alert) -> Channel:
    match alert:
        case ExecAlert():
            return ExecChannel(alert.name, alert.argv, alert.on)
        case WebhookAlert():
            return WebhookChannel(alert.name, alert.url.value, alert.secret.value, alert.on)
        case _:
            return alert
