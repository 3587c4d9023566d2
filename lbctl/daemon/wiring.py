"""The composition root: the only place that names concrete adapters and puts the daemon together."""

import asyncio
import datetime as dt
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from lbctl import wall
from lbctl.config.home import directory_mode
from lbctl.config.settings import Config
from lbctl.config.show import config_text
from lbctl.control.listener import Listener, listen
from lbctl.control.server import ControlServer
from lbctl.core import machine
from lbctl.core.state import State
from lbctl.crash import Point, passing
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
from lbctl.daemon.plant import Plant
from lbctl.daemon.recorder import Recorder
from lbctl.daemon.running import Running, outbox_of
from lbctl.daemon.versions import Versions
from lbctl.gate import hook
from lbctl.gate.attest import Asker
from lbctl.model.record import Record
from lbctl.notify.outbox import Outbox
from lbctl.probe.port import targets_of
from lbctl.probe.supervisor import Prober
from lbctl.store.clock import META_KEY, Clock
from lbctl.store.journal import Journal
from lbctl.store.kept import account_files, learned_files, matrix_files
from lbctl.store.recording import Recordings
from lbctl.store.tables import StoredEntry
from lbctl.store.token import TokenDir
from lbctl.telemetry.logs import RequestLogs
from lbctl.telemetry.sockets.census import SocketCensus
from lbctl.telemetry.sockets.owners import with_descendants
from lbctl.telemetry.sockets.severing import Severing

log = structlog.get_logger("lbctl.daemon")


@dataclass(frozen=True, slots=True)
class _Held:
    """What is taken and opened before anything can be decided; `running` lets go of it."""

    journal: Journal
    clock: Clock
    keeper: Keeper
    tokens: TokenDir
    plant: Plant
    logs: RequestLogs


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
        passing(Point.START_JOURNAL)
        # Before anything is changed: a daemon that must give way to another one must not have touched its tokens.
        listener = _listener(stack, config)
        passing(Point.START_SOCKET)
        tokens = TokenDir(runtime_dir / "tokens")
        stack.callback(os.close, tokens.take())
        record = journal.latest() or Record()
        clock = Clock(record.clock, journal.meta(META_KEY))
        accounts = account_files(state_dir / "accounts")
        lessons = learned_files(state_dir / "learned")
        tokens.sweep({release.id: release.nonce for release in record.releases.values()})
        passing(Point.START_TOKENS)
        logs = RequestLogs()
        stack.callback(logs.close)
        logs.take(config.topology, logs.opened_for(config.topology), clock.now())
        plant = Plant(config.topology, clock.now, Severing())
        stack.push_async_callback(plant.close)
        await plant.bring_up(record.services.keys())
        passing(Point.START_PLANT)
        calls, now = matrix_files(state_dir / "matrix"), clock.now()
        known, tallies = learned_before(config.topology, lessons), tallies_before(config.topology, calls, now)
        state = machine.start(record, config.topology, now, accounts_before(record, accounts), known, tallies)
        recorder = Recorder(Recordings(state_dir / "recordings"))
        stack.callback(recorder.close)
        keeper = Keeper(accounts, lessons, calls, recorder)
        held = _Held(journal, clock, keeper, tokens, plant, logs)
        daemon = _assemble(config, state, held, notify)
        await _start(stack, daemon, listener)
        passing(Point.START_READY)
        _greet(daemon)
        yield daemon


def _listener(stack: AsyncExitStack, config: Config) -> Listener:
    """Take the control socket; whoever connects now is answered as soon as the answers are true."""
    path = config.daemon.control_socket
    mode = directory_mode(os.path.dirname(path), os.getuid(), os.environ)
    listener = handed_over(os.environ, path) or listen(path, directory_mode=mode)
    stack.callback(listener.close)
    return listener


def _assemble(config: Config, state: State, held: _Held, notify: NotifySocket) -> Running:
    clock, plant = held.clock, held.plant
    checks = Checks(config.topology, clock.now)
    asker = Asker()
    versions = Versions(config.topology, asker.ask, clock.now)
    loop = Loop(state, held.keeper, clock.now)
    counted = Counted(lambda: loop.state.record)
    prober = Prober(counted.beside(checks.heard))
    headcount = Headcount(config.topology, SocketCensus(clock.now, own=lambda: _own_pids(prober)), clock.now)
    observer = Observer(
        plant.planes,
        checks,
        held.tokens,
        held.logs,
        versions,
        clock.now,
        seen=loop.wake,
        repair=plant.repair,
        census=headcount.census,
        frozen=lambda: frozen(loop.state.topology, dt.datetime.now(dt.UTC), loop.state.record.freezes),
    )
    feed, hooks = Feed(), Hooks(hook.ask, clock.now, loop.arrive)
    outbox = outbox_of(config, held.journal, loop, clock)
    executor = _executor(held, outbox, loop, hooks, feed, counted)
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
        logs=held.logs,
        journal=held.journal,
        feed=feed,
        clock=clock,
        notify=notify,
        outbox=outbox,
        counted=counted,
        failed=asyncio.get_running_loop().create_future(),
    )


def _executor(held: _Held, outbox: Outbox, loop: Loop, hooks: Hooks, feed: Feed, counted: Counted) -> Executor:
    def told(entries: tuple[StoredEntry, ...]) -> None:
        feed.tell(entries)
        counted.told(entries)
        executor.outbox.wake()  # a reload may have replaced it

    executor = Executor(
        planes=held.plant.planes,
        journal=held.journal,
        tokens=held.tokens,
        outbox=outbox,
        now=held.clock.now,
        wall=wall.now,
        arrived=loop.arrive,
        answered=loop.answered,
        told=told,
        ask=hooks.ask,
        wrote=counted.wrote,
    )
    return executor


def _own_pids(prober: Prober) -> frozenset[int]:
    """The processes whose connections are lbctl's own: this one, and the prober with the commands it runs."""
    return frozenset({os.getpid()}) | with_descendants([] if prober.pid is None else [prober.pid])


async def _start(stack: AsyncExitStack, daemon: Running, listener: Listener) -> None:
    """Start everything, the eyes first, the answers last: whoever can connect gets true answers."""
    await daemon.prober.start()
    passing(Point.START_PROBER)
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
    passing(Point.START_DECIDING)
    asking = asyncio.create_task(daemon.plant.find_out(daemon.observer.life), name="find out")
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
        reload=daemon.reload,
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
    for kind, text, severity, data in greetings(daemon.config.topology, daemon.loop.state.record, troubles):
        daemon.tell(kind, text, severity, data)
    if not daemon.journal.read_only:
        kept = daemon.journal.set_meta(META_KEY, daemon.clock.origin)
        kept.add_done_callback(_told_if_failed)
    daemon.notify.ready(daemon.status_line())


def _told_if_failed(kept: "asyncio.Future[None]") -> None:
    if not kept.cancelled() and (error := kept.exception()) is not None:
        log.warning("clock.unsaved", reason=str(error))
