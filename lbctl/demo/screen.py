"""What the demo prints: one line per event, a live line on a terminal, and the table at the end."""

import sys
import time
from typing import Any

from lbctl.model.units import percent, seconds

BAR = 30


class Screen:
    """Lines go to stdout, or nowhere when `quiet`. The live line is only drawn on a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._is_live = not quiet and sys.stdout.isatty()
        self._began = time.monotonic()
        self._drawn = False

    def say(self, text: str) -> None:
        """Print one line with the time since the start."""
        if self._quiet:
            return
        self._wipe()
        print(f"{time.monotonic() - self._began:6.1f}s  {text}", flush=True)

    def event(self, event: dict[str, Any]) -> None:
        """Print one event of the daemon."""
        self.say(f"{event['kind']:<18} {event['text']}")

    def live(self, status: dict[str, Any]) -> None:
        """Redraw the live line."""
        if not self._is_live or status["phase"] is None:
            return
        share = status["observed_share_bp"] or 0
        filled = round(BAR * share / 10_000)
        bar = "█" * filled + "·" * (BAR - filled)
        self._wipe()
        sys.stdout.write(f"        {status['phase']:<12} {bar} {percent(share):>6} on {status['candidate'] or '-'}")
        sys.stdout.flush()
        self._drawn = True

    def _wipe(self) -> None:
        if self._drawn:
            sys.stdout.write("\r\x1b[2K")
            self._drawn = False


def table(played: dict[str, Any]) -> str:
    """Return the table of what happened to one service."""
    return _told(
        played,
        {
            "requests": f"{played['requests']}",
            "failed requests": f"{played['failed_requests']}   (lost, cut, refused or 5xx that no server sent)",
            "errors the broken pool sent": f"{played['injected_errors_seen']}",
            "sessions that changed colour in the good release": str(
                played["sessions_that_changed_colour_in_the_release"]
            ),
            "first bad answer ordered → share read back at 0": f"{played['rollback_ms']:.0f} ms",
        },
    )


def story_table(played: dict[str, Any]) -> str:
    """Return the table of what happened to both services."""
    return _told(
        played,
        {
            "requests": f"{played['requests']}",
            "failed requests": f"{played['failed_requests']}   (lost, cut, refused or 5xx that no server sent)",
            "calls storefront → accounts": f"{played['calls']}",
            "mismatched calls": f"{played['mismatched_calls']}   (answered by a version the caller cannot speak with)",
            "background calls of idle pools": f"{played['background_calls_refused']}   (refused, as they must be)",
            "sessions broken": f"{played['sessions_broken']} of {played['sessions_total']}",
            "WebSockets and transactions cut": f"{played['websockets_cut']} and {played['transactions_cut']}",
            "accounts 2.0.0 was": f"{played['waited_for']}; it got {played['requests_of_the_waiting']} requests",
            "errors the broken accounts sent": f"{played['injected_errors_seen']}; blamed: {played['blamed']}",
            "first bad answer ordered → share read back at 0": f"{played['rollback_ms']:.0f} ms",
            "certified as unused, then stopped": ", ".join(map(_proof, played["certificates"].items())) or "nothing",
        },
    )


def _proof(item: tuple[str, dict[str, Any]]) -> str:
    service, found = item
    return f"old {service} after {seconds(found['unused_since_ms'])} ({found['confidence']})"


def _told(played: dict[str, Any], facts: dict[str, str]) -> str:
    rows = [("release", "from → to", "version", "end", "peak", "by")]
    rows += [
        (
            release["id"],
            f"{release['from']} → {release['to']}",
            release["version"],
            release["phase"],
            percent(release["peak_bp"]),
            release["back_by"] or "-",
        )
        for release in played["releases"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["", *("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows), ""]
    width = max(len(name) for name in facts)
    lines += [f"{name:<{width}}  {value}" for name, value in facts.items()]
    return "\n".join(line.rstrip() for line in lines)
