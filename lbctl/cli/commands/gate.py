"""The command behind the ssh key of a pipeline."""

import os
from collections.abc import Collection

import click

from lbctl.cli.options import client

ORIGINAL = "SSH_ORIGINAL_COMMAND"


@click.command()
@click.option("--service", required=True, help="The service whose pipeline holds the key.")
@click.pass_context
def gate(ctx: click.Context, service: str) -> None:
    """For sshd: do what a pipeline's key asked for, if it is a pipeline's business with SERVICE, and nothing else.

    In authorized_keys: command="lbctl gate --service accounts",restrict ssh-ed25519 … . The command is taken from
    $SSH_ORIGINAL_COMMAND; no shell sees it. Exit codes are those of the command; 6: not for this key.
    """
    from lbctl.cli.forced import ALLOWED, check, command_of

    name, words = command_of(os.environ.get(ORIGINAL, ""), service)
    with _parsed(ctx, name.split(), words) as asked:
        check(asked, ALLOWED[name], service, lambda: _units(asked, service))
        asked.command.invoke(asked)


def _parsed(ctx: click.Context, names: list[str], words: list[str]) -> click.Context:
    """Return the command as click has understood it, not run yet; it speaks to the socket that the gate was given."""
    above = ctx.find_root()
    command: click.Command = above.command
    for name in names:
        if command is not above.command:
            above = click.Context(command, parent=above, info_name=command.name)
        assert isinstance(command, click.Group)
        found = command.get_command(above, name)
        assert found is not None, "the table names commands that exist"
        command = found
    return command.make_context(names[-1], words, parent=above)


def _units(asked: click.Context, service: str) -> Collection[str]:
    """Return the units of the service, as the daemon knows them."""
    units: dict[str, object] = client(asked).get("/v1/status", service=service)["units"]
    return units.keys()
