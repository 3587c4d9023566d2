"""The child's end of the control channel: JSON lines in on stdin, one JSON line out on stdout for each.

End of input means that the parent is gone or done, so the child ends too: no toy process outlives its parent.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import msgspec

LINE_LIMIT = 64 * 1024
Handler = Callable[[bytes], Awaitable[Any]]


def tell(message: Any) -> None:
    """Write one JSON line to stdout at once."""
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def serve_orders(handler: Handler) -> None:
    """Answer each order with what the handler returns, until end of input, SIGTERM or SIGINT.

    An order that the handler refuses with ValueError or OSError is answered `{"error": …}` and changes nothing.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT)
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, reader.feed_eof)
    while (line := await reader.readline()).endswith(b"\n"):
        try:
            tell(await handler(line))
        except (ValueError, OSError) as refused:
            tell({"error": str(refused)})
    transport.close()


def address(text: str) -> tuple[str, int]:
    """Read HOST:PORT from a command line."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT; for example 127.0.0.1:0")
    return host.strip("[]"), int(port)


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a child's main coroutine, on uvloop where it is installed: the toys must leave the cores to the tested."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.get_loop().set_exception_handler(_die)
        runner.run(main)


def _die(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An error nobody caught could have lost a count, so the process tells it once and ends."""
    loop.default_exception_handler(context)
    loop.stop()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415 - an optional extra
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
