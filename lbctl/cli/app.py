"""The entry of `lbctl`: finds the command, and turns whatever happens into text on stderr and an exit code."""

import os
import sys
from collections.abc import Sequence

import click

from lbctl.cli.failure import EXIT_BUG, EXIT_INTERRUPTED, EXIT_OK, EXIT_PIPE, EXIT_USAGE, Failure, rendered
from lbctl.cli.options import SOCKET_KEY
from lbctl.cli.tree import COMMANDS, Lazy


@click.group(
    cls=Lazy, commands_at=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False
)
@click.option("--socket", metavar="PATH", help="Control socket; the only one tried, also if it does not answer.")
@click.pass_context
def lbctl(context: click.Context, socket: str | None) -> None:
    """Move live traffic between the blue and green pools behind your load balancer.

    Without --socket: $LBCTL_SOCKET, else your own daemon's socket, else /run/lbctl/control.sock.
    Data goes to stdout, everything else to stderr. Exit codes: `lbctl help-exit-codes`.
    """
    context.meta[SOCKET_KEY] = socket


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _run(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader has gone: nothing is left to say, and the interpreter must not complain of it at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    return code


def _run(arguments: list[str]) -> int:
    try:
        with lbctl.make_context("lbctl", arguments) as context:
            code = lbctl.invoke(context)
    except click.exceptions.Exit as wish:
        return wish.exit_code
    except click.UsageError as fault:
        return _failed(rendered(fault.format_message(), then=_usage_hint(fault)), EXIT_USAGE)
    except click.ClickException as fault:
        return _failed(rendered(fault.format_message()), EXIT_BUG)
    except Failure as failure:
        return _failed(failure.render(), failure.exit_code)
    except (KeyboardInterrupt, click.Abort):
        return _failed("interrupted", EXIT_INTERRUPTED)
    return code if isinstance(code, int) else EXIT_OK


def _usage_hint(fault: click.UsageError) -> str:
    return f"{fault.ctx.command_path} --help" if fault.ctx is not None else "lbctl --help"


def _failed(text: str, code: int) -> int:
    print(text, file=sys.stderr)
    return code
