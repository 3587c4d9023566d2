"""The plan of a release as lines. Pure."""

from collections.abc import Iterator

from lbctl.cli.words import Json, known
from lbctl.model.units import seconds


def plan_lines(plan: Json) -> Iterator[str]:
    """Yield the screen of `lbctl plan`."""
    versions = f"{known(plan['version_from'])} → {known(plan['version_to'])}"
    yield f"{plan['service']}: {plan['from']} → {plan['to']}, {versions}"
    for number, step in enumerate(plan["steps"], start=1):
        yield f"  {number:>2}  {step['text']}"
    retain = f"{plan['from']} stays warm for {seconds(plan['retain_ms'])}"
    yield f"      then {retain}; at least {seconds(plan['total_min_ms'])} in all"
    for write in plan["writes"]:
        yield f"  ~   {write}"
    for warning in plan["warnings"]:
        yield f"  ▲   {warning['text']} [{warning['code']}]"
    for refusal in plan["refusals"]:
        yield f"  ✖   {refusal['text']} [{refusal['code']}]"
    yield f"Back {plan['back']}."
    count = len(plan["refusals"])
    yield f"✖ refused now: {count} reason{'s' * (count != 1)} above" if count else "✔ nothing stops it now"
