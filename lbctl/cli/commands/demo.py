"""`lbctl demo`."""

import click


@click.command()
@click.option("--json", "json_output", is_flag=True, help="One JSON object on stdout, nothing else.")
@click.option("--keep", metavar="DIR", help="Leave config, record and logs there, and print what to do with them.")
@click.pass_context
def demo(ctx: click.Context, json_output: bool, keep: str | None) -> None:
    """Two real releases on this machine: one that goes well, one that goes back by itself. No root needed."""
    from lbctl.demo.story import main

    ctx.exit(main(json_output=json_output, keep=keep))
