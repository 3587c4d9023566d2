"""The embedded Envoy's process: started apart from lbctl, found again through its admin socket, ended by its pid."""

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lbctl.dataplane.envoy.admin import AdminClient, Peer, ServerInfo
from lbctl.dataplane.envoy.layout import Layout
from lbctl.model.errors import Garbled, Refused, Unreachable

ASK_TIMEOUT_S = 1.0
_LOCK_TIMEOUT_S = 15.0
_POLL_S = 0.02
LOG_MAX_BYTES = 8 * 1024 * 1024
# The shell leaves at once, so that Envoy belongs to nobody who could take it along. The kernel bounds its output
# file (in blocks of 512 bytes): what would not fit is not written, and no signal comes of it.
_LAUNCH = """trap '' XFSZ
ulimit -f "$1"; ulimit -n "$(ulimit -H -n)"; out=$2; shift 2
"$@" </dev/null >>"$out" 2>&1 & echo $!"""


@dataclass(frozen=True, slots=True)
class Running:
    """An Envoy that answers from this directory."""

    peer: Peer
    info: ServerInfo


def refusal_under_systemd(environment: Mapping[str, str], parent: str) -> str | None:
    """Return why no Envoy is started here, None where it may be.

    `parent` is the name of the process that started lbctl. What a service starts lives in its control group and is
    killed with it: under systemd Envoy must be a unit of its own, or stopping lbctl would stop the users' traffic.
    """
    if parent == "systemd" and not {"INVOCATION_ID", "NOTIFY_SOCKET"}.isdisjoint(environment):
        return "lbctl runs as a systemd service, and an Envoy started by it would be killed with it"
    return None


def check_not_under_systemd() -> None:
    """Refuse an embedded Envoy where it would die with lbctl.

    Raises:
        Refused: lbctl runs under systemd; the text says what to do instead.
    """
    why = refusal_under_systemd(os.environ, _name_of(os.getppid()))
    if why is not None:
        then = "write `mode: attached` and run Envoy as a unit of its own: systemd/lbctl-envoy.service"
        raise Refused("envoy_needs_own_unit", "no Envoy is embedded under systemd", why=why, then=then)


async def find(layout: Layout) -> Running | None:
    """Return the Envoy that answers on this directory's admin socket, None where nobody does.

    Raises:
        Garbled: somebody else answers there; the text says who.
        Unreachable: it is there but does not answer in time, or must not be asked.
    """
    client = AdminClient(layout.admin_socket)
    try:
        peer, info = await client.server_info(ASK_TIMEOUT_S)
    except Unreachable as error:
        if isinstance(error.__cause__, FileNotFoundError | ConnectionRefusedError):
            return None
        raise
    finally:
        await client.close()
    if info.command_line_options.config_path != str(layout.bootstrap):
        found = info.command_line_options.config_path
        raise Garbled(f"the Envoy on {layout.admin_socket} (pid {peer.pid}) runs {found}, not {layout.bootstrap}")
    return Running(peer, info)


def take_life(layout: Layout) -> int | None:
    """Return a locked descriptor for the next Envoy to inherit, None while one of this directory lives.

    It tells of an Envoy that does not answer (yet): two on one directory would take each other's admin socket.
    """
    descriptor = os.open(layout.life_lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


async def launch(binary: Path, layout: Layout, life: int) -> int:
    """Start Envoy in a session of its own and return its pid; whether it comes up is for the caller to see.

    `life` is what `take_life` gave; Envoy keeps it for as long as it lives.

    Raises:
        Garbled: the shell could not start it.
    """
    _rotate(layout.log)
    try:
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            *("-c", _LAUNCH, "lbctl-envoy", str(LOG_MAX_BYTES // 512), str(layout.log), *arguments(binary, layout)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            pass_fds=(life,),
            cwd="/",
        )
    except (OSError, RuntimeError) as error:
        # The host allows no further process, or no thread, which Python 3.11 starts for each.
        raise Garbled(f"envoy: {binary} could not be started: {error}") from error
    said, complaint = await process.communicate()
    if not said.strip().isdigit():
        raise Garbled(f"envoy: {binary} could not be started: {complaint.decode('utf-8', 'replace').strip()[:200]}")
    os.pwrite(life, b"%-19d\n" % int(said), 0)
    return int(said)


def arguments(binary: Path, layout: Layout) -> list[str]:
    """Return the command line of Envoy, also for a unit of its own."""
    cores = len(os.sched_getaffinity(0))
    options = ["--disable-hot-restart", "--concurrency", str(cores), "--log-level", "warning"]
    return [str(binary), "-c", str(layout.bootstrap), *options]


@asynccontextmanager
async def start_lock(layout: Layout) -> AsyncIterator[None]:
    """Let only one process start or stop this Envoy at a time.

    Raises:
        Unreachable: another one does not come to an end.
    """
    descriptor = os.open(layout.start_lock, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        await _lock(descriptor, layout)
        yield
    finally:
        os.close(descriptor)


async def _lock(descriptor: int, layout: Layout) -> None:
    until = time.monotonic() + _LOCK_TIMEOUT_S
    while True:
        with suppress(BlockingIOError):
            return fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.monotonic() > until:
            raise Unreachable(f"another process has been starting or stopping Envoy for long: see {layout.start_lock}")
        await asyncio.sleep(_POLL_S)


def _rotate(log: Path) -> None:
    if log.is_symlink():
        log.unlink()  # The shell would write to wherever it leads.
    if log.exists() and log.stat().st_size:
        log.replace(log.with_name(log.name + ".1"))


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
