"""Crash points: places where a test ends the real daemon as a power cut would, between one effect and the next.

`LBCTL_CRASH=slot.replaced:2` ends lbctld when it comes by `slot.replaced` for the second time: no cleaning up, no last
words, as `kill -9` at just that instruction. Every effect on anything outside of the process passes a point before and
after it, and one wherever it is half done; a house test holds the code to that, another one ends the daemon at each.
Without the variable passing a point is one comparison.
"""

import os
import threading
from collections.abc import Mapping
from enum import StrEnum

from lbctl.model.errors import LbctlError

VARIABLE = "LBCTL_CRASH"
EXIT = 86
"""The exit code of a daemon that ended at its point, so that a test tells it from any other end."""


class Point(StrEnum):
    """Every point there is; what is said beside it has happened, and nothing after it."""

    START_JOURNAL = "start.journal"  # the journal is open; no socket is taken, no token looked at
    START_SOCKET = "start.socket"  # the control socket is taken; the tokens are as they were
    START_TOKENS = "start.tokens"  # tokens that no record names are removed
    START_PLANT = "start.plant"  # the load balancers' files are up to the config, an embedded Envoy runs
    START_PROBER = "start.prober"  # servers are probed; nothing is decided
    START_DECIDING = "start.deciding"  # the loop decides; nobody is answered
    START_READY = "start.ready"  # people are answered; systemd is not told
    STOP_ASKED = "stop.asked"  # SIGTERM came; everything still runs
    STOP_DONE = "stop.done"  # everything is let go of; the process has not ended
    RELOAD_READ = "reload.read"  # the new config is valid; nothing was built for it
    RELOAD_BUILT = "reload.built"  # its load balancers are up; the loop goes by the old one
    RELOAD_TAKEN = "reload.taken"  # the loop goes by it; the alerts are the old ones
    RELOAD_DONE = "reload.done"  # all of it is taken; no event says so
    ANSWER_BEFORE = "answer.before"  # a decision a person asked for is durable; the person does not know
    ANSWER_AFTER = "answer.after"  # the answer is on its way
    TOKEN_BEFORE = "token.before"  # noqa: S105 - a token is about to be made, renamed or removed
    TOKEN_BETWEEN = "token.between"  # noqa: S105 - `go` is `back`; a `hold` may be there yet
    TOKEN_AFTER = "token.after"  # noqa: S105 - it is; the record that goes with it is not on its way
    JOURNAL_BEFORE = "journal.before"  # decided; the journal has not heard of it
    JOURNAL_BEGUN = "journal.begun"  # a transaction is open and empty
    JOURNAL_BETWEEN = "journal.between"  # it has the record, not yet its releases and entries
    JOURNAL_WRITTEN = "journal.written"  # it is whole and not committed
    JOURNAL_COMMITTED = "journal.committed"  # it is durable; the witness does not know
    JOURNAL_WITNESSED = "journal.witnessed"  # the witness knows; nobody was told
    JOURNAL_AFTER = "journal.after"  # the executor knows; the core does not
    JOURNAL_TIDIED = "journal.tidied"  # old rows are gone and the log is emptied
    BALLAST_BEFORE = "ballast.before"  # the ballast is an empty file
    BALLAST_AFTER = "ballast.after"  # it has its room
    APPLY_BEFORE = "apply.before"  # the record is durable; the driver has not heard of it
    APPLY_AFTER = "apply.after"  # the load balancer is written and read back; the core does not know
    ADMINISTER_BEFORE = "administer.before"  # a server is to be drained or come back; the driver has not heard of it
    ADMINISTER_AFTER = "administer.after"  # it is; the core does not know
    CLOSE_BEFORE = "close.before"  # connections of a pool are about to be closed by force
    CLOSE_AFTER = "close.after"  # they are; nobody has counted them
    HAPROXY_BEFORE = "haproxy.before"  # connected; nothing of a batch that changes something was sent
    HAPROXY_BETWEEN = "haproxy.between"  # half of its bytes are sent
    HAPROXY_SENT = "haproxy.sent"  # all of it is sent, and no answer read
    HAPROXY_ANSWERED = "haproxy.answered"  # answered; the workers are not listed again
    HAPROXY_RAISED = "haproxy.raised"  # form `weights`: who gains has gained; who loses has not lost
    SLOT_BEFORE = "slot.before"  # nothing of a file is written
    SLOT_FILLED = "slot.filled"  # the spare has the new content, durably
    SLOT_LINKED = "slot.linked"  # the old content has a second name
    SLOT_REPLACED = "slot.replaced"  # the new content has the file's name; there is no spare
    SLOT_KEPT = "slot.kept"  # the old content is the spare; the directory is not synced
    SLOT_AFTER = "slot.after"  # all of it is durable
    ENVOY_BETWEEN = "envoy.between"  # the route file is written; its copy is the old one
    ENVOY_WRITTEN = "envoy.written"  # both are; Envoy has not confirmed
    ENVOY_FILE_BEFORE = "envoy.file.before"  # servers, clusters or listeners: the new file lies beside the old one
    ENVOY_FILE_AFTER = "envoy.file.after"  # it has taken its place
    ENVOY_LAUNCH_BEFORE = "envoy.launch.before"  # all files are whole; no Envoy was started
    ENVOY_LAUNCH_AFTER = "envoy.launch.after"  # it was; nobody has looked whether it came up
    KEPT_BEFORE = "kept.before"  # an account, what was learned, who called whom: not saved
    KEPT_BETWEEN = "kept.between"  # the new file lies beside the old one
    KEPT_AFTER = "kept.after"  # it has taken its place
    ALERT_BEFORE = "alert.before"  # an alert is composed and not sent
    ALERT_AFTER = "alert.after"  # the receiver took it; the cursor stands before it
    ALERT_TOLD = "alert.told"  # the cursor stands behind it
    HOOK_BEFORE = "hook.before"  # a hook is to be asked and was not
    HOOK_AFTER = "hook.after"  # it answered; the core does not know


class _Fuse:
    """What ends the process, if anything is to."""

    def __init__(self) -> None:
        self.point: Point | None = None
        self._left = 0
        self._lock = threading.Lock()

    def set(self, point: Point | None, passings: int) -> None:
        self.point, self._left = point, passings

    def burn(self) -> None:
        """Count one passing; the last one ends the process here and now, in whichever thread."""
        with self._lock:
            self._left -= 1
            if not self._left:
                os._exit(EXIT)


_FUSE = _Fuse()


def passing(point: Point) -> None:
    """Say that everything before `point` is done and nothing behind it. Ends the process if a test asked for that."""
    if _FUSE.point is point:
        _FUSE.burn()


def halves(point: Point, whole: bytes) -> tuple[bytes, ...]:
    """Return `whole`; in two pieces where the process may end between them."""
    if _FUSE.point is not point:
        return (whole,)
    return whole[: len(whole) // 2], whole[len(whole) // 2 :]


def arm(environ: Mapping[str, str]) -> str:
    """Set the point that `LBCTL_CRASH` names, and return it; "" and no point without the variable.

    Raises:
        LbctlError: it names no point; the text says which one is meant.
    """
    text = environ.get(VARIABLE, "")
    if not text:
        _FUSE.set(None, 0)
        return ""
    name, _, number = text.partition(":")
    passings = int(number) if number.isascii() and number.isdigit() and len(number) < 7 else 0
    if name not in set(Point) or passings < 1:
        raise LbctlError(f"{VARIABLE}={text}: {_complaint(name)}; it is for tests: unset it")
    _FUSE.set(Point(name), passings)
    return text


def _complaint(name: str) -> str:
    if name in set(Point):
        return f"write {name}:1 to end lbctld when it comes by for the first time"
    import difflib  # noqa: PLC0415 - nobody but who mistypes a point needs it

    close = difflib.get_close_matches(name, list(Point), n=1, cutoff=0.0)
    return f"there is no point {name!r}: did you mean {close[0]}:1?"
