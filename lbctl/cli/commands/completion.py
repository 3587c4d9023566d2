"""The command that teaches a shell to complete."""

import click

from lbctl.cli.output import write


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """What bash, zsh or fish must read to complete commands, options, services, units and releases.

    bash: eval "$(lbctl completion bash)" in ~/.bashrc. zsh: the same after compinit in ~/.zshrc. fish: lbctl completion
    fish into ~/.config/fish/completions/lbctl.fish.
    """
    from lbctl.cli.completing import script

    write(script(shell))
