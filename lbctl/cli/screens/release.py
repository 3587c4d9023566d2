"""Screens about releases: plan, list, show, why, explain, and the end of a wait."""

import shlex
from collections.abc import Collection
from typing import Any

from lbctl.cli.screens.lines import columns, event_line, figures_line, moment, phase_words, share
from lbctl.model.units import percent, seconds

Json = dict[str, Any]


def plan_screen(plan: Json, switch: str = "") -> str:
    """Return what a release would do; `switch` is the command that starts this very one."""
    lines = [_planned(plan)]
    traffic = plan.get("traffic")
    lines += [f"     at {traffic['text']}; `sees` is with 90 % power"] if traffic else []
    lines += [f"  gate   {plan['gate']}"] if plan.get("gate") else []
    lines += [f"  hook   {_hook(one)}" for one in plan.get("hooks", ())]
    for index, step in enumerate(plan["steps"], 1):
        lines.append(f"  {index:>2} {percent(step['share_bp']):>6}   {step['text']}")
    warm = "the old pools stay" if _together(plan) else f"{plan['from']} stays"
    lines.append(f"     bake {seconds(plan['bake_ms'])}, then {warm} warm for {seconds(plan['retain_ms'])}")
    lines.append(f"     at least {seconds(plan['total_min_ms'])} in all")
    lines += _sessions(plan.get("sessions"))
    lines += _better(plan.get("better"), refused={one["code"] for one in plan["refusals"]} - {"plan_too_short"})
    lines += [f"  ~ {write}" for write in plan["writes"]]
    lines += [f"  ◐ {one['code']}: {one['text']}" for one in plan["warnings"]]
    lines += [f"  ◐ not ready: {one['text']}" for one in plan["unready"]]
    lines += [f"  ✖ refused: {one['text']}" for one in plan["refusals"]]
    lines.append(f"  back   {plan['back']}")
    if not plan["refusals"]:
        first = "as soon as all is ready: " if plan["unready"] else ""
        lines.append(f"  next   {first}{switch or _switch(plan)}")
    return "\n".join(lines)


def _hook(hook: Json) -> str:
    if not hook["asked"]:
        return f"{hook['at']}: {hook['name']} is told"
    meaning = {"hold": "it holds", "pass": "it goes on", "rollback": "it goes back"}[hook["no_answer"]]
    return f"{hook['at']}: {hook['name']} must say yes; without an answer in {seconds(hook['timeout_ms'])} {meaning}"


def _sessions(found: Json | None) -> list[str]:
    """Return what becomes of sessions, forwards and back."""
    if found is None:
        return []
    return [f"  sessions of {found['pool']}: {found['text']}", f"           on a rollback: {found['back_text']}"]


def _together(plan: Json) -> bool:
    """Whether this is the plan of a unit of several services."""
    return len(plan.get("members", ())) > 1


def _planned(plan: Json) -> str:
    if not _together(plan):
        return f"{plan['service']}: {plan['from']} → {plan['to']}   ({plan['version_from']} → {plan['version_to']})"
    ways = [
        f"{m['service']} {m['from']} → {m['to']} ({m['version_from']} → {m['version_to']})" for m in plan["members"]
    ]
    return f"{plan['unit']}: {', '.join(ways)}"


def _switch(plan: Json) -> str:
    if not _together(plan):
        return f"lbctl switch {plan['service']} --to {plan['to']}"
    named = [one for one in plan["members"] if one["version_to"] != "unknown"]
    versions = [f"{one['service']}={one['version_to']}" for one in named]
    return shlex.join(["lbctl", "switch", plan["unit"], *(word for one in versions for word in ("--version", one))])


def _better(better: Json | None, *, refused: Collection[str]) -> list[str]:
    """Return the better plan; its command only where that is not refused, too."""
    if better is None:
        return []
    then = f"as soon as nothing refuses it: {better['command']}" if refused else better["command"]
    return [f"  better {better['text']}", f"         {then}"]


def releases_screen(data: Json) -> str:
    """Return a list of releases."""
    if not data["releases"]:
        return "no release yet"
    rows: list[tuple[str, ...]] = [
        ("ID", "SERVICE", "WAY", "VERSION", "PHASE", "SHARE", "PEAK", "STARTED", "BY", "REASON", "OUTCOME")
    ]
    rows += [_row(one) for one in data["releases"]]
    return "\n".join(columns(rows))


def _row(one: Json) -> tuple[str, ...]:
    return (
        one["id"],
        one.get("unit") or one["service"],
        *_way(one),
        phase_words(one["phase"]),
        share(one["share_bp"]),
        share(one.get("peak_bp")),
        moment(one["started_wall"]),
        one["initiator"],
        one["reason"] or "-",
        one["outcome"] or "-",
    )


def _way(one: Json) -> tuple[str, str]:
    """Return way and version; of several services all of them."""
    if not one.get("unit"):
        return f"{one['from']} → {one['to']}", one["version"]
    ways = ", ".join(f"{member['service']} {member['from']} → {member['to']}" for member in one["members"])
    return ways, ", ".join(member["version"] for member in one["members"])


def release_screen(data: Json) -> str:
    """Return one release with its plan and newest events."""
    one = data["release"]
    plan = one.get("plan") or {}
    lines = [summary(one)]
    builds = [member for member in one["members"] if member["build"]]
    lines += [f"  build  {member['service']} {member['version']}   {member['build']}" for member in builds]
    lines += [f"  why    {one['reason']}"] if one["reason"] else []
    lines.append(f"  by     {one['initiator']} at {moment(one['started_wall'])}")
    if plan:
        steps = ", ".join(percent(step) for step in plan["steps_bp"])
        times = ", ".join(f"{word} {seconds(plan[f'{word}_ms'])}" for word in ("hold_min", "bake", "retain"))
        lines.append(f"  plan   {steps}   {times.replace('hold_min', 'hold')}")
    approvals = one.get("approvals") or {"count": 0}
    if approvals["count"]:
        given = ", ".join(approvals["given"]) or "nobody yet"
        lines.append(f"  gate   {approvals['count']} of group {approvals['group']} must approve; did: {given}")
    if plan.get("evidence"):
        lines.append(f"  needs  {', '.join(map(str, plan['evidence'][:-1]))} judged requests, step by step")
    lines += [f"  ◐ held {seconds(hold['since_ms'])}   {hold['reason']}" for hold in one.get("holds", [])]
    for name, found in (one.get("certificates") or {}).items():
        if found is not None:
            unused, sure = seconds(found["unused_since_ms"]), found["confidence"]
            lines.append(f"  ● {found['colour']} of {name} is certified: unused for {unused}, confidence {sure}")
    lines += [f"  next   {one['next']}"] if one.get("next") else []
    lines += ["  " + event_line(event) for event in one.get("events", [])]
    return "\n".join(lines)


def summary(one: Json) -> str:
    """Return where a release is, in one line."""
    members = one.get("members") or [one]
    ways = ", ".join(f"{m['service']} {m['from']} → {m['to']} ({m['version']})" for m in members)
    way = f"{one['unit']}: {ways}" if one.get("unit") else ways
    end = f": {one['outcome']}" if one["outcome"] else ""
    return f"release {one['id']}   {way}   {phase_words(one['phase'])} at {share(one['share_bp'])}{end}"


def why_screen(data: Json) -> str:
    """Return every reason a release waits."""
    head = f"release {data['release']} of {data.get('unit') or data['service']}" if data["release"] else data["service"]
    lines = [f"{head}   {phase_words(data['phase'])}"]
    for line in data["lines"]:
        lines.append(f"  {line['what']}")
        lines.append(f"    since     {seconds(line['since_ms'])}")
        lines += [f"    {word:<9} {line[key]}" for word, key in _ASKED if line.get(key)]
    return "\n".join(lines)


_ASKED = (("needs", "needs"), ("deadline", "deadline"), ("then", "then"))


def explain_screen(data: Json) -> str:
    """Return why a release is where it is."""
    lines = [data["summary"]]
    for word in ("why", "not", "seen"):
        for index, text in enumerate(data[word]):
            lines.append(f"  {word if index == 0 else '':<5} {text}")
    for one in data["decisions"]:
        lines += [f"  {event_line(one)}", *(f"{'':14}{line}" for line in figures_line(one["data"]))]
    return "\n".join(lines)


def started_screen(data: Json) -> str:
    """Return that a release began."""
    steps = ", ".join(percent(step) for step in data["steps_bp"])
    way = f"{data['service']} {data['from']} → {data['to']}"
    if data.get("unit"):
        way = f"{data['unit']}: {', '.join(f'{name} {version}' for name, version in data['members'].items())}"
    lines = [f"release {data['release']}   {way} by {steps}"]
    lines.append(f"  follow   lbctl release wait {data['release']}")
    lines.append(f"  stop     lbctl rollback {data['release']}")
    return "\n".join(lines)


def changed_screen(data: Json) -> str:
    """Return what a request made of a release."""
    line = f"release {data['release']}   {phase_words(data['phase'])} at {share(data['share_bp'])}   {data['did']}"
    return f"{line}\n  {data['note']}" if data.get("note") else line
