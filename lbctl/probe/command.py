"""Command targets: a program run without a shell, in a process group of its own, killed as a whole at the time-out."""

import contextlib
import os
import signal
from typing import ClassVar

from lbctl.probe.endpoint import READ, Endpoint
from lbctl.probe.target import Target
from lbctl.probe.words import Verdict, clean

RUNNING_MAX = 16
"""Commands at once. One more is not started and its server's state is unknown until there is room."""

_QUIET = (
    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
    (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
)


class CommandEndpoint(Endpoint):
    """Exit status 0 = up. A program that cannot be run at all says nothing about the server: unknown."""

    __slots__ = ("_environment", "_pid")
    cost = 8
    running = 0
    leaving: ClassVar[list[int]] = []

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._pid = 0
        self._environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "LBCTL_SERVER": target.server,
            "LBCTL_HOST": target.ip,
            "LBCTL_PORT": str(target.port),
        }

    def begin(self) -> Verdict | None:
        sweep()
        if CommandEndpoint.running >= RUNNING_MAX:
            return Verdict(None, f"the checker itself: {RUNNING_MAX} commands run already")
        argv = self.target.command
        try:
            self._pid = os.posix_spawnp(
                argv[0],
                argv,
                self._environment,
                file_actions=_QUIET,
                setpgroup=0,
                setsigdef=(signal.SIGPIPE,),
            )
            CommandEndpoint.running += 1
            self.fd = os.pidfd_open(self._pid)
        except OSError as error:
            self.close()
            return Verdict(None, clean(f"the checker itself: cannot run {argv[0]}: {error.strerror}"))
        self.wants = READ
        return None

    def advance(self) -> Verdict | None:
        if os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return None
        _kill_group(self._pid)
        _, status = os.waitpid(self._pid, 0)
        self._pid = 0
        CommandEndpoint.running -= 1
        self.close()
        code = os.waitstatus_to_exitcode(status)
        if code == 0:
            return Verdict(True, "exit status 0")
        return Verdict(False, f"killed by signal {-code}" if code < 0 else f"exit status {code}")

    def close(self) -> None:
        if self._pid:
            _kill_group(self._pid)
            CommandEndpoint.leaving.append(self._pid)
            self._pid = 0
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1
        self.wants = self.watched = 0
        sweep()


def sweep() -> None:
    """Collect killed commands. One that cannot die yet keeps its place among the running ones and is asked again."""
    for pid in tuple(CommandEndpoint.leaving):
        if os.waitpid(pid, os.WNOHANG)[0]:
            CommandEndpoint.leaving.remove(pid)
            CommandEndpoint.running -= 1


def _kill_group(leader: int) -> None:
    """Kill all that a command started. Its leader is not collected yet, so the number cannot mean anybody else."""
    # Gone already, or a program that changed its user: the sweep waits for that one.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)
