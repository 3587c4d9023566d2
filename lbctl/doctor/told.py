"""What the running daemon says of itself and of every service, as findings: its own words and codes. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.doctor.balancers import LIMITS, UNREACHABLE, told

Json = Mapping[str, Any]
OF_THE_QUESTION = frozenset({"VERSION_NOT_NAMED"})
"""What plan says because doctor asks without naming a version."""
PASSING = frozenset({"candidate"})
"""Not ready now, as between two releases: a loss only if one starts."""
ENDED_BY_TIME = frozenset({"TRAFFIC_NOT_KNOWN", "BASELINE_OFF", "DISPERSION_ASSUMED"})
"""What lbctl learns by itself from traffic: nothing to repair."""


def of_daemon(status: Json, about: Json, version: str) -> Iterator[Finding]:
    """Yield what the daemon says of itself."""
    if about.get("version") != version:
        what = f"lbctl is {version}, and the running lbctld {about.get('version')}"
        yield Finding("VERSION_DIFFERS", Weight.WARNING, "lbctld", what, "restart lbctld: traffic stays as it is")
    refused = str(status.get("daemon", {}).get("config_refused", ""))
    if refused:
        what = f"the config file was refused, the one before it is in force, {refused}"
        fix = "put it right and `systemctl reload lbctl`; what cannot change while it runs: `systemctl restart lbctl`"
        yield Finding("CONFIG_REFUSED", Weight.FAULT, "lbctld", what, fix)
    journal = str(status.get("daemon", {}).get("journal", "ok"))
    if journal != "ok":
        what = f"the journal cannot be written: {journal}; nothing goes forward"
        yield Finding("JOURNAL_BROKEN", Weight.FAULT, "lbctld", what, "make room on the disk of `state_dir`")


def of_service(name: str, view: Json, plan: Json | str) -> Iterator[Finding]:
    """Yield what status and plan say of a service; `plan` is a text where it was refused as a whole."""
    for instance, one in view.get("instances", {}).items():
        if not one.get("reachable", True):
            yield Finding("NOT_DRIVABLE", Weight.FAULT, instance, str(one.get("reason", "")), UNREACHABLE)
        yield from (told(text, instance, Weight.WARNING) for text in one.get("warnings", ()))
    if isinstance(plan, str):
        yield Finding("NO_PLAN", Weight.NOTE, name, plan, f"lbctl plan {name}")
        return
    for key, weight in (("unready", Weight.FAULT), ("warnings", Weight.WARNING)):
        for one in plan.get(key, ()):
            if one["code"] not in OF_THE_QUESTION:
                lighter = Weight.WARNING if one["code"] in PASSING else weight
                lighter = Weight.NOTE if one["code"] in ENDED_BY_TIME else lighter
                where, _, what = one["text"].partition(": ")
                if where not in view.get("instances", {}):
                    where, what = name, one["text"]
                yield Finding(one["code"], lighter, where, what, f"{LIMITS}: {one['code']}")


def once(found: list[Finding]) -> list[Finding]:
    """Return each finding once, the heaviest first."""
    order = {Weight.FAULT: 0, Weight.WARNING: 1, Weight.NOTE: 2}
    kept: dict[tuple[str, str, str], Finding] = {}
    for one in sorted(found, key=lambda one: order[one.weight]):
        kept.setdefault((one.code, one.where, one.what), one)
    return list(kept.values())
