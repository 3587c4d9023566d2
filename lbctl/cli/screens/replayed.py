"""The screen of `lbctl replay`: where the verdict turned, and whether it is the one that was recorded."""

from typing import Any

from lbctl.cli.screens.simulated import clock
from lbctl.model.units import seconds

Json = dict[str, Any]


def replayed_screen(data: Json) -> str:
    """Return every turn of the verdict, the sum, and what a replay leaves out."""
    by = "other thresholds" if data["other_thresholds"] else "what it was judged by"
    head = f"release {data['release']}, judged again by {by}; {seconds(data['lasted_ms'])} of traffic"
    return "\n".join([head, "", *map(_line, data["turns"]), "", _sum(data), _LEFT_OUT.format(**data)])


_LEFT_OUT = (
    "  the judge alone was asked: holds, hooks and what people asked for are in `lbctl explain {release}`, not in this"
)


def _line(turn: Json) -> str:
    recorded = turn["recorded"]
    same = (turn["verdict"], turn["code"]) == (recorded["verdict"], recorded["code"])
    mark = " " if same else "◐" if turn["verdict"] == recorded["verdict"] else "!"
    was = "" if same else f"  [recorded: {recorded['verdict']}, {recorded['code']}]"
    return (
        f"{clock(turn['at_ms']):>10} {mark} {turn['service']} {turn['verdict']}, {turn['code']}: {turn['reason']}{was}"
    )


def _sum(data: Json) -> str:
    versions = data["lbctl"]
    who = (
        ""
        if versions["recorded"] == versions["now"]
        else f" (recorded by {versions['recorded']}, this is {versions['now']})"
    )
    exact = f"{data['exact']} of {data['ticks']} verdicts are the same to the last digit{who}"
    return (
        f"● every verdict asks for the same; {exact}"
        if data["agrees"]
        else f"✖ not every verdict asks for the same; {exact}"
    )
