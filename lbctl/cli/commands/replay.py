"""A release that was recorded, judged again: what today's judge says of it, or the same one by other thresholds."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from lbctl.cli.commands.config import loaded_config
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.options import form_option
from lbctl.cli.output import emit
from lbctl.model.names import ReleaseId

Json = dict[str, Any]
NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


@click.command()
@click.argument("release", metavar="RELEASE|FILE")
@click.option("--thresholds", metavar="CONFIG", help="Judge by the `judge` settings of this config instead.")
@click.option("--state-dir", metavar="PATH", help="Where lbctld keeps its files.  [default: this user's]")
@form_option
@click.pass_context
def replay(ctx: click.Context, release: str, thresholds: str | None, state_dir: str | None, form: str) -> None:
    """Judge a recorded release again, tick by tick, and say where the verdict turns and whether it is the same.

    lbctld records what the judge is told in every release (STATE/recordings, the last 10). RELEASE is its number, FILE
    a copy of such a file. The same version of lbctl reproduces every verdict to its last digit. With --thresholds it
    says what other settings would have asked for, with the same counters: after a verdict that would have moved traffic
    the counters would have been others.

    Exits with 0 if every verdict asks for what the recorded one asked for, with 10 if one does not.
    """
    from lbctl.cli.screens.replayed import replayed_screen

    settings = None if thresholds is None else _settings(thresholds)
    data = _replayed(_file(release, state_dir), settings)
    emit(data, form, replayed_screen)
    ctx.exit(Exit.DONE if data["agrees"] else Exit.CHANGES)


def _settings(file: str) -> Mapping[Any, Any]:
    return {name: service.judge for name, service in loaded_config(file).topology.services.items()}


def _file(release: str, state_dir: str | None) -> Path:
    if not NUMBER.fullmatch(release):
        return Path(release)
    from lbctl.config.home import home_of
    from lbctl.store.recording import path_of

    where = Path(state_dir or home_of(os.getuid(), os.environ).state_dir) / "recordings"
    path = path_of(where, ReleaseId(release))
    try:
        found = path.exists()
    except OSError as error:
        raise Failure(
            f"{path} cannot be read: {error.strerror}", then="as the user of lbctld", exit_code=Exit.USAGE
        ) from None
    if not found:
        then = "lbctl history; or --state-dir, where lbctld keeps its files elsewhere"
        raise Failure(f"there is no recording of release {release} in {where}", then=then, exit_code=Exit.NO_SUCH)
    return path


def _replayed(path: Path, settings: Mapping[Any, Any] | None) -> Json:
    from lbctl import about
    from lbctl.sim.replay import again
    from lbctl.store.recording import Unreadable, lines

    try:
        found = again(lines(path), settings)
    except (Unreadable, ValueError, ArithmeticError) as error:
        then = "a file that lbctld wrote to its recordings, of this version"
        raise Failure(f"{path} is no recording that can be judged: {error}", then=then, exit_code=Exit.USAGE) from None
    began = found.began or 0
    return {
        "release": found.release,
        "lbctl": {"recorded": found.lbctl, "now": about.VERSION},
        "other_thresholds": settings is not None,
        "agrees": found.agrees,
        "ticks": found.ticks,
        "exact": found.exact,
        "lasted_ms": found.ended - began,
        "turns": [
            {
                "at_ms": turn.at - began,
                "service": turn.service,
                "verdict": turn.verdict.word.value,
                "code": turn.verdict.code,
                "reason": turn.verdict.reason,
                "recorded": {"verdict": turn.recorded[0], "code": turn.recorded[1]},
            }
            for turn in found.turns
        ],
    }
