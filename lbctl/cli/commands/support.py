"""`lbctl support`."""

import click

from lbctl.cli.options import client, form_option
from lbctl.cli.output import emit


@click.command()
@click.option("--to", "output", metavar="FILE", help="Where to.  [default: lbctl-support-HOST-TIME.tar.gz, here]")
@click.option(
    "--config", "file", metavar="FILE", help="lbctl's config.  [default: the daemon's, /etc/lbctl/lbctl.yaml]"
)
@form_option
@click.pass_context
def support(ctx: click.Context, output: str | None, file: str | None, form: str) -> None:
    """Pack what somebody needs to help you into one file, secrets hidden. Nothing is sent, nothing is changed.

    Versions, config, status, releases, events, what doctor finds, what load balancers say, and the log. The running
    daemon is asked where one answers, else its files. Run it as root or as lbctl's user: others see less. The file
    has mode 0600 and at most 32 MiB of contents; CONTENTS.txt in it says what is there and what is missing.
    """
    from lbctl.cli import supporting

    emit(supporting.written(client(ctx), file, output), form, supporting.screen)
