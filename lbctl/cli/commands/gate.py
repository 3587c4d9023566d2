"""The command behind the ssh key of a pipeline."""

import os

import click

from lbctl.cli.client import quoted
from lbctl.cli.failure import Exit, Failure
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
        check(asked, ALLOWED[name], service, lambda target: _belongs(asked, service, target))
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


def _belongs(asked: click.Context, service: str, target: str) -> bool:
    """Whether a name is that of the service's unit, or the number of a release of it, as the daemon knows them: what
    lbctl says is next names releases by their numbers."""
    units: dict[str, object] = client(asked).get("/v1/status", service=service)["units"]
    return target in units or (target.isdecimal() and _unit_of_release(asked, target) in {service, *units})


def _unit_of_release(asked: click.Context, number: str) -> str | None:
    """Return whose release it is; None: nobody's."""
    try:
        release = client(asked).get(f"/v1/releases/{quoted(number)}")["release"]
    except Failure as failure:
        if failure.exit_code != Exit.NO_SUCH:
            raise
        return None
    return str(release["unit"] or release["service"])
