"""Screens about releases: plan, list, show, why, explain, and the end of a wait."""

from typing import Any

from lbctl.cli.screens.lines import columns, event_line, figures_line, moment, phase_words, share
from lbctl.model.units import percent, seconds

Json = dict[str, Any]


def plan_screen(plan: Json, switch: str = "") -> str:
    """Return what a release would do; `switch` is the command that starts this very one."""
    versions = f"{plan['version_from']} → {plan['version_to']}"
    lines = [f"{plan['service']}: {plan['from']} → {plan['to']}   ({versions})"]
    traffic = plan.get("traffic")
    lines += [f"     at {traffic['text']}; `sees` is with 90 % power"] if traffic else []
    for index, step in enumerate(plan["steps"], 1):
        lines.append(f"  {index:>2} {percent(step['share_bp']):>6}   {step['text']}")
    lines.append(
        f"     bake {seconds(plan['bake_ms'])}, then {plan['from']} stays warm for {seconds(plan['retain_ms'])}"
    )
    lines.append(f"     at least {seconds(plan['total_min_ms'])} in all")
    lines += _better(plan.get("better"))
    lines += [f"  ~ {write}" for write in plan["writes"]]
    lines += [f"  ◐ {one['code']}: {one['text']}" for one in plan["warnings"]]
    lines += [f"  ◐ not ready: {one['text']}" for one in plan["unready"]]
    lines += [f"  ✖ refused: {one['text']}" for one in plan["refusals"]]
    lines.append(f"  back   {plan['back']}")
    if not plan["refusals"]:
        first = "as soon as all is ready: " if plan["unready"] else ""
        lines.append(f"  next   {first}{switch or 'lbctl switch ' + plan['service'] + ' --to ' + plan['to']}")
    return "\n".join(lines)


def _better(better: Json | None) -> list[str]:
    if better is None:
        return []
    return [f"  better {better['text']}", f"         {better['command']}"]


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
        one["service"],
        f"{one['from']} → {one['to']}",
        one["version"],
        phase_words(one["phase"]),
        share(one["share_bp"]),
        share(one.get("peak_bp")),
        moment(one["started_wall"]),
        one["initiator"],
        one["reason"] or "-",
        one["outcome"] or "-",
    )


def release_screen(data: Json) -> str:
    """Return one release with its plan and newest events."""
    one = data["release"]
    plan = one.get("plan") or {}
    lines = [summary(one)]
    lines += [f"  why    {one['reason']}"] if one["reason"] else []
    lines.append(f"  by     {one['initiator']} at {moment(one['started_wall'])}")
    if plan:
        steps = ", ".join(percent(step) for step in plan["steps_bp"])
        times = ", ".join(f"{word} {seconds(plan[f'{word}_ms'])}" for word in ("hold_min", "bake", "retain"))
        lines.append(f"  plan   {steps}   {times.replace('hold_min', 'hold')}")
    if plan.get("evidence"):
        lines.append(f"  needs  {', '.join(map(str, plan['evidence'][:-1]))} judged requests, step by step")
    lines += [f"  ◐ held {seconds(hold['since_ms'])}   {hold['reason']}" for hold in one.get("holds", [])]
    lines += [f"  next   {one['next']}"] if one.get("next") else []
    lines += ["  " + event_line(event) for event in one.get("events", [])]
    return "\n".join(lines)


def summary(one: Json) -> str:
    """Return where a release is, in one line."""
    way = f"{one['service']} {one['from']} → {one['to']} ({one['version']})"
    end = f": {one['outcome']}" if one["outcome"] else ""
    return f"release {one['id']}   {way}   {phase_words(one['phase'])} at {share(one['share_bp'])}{end}"


def why_screen(data: Json) -> str:
    """Return every reason a release waits."""
    lines = [f"release {data['release']} of {data['service']}   {phase_words(data['phase'])}"]
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
    lines = [f"release {data['release']}   {data['service']} {data['from']} → {data['to']} by {steps}"]
    lines.append(f"  follow   lbctl release wait {data['release']}")
    lines.append(f"  stop     lbctl rollback {data['release']}")
    return "\n".join(lines)


def changed_screen(data: Json) -> str:
    """Return what a request made of a release."""
    line = f"release {data['release']}   {phase_words(data['phase'])} at {share(data['share_bp'])}   {data['did']}"
    return f"{line}\n  {data['note']}" if data.get("note") else line
