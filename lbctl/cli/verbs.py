"""Commands that change something and are answered at once."""

import click

from lbctl.cli.options import client, readable, reasoned, show
from lbctl.cli.words import Json, known

COLOURS = click.Choice(["blue", "green"])


@click.command()
@click.argument("service")
@click.option("--active", required=True, type=COLOURS, help="The pool that serves now.")
@click.option("--version", metavar="V", help="What runs there; default: unknown.")
@click.option("--settle", is_flag=True, help="First bring all new traffic to that pool, where it is divided now.")
@reasoned
@readable
def adopt(service: str, active: str, version: str | None, settle: bool, reason: str | None) -> None:
    """Take over a service: from now on lbctl may write its traffic."""
    body = {"active": active, "version": version, "settle": settle, "reason": reason}
    show(client().post("services", service, "adopt", body=body), _adopted)


def _adopted(answer: Json) -> list[str]:
    return [f"✔ adopted {answer['service']}: {answer['active']} ({known(answer.get('version'))}) is active"]


@click.command()
@click.argument("state", type=click.Choice(["on", "off"]))
@click.argument("service", required=False)
@reasoned
@readable
def maintenance(state: str, service: str | None, reason: str | None) -> None:
    """Stop all writing to the load balancer (on), or allow it again (off); of one service or of all."""
    body = {"on": state == "on", "service": service, "reason": reason}
    show(client().post("maintenance", body=body), _maintained)


def _maintained(answer: Json) -> list[str]:
    scope = answer.get("service") or "all services"
    on = "on: lbctl writes nothing" if answer["maintenance"] else "off"
    return [f"✔ maintenance of {scope} is {on}"]


@click.command()
@click.argument("target")
@reasoned
@readable
def pause(target: str, reason: str | None) -> None:
    """Hold a release where it is. TARGET is a release or a service. It still goes back by itself."""
    _change(target, "pause", {"reason": reason})


@click.command()
@click.argument("target")
@reasoned
@readable
def resume(target: str, reason: str | None) -> None:
    """Let a paused or held release go on. TARGET is a release or a service."""
    _change(target, "resume", {"reason": reason})


@click.command()
@click.argument("target")
@click.option("--full", is_flag=True, help="To 100 % at once instead of to the next step.")
@reasoned
@readable
def promote(target: str, full: bool, reason: str | None) -> None:
    """Go to the next step now, without waiting for time or traffic.

    TARGET is a release or a service. Never goes over a verdict against the candidate, its health or an unreachable
    load balancer.
    """
    _change(target, "promote", {"full": full, "reason": reason})


@click.command()
@click.argument("target")
@reasoned
@readable
def rollback(target: str, reason: str | None) -> None:
    """Bring all new traffic back at once. TARGET is a release or a service. Follow it with `release wait`."""
    _change(target, "rollback", {"reason": reason})


@click.command()
@click.argument("target")
@reasoned
@readable
def cancel(target: str, reason: str | None) -> None:
    """End a release that has no traffic yet. TARGET is a release or a service."""
    _change(target, "cancel", {"reason": reason})


DONE = {
    "pause": "is paused",
    "resume": "goes on",
    "promote": "is promoted",
    "rollback": "goes back",
    "cancel": "is cancelled",
}


def _change(target: str, verb: str, body: Json) -> None:
    answer = client().post("releases", target, verb, body=body)
    show(answer, lambda seen: [f"✔ release {seen['release']} {DONE[verb]} ({seen['phase']})"])
