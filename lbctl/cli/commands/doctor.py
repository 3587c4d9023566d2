"""`lbctl doctor`."""

import click

from lbctl.cli.failure import Exit
from lbctl.cli.options import client, form_option
from lbctl.cli.output import emit


@click.command()
@click.option(
    "--config", "file", metavar="FILE", help="lbctl's config.  [default: the daemon's, /etc/lbctl/lbctl.yaml]"
)
@click.option("--haproxy-cfg", metavar="FILE", multiple=True, help="HAProxy's config.  [default: /etc/haproxy]")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A variable of HAProxy's own environment.")
@click.option(
    "--assume", metavar="CONDITION=yes|no", multiple=True, help="What an `.if` means that only HAProxy knows."
)
@form_option
@click.pass_context
def doctor(
    ctx: click.Context,
    file: str | None,
    haproxy_cfg: tuple[str, ...],
    env: tuple[str, ...],
    assume: tuple[str, ...],
    form: str,
) -> None:
    """What bites on this host, before it does: config, load balancers, host, each finding with its fix.

    The running daemon is asked where one answers, else the load balancers themselves. Nothing is changed. Exit 4 if
    there is a fault (✖): a release would not go, or not safely. Warnings (!) and notes (-) exit 0.
    """
    from lbctl.cli import doctoring

    found = doctoring.examined(client(ctx), file, haproxy_cfg, env, assume)
    emit(found, form, doctoring.screen)
    ctx.exit(Exit.CONFIG if found["counts"]["fault"] else Exit.DONE)
