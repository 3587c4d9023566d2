"""How the daemon logs: one line per event; with fields in systemd's journal, JSON elsewhere, plain on a terminal."""

import logging
import os
import sys
from typing import TextIO, cast

import structlog

from lbctl.daemon.journald import Journald, is_journal
from lbctl.model.visible import escaped

QUIET = frozenset({"operation.applied"})


class Unfailing:
    """A stream for log lines. What cannot be written (a full disk, a closed pipe) is lost.

    A decision must never wait or fail for the line that tells of it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or lose it."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Flush, or not."""
        try:
            self._stream.flush()
        except OSError:
            return


def configure_logs(*, verbose: bool) -> None:
    """Set structlog up, and let the libraries' own loggers only speak of what is wrong."""
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr, format="%(message)s")
    renderer = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            _leave_out if not verbose else _keep,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *([Journald()] if is_journal(sys.stderr, os.environ) else []),
            _visible,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", Unfailing(sys.stderr))),
        cache_logger_on_first_use=True,
    )


def _leave_out(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Leave out what repeats while nothing changes: an operation that went through is seen in the events anyway."""
    del logger, method
    if event.get("event") in QUIET and event.get("status") == "done":
        raise structlog.DropEvent
    return event


def _visible(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape what could command the terminal on which a log is read: texts of strangers stand in it."""
    del logger, method
    return {key: escaped(value, keep="\n") if isinstance(value, str) else value for key, value in event.items()}


def _keep(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    del logger, method
    return event
