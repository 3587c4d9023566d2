"""What a shell completes: commands and options by click; services, units and releases by asking the daemon."""

from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from lbctl.cli.app import COMPLETE, lbctl
from lbctl.cli.failure import Exit, Failure

SHELLS = ("bash", "zsh", "fish")
NAMED = frozenset({"service", "target", "release", "unit"})


class Name(click.types.StringParamType):
    """The name of a service or unit; the number of a release where the argument takes one."""

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Return what the daemon knows; nothing where none answers: a shell must not wait, nor show an error."""
        from lbctl.cli.options import client

        try:
            daemon = client(ctx)
            status = daemon.get("/v1/status")
            found = [*status["units"], *status["services"]]
            if "RELEASE" in (param.metavar or ""):
                found += [one["id"] for one in daemon.get("/v1/releases")["releases"]]
        except Failure:
            return []
        return [CompletionItem(name) for name in dict.fromkeys(found) if name.startswith(incomplete)]


def script(shell: str) -> str:
    """Return what a shell must read once. No shell is started for it."""
    found = _helper(shell)
    return str(found.source_template % found.source_vars())


def complete(instruction: str) -> int:
    """Answer the shell that called with `$_LBCTL_COMPLETE`; what it asks stands in its own variables."""
    shell, _, word = instruction.partition("_")
    if shell not in SHELLS or word != "complete":
        return Exit.USAGE
    try:
        click.echo(_helper(shell).complete())
    except (KeyError, ValueError, click.ClickException):
        return Exit.USAGE
    return Exit.DONE


def _helper(shell: str) -> Any:
    kind = get_completion_class(shell)
    assert kind is not None, "click knows these shells"
    return kind(_Completing(lbctl), {}, "lbctl", COMPLETE)


class _Completing(click.Group):
    """The command tree, its names typed."""

    def __init__(self, real: click.Group) -> None:
        super().__init__(real.name, params=real.params, callback=real.callback)
        self._real = real

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return self._real.list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command whose names can be completed."""
        found = self._real.get_command(ctx, cmd_name)
        if found is not None:
            _type(found)
        return found


def _type(command: click.Command) -> None:
    for param in command.params:
        if param.name in NAMED and type(param.type) is click.types.StringParamType:
            param.type = Name()
    if isinstance(command, click.Group):
        for one in command.commands.values():
            _type(one)
