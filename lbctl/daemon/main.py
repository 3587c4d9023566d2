"""`lbctld --config FILE`: runs until SIGTERM. Stopping it changes no traffic."""

import argparse
import asyncio
import gc
import os
import resource
import signal
import sys

import structlog

from lbctl import crash
from lbctl.about import VERSION
from lbctl.config.fault import ConfigError
from lbctl.config.load import load
from lbctl.config.settings import Config
from lbctl.daemon.logs import configure_logs
from lbctl.daemon.notify_socket import NotifySocket
from lbctl.daemon.running import Running
from lbctl.daemon.wiring import running
from lbctl.model.errors import LbctlError, Refused

log = structlog.get_logger("lbctl.daemon")

EXIT_FAILED = 1
EXIT_CONFIG = 4


def main(argv: list[str] | None = None) -> int:
    """Run the daemon; returns the exit code. A bad config ends it with 4 and every fault on stderr."""
    arguments = _parser().parse_args(argv)
    _leave_no_core()
    try:
        config = load(arguments.config, uid=os.getuid(), environ=os.environ)
    except ConfigError as error:
        print(error.render(), file=sys.stderr)
        return EXIT_CONFIG
    for warning in config.warnings:
        print(warning, file=sys.stderr)
    configure_logs(verbose=arguments.verbose)
    try:
        if point := crash.arm(os.environ):
            log.warning("crash.armed", point=point, note="lbctld ends at this point without a word: it is for tests")
        code = asyncio.run(_serve(config))
    except LbctlError as error:
        print(_words(error), file=sys.stderr)
        return EXIT_FAILED
    crash.passing(crash.Point.STOP_DONE)
    return code


def _leave_no_core() -> None:
    """A process that crashes leaves its memory on disk, and with it tokens and keys."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def _words(error: LbctlError) -> str:
    """What, why and the next step, as the command line says them."""
    lines = [f"error: {error}"]
    if isinstance(error, Refused):
        lines += [f"  why   {error.why}"] if error.why else []
        lines += [f"  next  {error.then}"] if error.then else []
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lbctld", description="Moves live traffic between blue and green pools, and back by itself."
    )
    parser.add_argument("--config", metavar="FILE", default="/etc/lbctl/lbctl.yaml", help="default: %(default)s")
    parser.add_argument("--verbose", action="store_true", help="also log every operation on a load balancer")
    parser.add_argument("--version", action="version", version=f"lbctld {VERSION}")
    return parser


async def _serve(config: Config) -> int:
    notify = NotifySocket()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # A hang-up that comes while the daemon still starts must not end it.
    asked = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, asked.set)
    try:
        async with running(config, notify) as daemon:
            hang_ups = asyncio.create_task(_reloads(daemon, asked), name="reloads")
            gc.collect()
            gc.freeze()  # Modules and config live long; no later collection walks through them while a decision waits.
            log.info("daemon.ready", socket=config.daemon.control_socket, config=config.path)
            stopping = asyncio.create_task(_set(stop), name="stopping")
            await asyncio.wait({stopping, daemon.failed}, return_when=asyncio.FIRST_COMPLETED)
            crash.passing(crash.Point.STOP_ASKED)
            notify.stopping()
            for task in (hang_ups, stopping):
                task.cancel()
            await asyncio.gather(hang_ups, stopping, return_exceptions=True)
            if daemon.failed.done():
                log.critical("daemon.broken", reason=repr(daemon.failed.exception()))
                return EXIT_FAILED
    finally:
        notify.close()
    log.info("daemon.stopped", note="traffic stays as it is")
    return 0


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _reloads(daemon: Running, asked: asyncio.Event) -> None:
    """Reload when asked (SIGHUP), one at a time; several hang-ups while one runs are one more."""
    while True:
        await asked.wait()
        asked.clear()
        try:
            await daemon.reload()
        except Exception as error:  # noqa: BLE001 - this must not be the last hang-up that is heard
            log.error("config.reload_failed", error=repr(error)[:500])


if __name__ == "__main__":
    sys.exit(main())
