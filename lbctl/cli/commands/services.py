"""Commands about services and alerts."""

from typing import Any

import click

from lbctl.cli.client import quoted
from lbctl.cli.failure import Exit
from lbctl.cli.options import client, contract_options, form_option, reason_option
from lbctl.cli.output import emit

Json = dict[str, Any]


@click.command()
@click.argument("service")
@click.option("--active", type=click.Choice(["blue", "green"]), required=True, help="The pool that serves now.")
@click.option("--version", help="What runs there, for people; else `unknown` is recorded.")
@click.option("--settle", is_flag=True, help="Bring all new traffic to that pool first.")
@contract_options
@reason_option
@form_option
@click.pass_context
def adopt(
    ctx: click.Context,
    service: str,
    active: str,
    version: str | None,
    settle: bool,
    provides: tuple[str, ...],
    requires: tuple[str, ...],
    reason: str,
    form: str,
) -> None:
    """Start driving SERVICE. Until then lbctl only observes it."""
    promised = {"provides": list(provides) or None, "requires": list(requires) or None}
    body = {"active": active, "version": version, "settle": settle, "reason": reason, **promised}
    emit(client(ctx).post(f"/v1/services/{quoted(service)}/adopt", body), form, _adopted)


def _adopted(data: Json) -> str:
    head = f"{data['service']}   ● {data['active']} serves ({data['version']})"
    warning = f"\n  ! {data['warning']}: `lbctl adopt` again corrects it" if data.get("warning") else ""
    return f"{head}{warning}\n  next   lbctl plan {data['service']} --version VERSION"


@click.command()
@click.argument("switch", type=click.Choice(["on", "off"]), metavar="on|off")
@click.argument("service", required=False, metavar="[SERVICE|UNIT]")
@reason_option
@form_option
@click.pass_context
def maintenance(ctx: click.Context, switch: str, service: str | None, reason: str, form: str) -> None:
    """Stop (on) or resume (off) all writes, of a SERVICE, a UNIT or all. Only a person's rollback still writes."""
    body = {"on": switch == "on", "service": service, "reason": reason}
    emit(client(ctx).post("/v1/maintenance", body), form, _maintained)


def _maintained(data: Json) -> str:
    return f"maintenance is {'on' if data['maintenance'] else 'off'} for {data['service'] or 'every service'}"


@click.group()
def notify() -> None:
    """Alerts."""


@notify.command("test")
@click.argument("name")
@form_option
@click.pass_context
def test_alert(ctx: click.Context, name: str, form: str) -> None:
    """Send a test through the alert NAME; exit 1 if it did not arrive."""
    data = client(ctx).post(f"/v1/alerts/{quoted(name)}/test", {})
    emit(
        data, form, lambda found: " ".join(part for part in (found["alert"], found["result"], found["detail"]) if part)
    )
    ctx.exit(Exit.DONE if data["result"] == "sent" else Exit.BUG)
