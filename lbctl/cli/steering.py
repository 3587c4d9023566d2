"""What people do to one release: pause, resume, promote, roll back, approve, cancel. One request, one answer."""

from typing import Any

import click

from lbctl.cli.client import quoted
from lbctl.cli.options import client
from lbctl.cli.output import emit


def steer(ctx: click.Context, target: str, word: str, form: str, **body: Any) -> None:
    """Ask for it, and show what the daemon says to it."""
    from lbctl.cli.screens.release import changed_screen

    emit(client(ctx).post(f"/v1/releases/{quoted(target)}/{word}", body), form, changed_screen)
