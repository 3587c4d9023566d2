"""Words, columns and one-line forms that several screens share."""

from collections.abc import Sequence
from typing import Any

from lbctl.model.units import percent, seconds

Json = dict[str, Any]
ENDED = frozenset({None, "finished", "rolled_back", "cancelled"})
GLYPHS = {
    "preflight": "◐",
    "awaiting_approval": "◐",
    "shifting": "●",
    "baking": "●",
    "draining": "●",
    "retiring": "●",
    "finished": "●",
    "rolling_back": "✖",
    "rolled_back": "✖",
    "cancelled": "✖",
}


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the rows as aligned lines; the first is the heading."""
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def phase_words(phase: str | None) -> str:
    """Return glyph and word of a phase."""
    return f"{GLYPHS.get(phase, '?')} {phase.replace('_', ' ')}" if phase else "- no release"


def ended_words(view: Json) -> str:
    """Return how a release ended; one whose old pool is not certified is not the same as one whose is."""
    return "◐ finished, unproven" if view.get("result") == "unproven" else phase_words(view["phase"])


def clock(wall: str | None) -> str:
    """Return the time of day of a wall time, UTC."""
    return f"{wall[11:19]}Z" if wall and len(wall) >= 19 else "-"


def moment(wall: str | None) -> str:
    """Return date and time of a wall time, UTC."""
    return f"{wall[:10]} {wall[11:19]}Z" if wall and len(wall) >= 19 else "-"


def share(share_bp: int | None) -> str:
    """Return a share, `?` if it is not known."""
    return "?" if share_bp is None else percent(share_bp)


def event_line(event: Json) -> str:
    """Return an event on one line."""
    mark = {"page": "!", "warning": "◐"}.get(event["severity"], " ")
    about = " ".join(part for part in (event["service"], event["release"]) if part) or "-"
    actor = f"  [{event['actor']}]" if event["actor"] and event["actor"] not in event["text"] else ""
    return f"{clock(event['wall'])} {mark} {about:<12} {event['kind']:<18} {event['text']}{actor}"


def figures_line(data: Json) -> list[str]:
    """Return the numbers of a decision on one line; no line for one that was not made by numbers."""
    if "odds" not in data:
        return []
    total, bad = data["candidate_total"], data["candidate_bad"]
    true = f"{100 * data['candidate_low']:.2f}-{100 * data['candidate_high']:.2f} %"
    return [
        f"candidate {bad}/{total} bad (true ratio {true} at 95 %), active {data['active_bad']}/{data['active_total']}, "
        f"odds {data['odds']:.3g}:1 of {data['odds_limit']:.0f}:1, over {data['since_s']:.1f} s"
    ]


def waiting_line(line: Json) -> str:
    """Return one reason to wait on one line."""
    parts = [f"waits {seconds(line['since_ms'])}: {line['what']}"]
    parts += [f"needs {line['needs']}"] if line["needs"] else []
    return "; ".join(parts)
