"""An alert laid out for people: a title, labelled lines in a fixed order, and the command. No service's own markup."""

from dataclasses import dataclass
from typing import Any

from lbctl.model.entry import Kind, Severity
from lbctl.model.units import percent
from lbctl.notify.port import Message
from lbctl.notify.words import WORDS

_GLYPHS = {
    **dict.fromkeys(map(str, WORDS["rollback"]), "\u21a9"),
    **dict.fromkeys(map(str, WORDS["held"] | WORDS["paused"]), "\u23f8"),
    str(Kind.RELEASE_FINISHED): "\u2714",
    str(Kind.RELEASE_CANCELLED): "\u2716",
}
UNPROVEN = "unproven"
"""The end of a release that left a pool which somebody may still use."""
_HALF = "\u25d0"
_PAGED = "\u203c"
_OTHER = "\u25b6"
"""What stands in front of a title, so that a column of them can be skimmed."""


@dataclass(frozen=True, slots=True)
class Line:
    """One labelled line. `is_link`: the value is an address somebody gave, that people may want to open."""

    label: str
    value: str
    is_link: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """What to show. Every text is plain: receivers escape it as their service needs."""

    title: str
    lines: tuple[Line, ...]
    command: str
    footer: str


def card(message: Message) -> Card:
    """Return the card of an alert."""
    data = message.data
    lines = [Line("What", data["summary"])]
    lines += [Line("Versions", way) for way in _versions(data)]
    if data.get("reason") and data["reason"] not in data["summary"]:
        lines.append(Line("Why", data["reason"]))
    lines += [
        Line(label, data[key])
        for label, key in (("Numbers", "evidence"), ("Does", "action"), ("By", "actor"), ("After", "after"))
        if data.get(key)
    ]
    if data["next"]:
        lines.append(Line("Next", data["next"]))
    builds = dict.fromkeys(one["build"] for one in data.get("members", ()) if one.get("build"))
    lines += [Line("Build", build, is_link=_opens(build)) for build in builds]
    footer = f"{data['host']}, lbctl {data['lbctl']}, {message.wall}"
    return Card(_title(message), tuple(lines), data["command"], footer)


def _title(message: Message) -> str:
    data = message.data
    unproven = data.get("numbers", {}).get("outcome") == UNPROVEN
    glyph = _PAGED if data["severity"] == Severity.PAGE else _GLYPHS.get(message.kind, _OTHER)
    glyph = _HALF if unproven else glyph
    whose = data.get("unit") or data.get("service") or "lbctl"
    number = f" release {data['release']}" if data.get("release") else ""
    split = f", {percent(data['share_bp'])} on {data['to']}" if "share_bp" in data else ""
    what = message.kind.replace(".", " ").replace("_", " ") + f", {UNPROVEN}" * unproven
    return f"{glyph} {whose}{number}: {what}{split}"


def _versions(data: dict[str, Any]) -> list[str]:
    return [
        f"{one['service']} {one['version_from']} ({one['from']}) \u2192 {one['version_to']} ({one['to']})"
        for one in data.get("members", ())
    ]


def _opens(build: str) -> bool:
    """Whether a build's name is an address that may be made a link: as it stands, without anything to hide in it."""
    safe = build.isascii() and build.isprintable() and not set(build) & set(" <>|\"'`()[]{}\\^@")
    return safe and build.startswith(("https://", "http://"))
