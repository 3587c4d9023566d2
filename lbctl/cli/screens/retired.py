"""Screens about old pools: the certificate, or who is still there; and what an undo began."""

from typing import Any

from lbctl.cli.screens.lines import phase_words
from lbctl.model.units import seconds

Json = dict[str, Any]
FIND = "docs/how-to/retire.md, Who sent a late request?"


def retired_screen(data: Json) -> str:
    """Return whether an old pool may be stopped."""
    head = f"{data['colour']} of {data['service']} ({data['version']})   "
    found = data["certificate"]
    if found is None:
        sign = "✖ no certificate" if data["final"] else "◐ not proved unused"
        kernel = [*map(connection_line, data.get("connections", []))]
        # Whose they are the kernel tells, and not what for: nobody should stop a load balancer for them.
        kernel += (
            ["  note     connections that load balancers keep idle are among these, and are no use"] if kernel else []
        )
        first, *others = reasons(data)
        lines = [f"{head}{sign}: {first}", *(f"  also     {one}" for one in others), *_sessions(data), *_voided(data)]
        return "\n".join([*lines, *map(holder_line, data["holders"]), *kernel])
    lines = [f"{head}● unused, certified for {seconds(found['certified_since_ms'])}: it may be stopped"]
    lines.append(f"  unused   for {seconds(found['unused_since_ms'])}; confidence {found['confidence']}")
    for instance, lives in found["counted"].items():
        looked = ", ".join(f"{life} counted {count} requests, then none" for life, count in lives.items())
        lines.append(f"  looked   {instance}: {looked}")
    lines += [f"  unseen   {text}" for text in found["unseen"]]
    lines += [f"  kernel   {found['census']}"] if found["census"] else []
    lines += [_watched(data["past"])] if data.get("past") else []
    return "\n".join([*lines, *_voided(data)])


def reasons(data: Json) -> list[str]:
    """Return everything that an old pool waits for, what is waited for first at the top."""
    return list(data.get("reasons") or [data["waits"]])


def _sessions(data: Json) -> list[str]:
    found = data.get("sessions")
    return [f"  sessions {found['text']}"] if found else []


def _watched(past: Json) -> str:
    """Return who would be seen that calls the servers by themselves from now on."""
    return f"  {'watched ' if past['watched'] else 'unseen  '} {past['text']}"


def _voided(data: Json) -> list[str]:
    """Return that an earlier certificate was void, for as long as the pool has not served again."""
    found = data.get("voided")
    if not found:
        return []
    often = "once" if found["times"] == 1 else f"{found['times']} times"
    when, after = seconds(found["since_ms"]), seconds(found["unused_ms"])
    came = f"last {when} ago by {found.get('by', 'a late request')}, after {after} without one"
    lines = [f"  void     {often}, {came}: {found['why']}"]
    return lines + ([f"  next     find who still uses it: {FIND}"] if found["standing"] else [])


def holder_line(one: Json) -> str:
    """Return who is in flight for long on an old pool."""
    least = "at least " * one["at_least"]
    where = f"{one['instance']} {one['generation'] or ''}".rstrip()
    who, age = one["client"] or "client not told", f"{least}{seconds(one['age_ms'])}"
    return f"  holder   {who} at {one['server']} for {age} ({where})"


def connection_line(one: Json) -> str:
    """Return which program of lbctl's host has connections to an old pool."""
    who = f"{one['process'] or 'a program'} (pid {one['pid']})" if one["pid"] else f"a program of uid {one['uid']}"
    return f"  kernel   {who}: {one['count']} to {one['server']}"


def undone_screen(data: Json) -> str:
    """Return what an undo began."""
    lines = [f"{data['unit']}   release {data['release']}   {phase_words(data['phase'])}   {data['did']}"]
    lines.append(f"  follow   lbctl release wait {data['release']}")
    return "\n".join(lines)
