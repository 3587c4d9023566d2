"""The entry of `lbctl`: finds the command, and turns whatever happens into text on stderr and an exit code."""

import os
import sys
from collections.abc import Mapping, Sequence
from errno import ENOSPC, EPIPE
from importlib import import_module
from typing import Any, TextIO

import click

from lbctl.cli.catalogue import COMMANDS
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import SOCKET
from lbctl.cli.output import tell

COMPLETE = "_LBCTL_COMPLETE"
"""Set by the script of `lbctl completion`."""


class Lazy(click.Group):
    """The commands of the catalogue; a module is imported when its command is called, so that `status` starts fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people should read them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing it now; None where there is none of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(f"lbctl.cli.commands.{module}"), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is a usage error that names the closest."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            _unknown(ctx, args[0], COMMANDS)
        return super().resolve_command(ctx, args)


def _unknown(ctx: click.Context, name: str, known: Mapping[str, Any]) -> None:
    from lbctl.config.fault import did_you_mean

    ctx.fail(f"there is no command {name!r}; {did_you_mean(name, known)}")


@click.group(cls=Lazy, context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=False)
@click.option("--socket", metavar="PATH", help="The daemon's control socket: then the only one tried.")
@click.pass_context
def lbctl(ctx: click.Context, socket: str | None) -> None:
    """Move live traffic between the blue and green pools behind your load balancer, and back.

    Without --socket: $LBCTL_SOCKET, else your own daemon's socket, else /run/lbctl/control.sock.
    """
    ctx.meta[SOCKET] = socket


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    # A stream that was closed before the start is None: what would go there goes nowhere.
    sys.stdout = sys.stdout or _nowhere()
    sys.stderr = sys.stderr or _nowhere()
    try:
        arguments = list(sys.argv[1:] if argv is None else argv)
        # A shell that completes calls without a word; the command behind an ssh key never does.
        code = _completed() if not arguments and os.environ.get(COMPLETE) else _run(arguments)
        sys.stdout.flush()
    except OSError as error:
        # Nothing more can be said on stdout, and the interpreter must not try it again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            return Exit.PIPE_CLOSED
        return _failed(Failure(f"stdout cannot be written: {error.strerror}"))
    return int(code)


def _completed() -> int:
    from lbctl.cli.completing import complete

    return complete(os.environ[COMPLETE])


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _run(arguments: list[str]) -> int:
    try:
        with lbctl.make_context("lbctl", arguments) as ctx:
            lbctl.invoke(ctx)
    except click.exceptions.Exit as wish:
        return wish.exit_code
    except (KeyboardInterrupt, click.Abort):
        tell("interrupted")
        return Exit.INTERRUPTED
    except click.exceptions.NoArgsIsHelpError as error:
        # A group without its command: the help is the answer, with its lines as they are.
        tell(error.ctx.get_help())
        return Exit.USAGE
    except Exception as error:
        # The end of the line: whatever it is, it is told with its place and a code of its own.
        if _of_stdout(error):
            raise
        return _failed(_failure(error))
    return Exit.DONE


def _of_stdout(error: Exception) -> bool:
    """Whether it came from printing: files that cannot be written have a name."""
    return isinstance(error, OSError) and error.errno in {EPIPE, ENOSPC} and error.filename is None


def _failure(error: Exception) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, click.UsageError):
        then = f"{error.ctx.command_path} --help" if error.ctx is not None else "lbctl --help"
        return Failure(error.format_message(), then=then, code="usage", exit_code=Exit.USAGE)
    if isinstance(error, click.ClickException):
        return Failure(error.format_message())
    from lbctl.cli.bug import told

    return told(error)


def _failed(failure: Failure) -> int:
    tell(failure.render())
    return failure.exit_code
