"""Freeze windows: made, listed, removed."""

from typing import Any

import click

from lbctl.cli.options import client, form_option, reason_option, span_ms
from lbctl.cli.output import emit
from lbctl.cli.screens.lines import columns

Json = dict[str, Any]


@click.group()
def freeze() -> None:
    """Freeze windows: while one is open nothing goes forward. Going back is always possible."""


@freeze.command("add")
@click.argument("name")
@click.argument("target", required=False, metavar="[SERVICE|UNIT]")
@click.option("--until", metavar="TIME", help='When it ends, as "2026-12-20 18:00"; else when it is removed.')
@click.option("--for", "span", metavar="TIME", help="How long from now, as 4h, to the minute.")
@click.option("--zone", metavar="ZONE", help="Whose time the end is, as Europe/Berlin; else UTC.")
@reason_option
@form_option
@click.pass_context
def add(
    ctx: click.Context,
    name: str,
    target: str | None,
    until: str | None,
    span: str | None,
    zone: str | None,
    reason: str,
    form: str,
) -> None:
    """Open the window NAME now, for a SERVICE with its unit, a UNIT or all; one of that name is changed."""
    if span is not None and until is not None:
        raise click.UsageError("--for names the end by itself: leave out --until")
    lasts_ms = None if span is None else span_ms(span, "--for")
    body = {"name": name, "service": target, "until": until, "lasts_ms": lasts_ms, "zone": zone, "reason": reason}
    emit(client(ctx).post("/v1/freezes", body), form, lambda data: _done(data, "is open", "is open as it was"))


@freeze.command("remove")
@click.argument("name")
@reason_option
@form_option
@click.pass_context
def remove(ctx: click.Context, name: str, reason: str, form: str) -> None:
    """Remove the window NAME. Those of the config are removed there."""
    body = {"name": name, "reason": reason}
    emit(client(ctx).post("/v1/freezes/remove", body), form, lambda data: _done(data, "is removed", "was not there"))


@freeze.command("list")
@click.argument("target", required=False, metavar="[SERVICE|UNIT]")
@form_option
@click.pass_context
def shown(ctx: click.Context, target: str | None, form: str) -> None:
    """Show every window, also of the config, and which are open."""
    emit(client(ctx).get("/v1/freezes", service=target), form, windows_screen)


def windows_screen(data: Json) -> str:
    """Return a line for each window."""
    if not data["windows"]:
        return "no freeze window"
    rows = [("WINDOW", "", "OF", "WHEN", "BY", "REASON")]
    for one in data["windows"]:
        state = "✖ open" if one["open"] else "○ over" if one["over"] else "○ closed"
        of = ", ".join(one["services"]) or f"{one['target']}, which is not in the config"
        rows.append((one["name"] or "(config)", state, of, _when(one), one["by"] or "-", one["reason"] or "-"))
    return "\n".join(columns(rows))


def _when(one: Json) -> str:
    until = f"until {one['until']} {one['zone']}" if one["until"] else "until it is removed"
    if one["source"] == "person":
        return until
    days = f"{', '.join(one['days'])} " if one["days"] else ""
    return f"{days}{one['from']} {until}"


def _done(data: Json, word: str, unchanged: str) -> str:
    return f"freeze {data['freeze']} {word if data['changed'] else unchanged}"
