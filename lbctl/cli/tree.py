"""The tree of commands by name; a command's module is imported when it is asked for, so that `status` starts fast."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click

Places = Mapping[str, str]

COMMANDS: Places = {
    "status": "lbctl.cli.status:status",
    "plan": "lbctl.cli.switch:plan",
    "switch": "lbctl.cli.switch:switch",
    "release": "lbctl.cli.release:release",
    "pause": "lbctl.cli.verbs:pause",
    "resume": "lbctl.cli.verbs:resume",
    "promote": "lbctl.cli.verbs:promote",
    "rollback": "lbctl.cli.verbs:rollback",
    "adopt": "lbctl.cli.verbs:adopt",
    "maintenance": "lbctl.cli.verbs:maintenance",
}


class Lazy(click.Group):
    """A group whose commands are named by `module:attribute`, in the order in which people should read them."""

    def __init__(self, *args: Any, commands_at: Places, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._places = commands_at

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in reading order."""
        return list(self._places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, importing it now; None where there is none of that name."""
        place = self._places.get(cmd_name)
        if place is None:
            return None
        module, _, attribute = place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is a usage error that names the closest."""
        if args and args[0] not in self._places and not args[0].startswith("-"):
            from lbctl.config.fault import did_you_mean

            ctx.fail(f"there is no command {args[0]!r}; {did_you_mean(args[0], self._places)}")
        return super().resolve_command(ctx, args)
