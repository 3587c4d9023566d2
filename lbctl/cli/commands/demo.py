"""`lbctl demo`."""

import click


@click.command()
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout, nothing else.")
@click.option("--keep", metavar="DIR", help="Leave config, record and logs there, and print what to do with them.")
@click.option("--single", is_flag=True, help="One service instead of two that go together; half a minute.")
@click.pass_context
def demo(ctx: click.Context, json_output: bool, keep: str | None, single: bool) -> None:
    """Two real releases of two services on this machine: one goes well, one comes back by itself. No root needed."""
    if single:
        from lbctl.demo.single import main
    else:
        from lbctl.demo.story import main

    ctx.exit(main(json_output=json_output, keep=keep))
