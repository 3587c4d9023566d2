"""`lbctl drain` and `lbctl undrain`: one server, by a person."""

import time
from typing import Any

import click

from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Exit
from lbctl.cli.options import client, form_option, reason_option, span_ms
from lbctl.cli.output import emit, tell

Json = dict[str, Any]
TELL_EVERY_S = 2.0
POLL_S = 0.5
HOLDERS_TOLD = 3
QUIET = "30s"


def _place(ctx: click.Context, param: click.Parameter, value: str) -> tuple[str, str, str]:
    """Return service, pool and server of SERVICE/POOL/SERVER."""
    service, _, rest = value.partition("/")
    pool, _, server = rest.partition("/")
    if pool not in {"blue", "green"} or not service or not server or "/" in server:
        what = f"{value!r} is no SERVICE/POOL/SERVER, as storefront/blue/web-1"
        raise click.BadParameter(what, ctx, param)
    return service, pool, server


@click.command()
@click.argument("place", callback=_place, metavar="SERVICE/POOL/SERVER")
@click.option("--wait", "waiting", is_flag=True, help="Watch it empty; return when nobody is there any more.")
@click.option("--quiet", default=QUIET, show_default=True, metavar="TIME", help="So long without a request: empty.")
@click.option("--timeout", metavar="TIME", help="For --wait: then exit 22; the server stays drained.")
@reason_option
@form_option
@click.pass_context
def drain(
    ctx: click.Context,
    place: tuple[str, str, str],
    waiting: bool,
    quiet: str,
    timeout: str | None,
    reason: str,
    form: str,
) -> None:
    """Give one server no new sessions; it keeps those it has. Refused where it would take the last healthy capacity.

    With --wait: in-flight, requests per second and the time left go to stderr. It is over when every load balancer
    reads it back, nothing is in flight on any, and nothing came for --quiet; whoever cannot be read is waited for.
    Exit 5: it is not drained any more. Ctrl-C detaches; it stays drained.
    """
    quiet_ms, timeout_ms = span_ms(quiet, "--quiet"), None if timeout is None else span_ms(timeout, "--timeout")
    data = _ask(client(ctx), place, on=True, reason=reason)
    if not waiting:
        emit(data, form, _said)
        return
    try:
        ended = _watch(client(ctx), place, quiet_ms / 1000, None if timeout_ms is None else timeout_ms / 1000)
    except KeyboardInterrupt:
        tell(f"detached: {place[2]} stays drained; lbctl undrain {'/'.join(place)}")
        ctx.exit(Exit.INTERRUPTED)
    if ended is Exit.DONE or form == "json":
        emit({**data, "empty": ended is Exit.DONE}, form, _said)
    ctx.exit(ended)


@click.command()
@click.argument("place", callback=_place, metavar="SERVICE/POOL/SERVER")
@reason_option
@form_option
@click.pass_context
def undrain(ctx: click.Context, place: tuple[str, str, str], reason: str, form: str) -> None:
    """Let a drained server be ready again."""
    emit(_ask(client(ctx), place, on=False, reason=reason), form, _said)


def _ask(daemon: Client, place: tuple[str, str, str], *, on: bool, reason: str) -> Json:
    service, pool, server = place
    body = {"pool": pool, "server": server, "on": on, "reason": reason}
    return dict(daemon.post(f"/v1/services/{quoted(service)}/drain", body))


def _said(data: Json) -> str:
    where = f"{data['service']}/{data['colour']}/{data['server']}"
    waits = [f"  waits  {data['waits']}"] if data.get("waits") and not data.get("empty") else []
    back = [f"  back   lbctl undrain {where}"] if data["drained"] else []
    return "\n".join([f"{where}   {_did(data)}", *waits, *back])


def _did(data: Json) -> str:
    """Return what was ordered, which is not yet what a load balancer does."""
    waits = data.get("waits")
    if not data["drained"]:
        if data.get("already"):
            return f"{'◐' if waits else '●'} was not drained"
        return "◐ ordered to be ready again, not written yet" if waits else "● is to be ready again"
    if data.get("empty"):
        return "◐ drained: nobody is there any more"
    if waits:
        return "◐ ordered to drain, not written yet: it gets new sessions until then"
    return "◐ drained: no new sessions, once every load balancer reads it back"


def _watch(daemon: Client, place: tuple[str, str, str], quiet_s: float, timeout_s: float | None) -> Exit:
    """Tell how it empties until nobody is there, it is not drained any more, or the time is over."""
    from lbctl.cli.burndown import BurnDown

    service, _, server = place
    seen, began_s = BurnDown(), time.monotonic()
    # Before the first readings there is nothing to tell.
    told_s = began_s
    while True:
        now_s = time.monotonic()
        view = daemon.get("/v1/status", service=service)["services"][service]
        one = view["servers"][server]
        seen.look(now_s, one["requests"])
        if not _is_drained(one):
            tell(f"{server} is not drained any more: somebody lets it be ready again")
            return Exit.REFUSED
        unknown = _unknown(one)
        if not one["drained"]["read_back"]:
            seen.anew(now_s)
        elif unknown or one["in_flight"]:
            seen.blind(now_s)
        elif seen.quiet_s(now_s) >= quiet_s:
            return Exit.DONE
        if timeout_s is not None and now_s - began_s >= timeout_s:
            tell(f"the time is over: {server} stays drained; {unknown or _still(one, seen.rate)}")
            _tell_who(view, server)
            return Exit.TIMED_OUT
        if now_s - told_s >= TELL_EVERY_S:
            told_s = now_s
            tell(_line(server, unknown or _in_flight(one), seen.rate, seen.eta_s()))
            _tell_who(view, server)
        time.sleep(POLL_S)


def _tell_who(view: Json, server: str) -> None:
    """Tell who is there for long, where the load balancers name them."""
    from lbctl.cli.screens.retired import holder_line

    there = [one for pool in view["pools"].values() for one in pool["holders"] if one["server"] == server]
    for one in there[:HOLDERS_TOLD]:
        tell(holder_line(one))


def _is_drained(one: Json) -> bool:
    return bool(one["drained"]) and one["drained"]["state"] == "drain"


def _unknown(one: Json) -> str:
    """Return why nobody can say what is in flight at a drained server; empty: everybody was asked."""
    if not one["drained"]["read_back"]:
        return str(one["drained"]["waits"])
    return "not every load balancer could be read" if one["in_flight"] is None else ""


def _in_flight(one: Json) -> str:
    return f"{one['in_flight']} in flight"


def _still(one: Json, rate: float | None) -> str:
    """Say what is left there, and that it need not end by itself."""
    if not rate:
        return _in_flight(one)
    return (
        f"{_in_flight(one)}, {rate:.1f} requests/s of its sessions, which stay with it until their cookies or entries "
        "end: nothing moves the sessions of one server while it is up; a release moves those of its pool"
    )


def _line(server: str, now: str, rate: float | None, eta_s: float | None) -> str:
    from lbctl.model.units import Span, seconds

    often = "? requests/s" if rate is None else f"{rate:.1f} requests/s of its sessions"
    left = "time left not known" if eta_s is None else f"about {seconds(Span(int(eta_s * 1000)))} left"
    return f"{server}: {now}, {often}, {left}"
