"""docs/reference/cli.md, made from the commands: `python -m lbctl.cli.reference > docs/reference/cli.md`."""

import sys
from collections.abc import Iterator

import click

from lbctl.cli.app import lbctl
from lbctl.cli.catalogue import COMMANDS
from lbctl.cli.failure import MEANING

HEAD = """# Command line

Made by `python -m lbctl.cli.reference`; do not edit.

`lbctl [--socket PATH] COMMAND …` speaks to a running `lbctld`. The socket is the one named by `--socket`, else by
`$LBCTL_SOCKET`; where none is named, your own daemon's socket is tried, then `/run/lbctl/control.sock`. Your own is
`$XDG_RUNTIME_DIR/lbctl/control.sock`; without that variable it is in `lbctl-UID` in the temp folder, which must be
closed to others. Data goes to stdout, everything else to stderr. `-o json` (short: `--json`) prints the daemon's JSON.
Colours only on a terminal and without `NO_COLOR`; every state is also a word. A question is asked only where a person
sits at a terminal. Where a command takes a release, `SERVICE` means its running or last one.
"""
EXITS = "\n## Exit codes\n\nThey are part of the interface.\n\n| code | meaning |\n|---|---|"


def reference() -> str:
    """Return the whole page."""
    root = click.Context(lbctl, info_name="lbctl")
    lines = [HEAD, *_contents(), EXITS, *(f"| {int(code)} | {meaning} |" for code, meaning in MEANING.items())]
    for command, ctx in inside(lbctl, root):
        lines += _command(command, ctx)
    return "\n".join(lines) + "\n"


def inside(group: click.Group, ctx: click.Context) -> Iterator[tuple[click.Command, click.Context]]:
    """Yield every command of a group and its place below it."""
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        assert command is not None
        yield command, click.Context(command, ctx, info_name=name)


def _contents() -> Iterator[str]:
    yield "| command | does |\n|---|---|"
    for name, (_, line) in COMMANDS.items():
        yield f"| [`{name}`](#lbctl-{name}) | {line} |"


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    below = isinstance(command, click.Group)
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    deep = ctx.parent is not None and ctx.parent.parent is not None
    yield f"\n{'###' if deep else '##'} {ctx.command_path}\n"
    yield _sentences(command)
    if isinstance(command, click.Group):
        for inner, deeper in inside(command, ctx):
            yield from _command(inner, deeper)
    if not below:
        yield f"\n```\n{usage}\n```"
        yield from _options(command, ctx)


def _sentences(command: click.Command) -> str:
    paragraphs = (command.help or "").split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    records = [one.get_help_record(ctx) for one in command.params if isinstance(one, click.Option)]
    rows = [record for record in records if record is not None]
    if rows:
        yield "\n| option | meaning |\n|---|---|"
    for names, meaning in rows:
        yield f"| `{_cell(names)}` | {_cell(' '.join(meaning.split()))} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(reference())
