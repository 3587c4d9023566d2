"""The manual pages, made from the commands: `python -m lbctl.cli.manual lbctl|lbctld`; the package calls it."""

import sys
from collections.abc import Iterator

import click

from lbctl.about import VERSION
from lbctl.cli.app import lbctl
from lbctl.cli.failure import MEANING
from lbctl.cli.reference import HEAD, inside

DAEMON = r""".SH NAME
lbctld \- moves live traffic between blue and green pools, and back by itself
.SH SYNOPSIS
.B lbctld
[\-\-config FILE] [\-\-verbose] [\-\-version]
.SH DESCRIPTION
The daemon of
.BR lbctl (1).
It is run by systemd as lbctl.service. SIGTERM ends it and changes no traffic; SIGHUP takes the config anew, whole or
not at all. The config is /etc/lbctl/lbctl.yaml unless another is named; a bad one ends the start with exit code 4 and
every fault with its line.
.SH FILES
/etc/lbctl/lbctl.yaml, /run/lbctl/control.sock, /var/lib/lbctl
.SH SEE ALSO
.BR lbctl (1)
"""


def page(program: str) -> str:
    """Return a page in the language of man(7)."""
    if program == "lbctld":
        return _title("lbctld", 8) + DAEMON
    root = click.Context(lbctl, info_name="lbctl")
    about = HEAD.split("\n\n")[2]
    lines = [r".SH NAME", rf"lbctl \- {_text(lbctl.help or '').splitlines()[0]}", ".SH SYNOPSIS"]
    lines += [".B lbctl", r"[\-\-socket PATH] COMMAND ...", ".SH DESCRIPTION", _text(about.replace("`", ""))]
    lines.append(".SH COMMANDS")
    for command, ctx in inside(lbctl, root):
        lines += _command(command, ctx)
    lines.append(".SH EXIT STATUS")
    for code, meaning in MEANING.items():
        lines += [".TP", rf"\fB{int(code)}\fR", _text(meaning)]
    lines += [".SH SEE ALSO", ".BR lbctld (8)"]
    return _title("lbctl", 1) + "\n".join(lines) + "\n"


def _title(name: str, section: int) -> str:
    return f'.TH {name.upper()} {section} "" "lbctl {VERSION}" "lbctl"\n'


def _command(command: click.Command, ctx: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for inner, below in inside(command, ctx):
            yield from _command(inner, below)
        return
    yield f".SS {_text(' '.join([ctx.command_path, *command.collect_usage_pieces(ctx)]))}"
    yield _text("\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n")))
    for option in command.params:
        record = option.get_help_record(ctx) if isinstance(option, click.Option) else None
        if record is not None:
            yield from (".TP", rf"\fB{_text(record[0])}\fR", _text(" ".join(record[1].split())))


def _text(text: str) -> str:
    """Return text that means itself: no escape, no request at the beginning of a line."""
    safe = text.replace("\\", r"\e").replace("-", r"\-")
    lines = (rf"\&{line}" if line[:1] in {".", "'"} else line or ".PP" for line in safe.splitlines())
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page(sys.argv[1]))
