"""The terminal while a live screen has it: single keys, its size, and its way back to what it was."""

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lbctl.cli.output import GLYPH_COLOUR


class Terminal:
    """Takes the terminal for as long as the block lasts. `lines` are cut to its size, which may change at any time.

    Without a terminal on stdin there are no keys. Ctrl-C raises KeyboardInterrupt, and so does SIGTERM: the terminal
    is given back in every case.
    """

    def __init__(self) -> None:
        self._console = Console(highlight=False, emoji=False, markup=False)
        self._live = Live(console=self._console, screen=True, auto_refresh=False, redirect_stdout=False,
                          redirect_stderr=False)  # fmt: skip
        self._keys = sys.stdin.isatty()
        self._woken, self._wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._before: list[Any] = []
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take it."""
        self._handlers = {
            signal.SIGWINCH: signal.signal(signal.SIGWINCH, self._resized),
            signal.SIGTERM: signal.signal(signal.SIGTERM, signal.default_int_handler),
        }
        if self._keys:
            self._before = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give it back as it was."""
        try:
            self._live.stop()
        finally:
            if self._before:
                termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._before)
            for number, handler in self._handlers.items():
                signal.signal(number, handler)
            os.close(self._woken)
            os.close(self._wakes)

    def draw(self, body: Sequence[str], foot: Sequence[str]) -> None:
        """Show `body` from the top, as much of it as there is room for, and `foot` in the last lines."""
        width, height = self._console.size
        lines = [_styled(line) for line in fitted(body, foot, width, height)]
        self._live.update(Group(*lines), refresh=True)

    def key(self, wait_s: float) -> str:
        """Return the key that is pressed within `wait_s`; empty: none, or `wake` was called, or the size changed."""
        watched = [self._woken, *([sys.stdin.fileno()] if self._keys else [])]
        ready, _, _ = select.select(watched, [], [], max(0.0, wait_s))
        if self._woken in ready:
            os.read(self._woken, 4_096)
        if self._keys and sys.stdin.fileno() in ready:
            return self._read()
        return ""

    def wake(self) -> None:
        """End a `key` that waits. May be called from any thread, also when the terminal was given back already."""
        try:
            os.write(self._wakes, b"w")
        except OSError:
            return

    def _read(self) -> str:
        raw = os.read(sys.stdin.fileno(), 64)
        if not raw:
            self._keys = False  # The other side of the terminal is gone.
        text = raw.decode(errors="replace")
        return text if len(text) == 1 else ""  # An arrow or a paste is no command.

    def _resized(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.wake()


def fitted(body: Sequence[str], foot: Sequence[str], width: int, height: int) -> list[str]:
    """Return exactly `height` lines of at most `width` cells; the foot stays, what is left of the body is said."""
    foot = list(foot)[-height:]
    room = height - len(foot)
    shown = list(body)
    if len(shown) > room:
        kept = max(0, room - 1)
        shown = [*shown[:kept], f"… {len(body) - kept} more lines: make the window larger"][:room]
    shown += [""] * (room - len(shown))
    return [_cut(line, width) for line in (*shown, *foot)]


def _cut(line: str, width: int) -> str:
    if cell_len(line) <= width:
        return line
    return set_cell_size(line, max(0, width - 1)) + "…" if width > 1 else line[:width]


def _styled(line: str) -> Text:
    text = Text(line, no_wrap=True)
    for index, char in enumerate(line):
        if char in GLYPH_COLOUR:
            text.stylize(GLYPH_COLOUR[char], index, index + 1)
    return text
