"""A small writer of line charts as SVG: panels over one time axis, legible on light and dark, with a title for readers
that cannot see. No library, no script, no font of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from math import log10

WIDTH, LEFT, RIGHT, TOP, GAP, BOTTOM = 760, 74, 16, 58, 40, 46
_STYLE = """
text{font:13px system-ui,sans-serif;fill:#1f2328} .title{font-size:16px;font-weight:600} .small{font-size:12px}
.paper{fill:#ffffff} .frame{fill:none;stroke:#8c959f} .grid{stroke:#d8dee4}
.candidate{stroke:#bc4c00} .active{stroke:#0969da} .odds{stroke:#1f2328} .other{stroke:#8250df}
.limit{stroke:#cf222e;stroke-dasharray:6 4} .caution{stroke:#9a6700;stroke-dasharray:2 4}
.onset{stroke:#57606a;stroke-dasharray:4 4} .line{fill:none;stroke-width:1.8} .held{fill:#d4a72c;fill-opacity:.25}
text.candidate{fill:#bc4c00;stroke:none} text.active{fill:#0969da;stroke:none} text.limit{fill:#cf222e;stroke:none}
text.caution{fill:#9a6700;stroke:none} text.other{fill:#8250df;stroke:none} text.odds{stroke:none}
text.onset{fill:#57606a;stroke:none} .dot{fill:#cf222e}
@media (prefers-color-scheme:dark){text{fill:#e6edf3} .paper{fill:#0d1117} .frame{stroke:#6e7681} .grid{stroke:#30363d}
.candidate{stroke:#ffa657} .active{stroke:#79c0ff} .odds{stroke:#e6edf3} .other{stroke:#d2a8ff} .limit{stroke:#ff7b72}
.caution{stroke:#e3b341} .onset{stroke:#8b949e} text.candidate{fill:#ffa657} text.active{fill:#79c0ff}
text.limit{fill:#ff7b72} text.caution{fill:#e3b341} text.other{fill:#d2a8ff} text.onset{fill:#8b949e} .dot{fill:#ff7b72}
text.odds{fill:#e6edf3}}
""".strip()


@dataclass(frozen=True)
class Scale:
    """From values to pixels; `log` for powers of ten."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value, held inside the scale."""
        kept = min(max(value, self.low), self.high)
        if self.log:
            part = (log10(kept) - log10(self.low)) / (log10(self.high) - log10(self.low))
        else:
            part = (kept - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)


@dataclass(frozen=True)
class Line:
    """One curve: its class (colour), its points, and its name, written at `label_at` (to the left of it: `end`)."""

    kind: str
    points: Sequence[tuple[float, float]]
    label: str = ""
    label_at: tuple[float, float] = (0.0, 0.0)
    anchor: str = "start"


@dataclass(frozen=True)
class Panel:
    """One chart: axis label with unit, its ticks as (value, text), curves, and level lines as (class, value, text)."""

    label: str
    ticks: Sequence[tuple[float, str]]
    lines: Sequence[Line]
    levels: Sequence[tuple[str, float, str]] = ()
    log: bool = False
    height: int = 140


@dataclass(frozen=True)
class Mark:
    """An upright line with words beside it, `end`: to the left."""

    at_s: float
    text: str
    anchor: str = "start"


@dataclass(frozen=True)
class Chart:
    """Panels over one time axis. `held`: spans to shade; `dots`: (panel, second, value)."""

    title: str
    text: str
    start_s: float
    end_s: float
    ticks_s: Sequence[float]
    panels: Sequence[Panel]
    marks: Sequence[Mark] = ()
    held: Sequence[tuple[float, float]] = ()
    dots: Sequence[tuple[int, float, float]] = ()


def drawn(chart: Chart) -> str:
    """Return the chart as an SVG document."""
    tops, y = [], TOP
    for panel in chart.panels:
        tops.append(y)
        y += panel.height + GAP
    height = y - GAP + BOTTOM
    time = Scale(chart.start_s, chart.end_s, LEFT, WIDTH - RIGHT)
    body = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" aria-labelledby="t d">',
        f'<title id="t">{escape(chart.title)}</title>',
        f'<desc id="d">{escape(chart.text)}</desc>',
        f"<style>{_STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        _text(LEFT, 26, chart.title, "title"),
    ]
    for number, (top, panel) in enumerate(zip(tops, chart.panels, strict=True)):
        body += _panel(panel, top, time, chart, number)
    bottom = tops[-1] + chart.panels[-1].height
    body += [_text(time.at(tick), bottom + 18, f"{tick:g}", "small", "middle") for tick in chart.ticks_s]
    body.append(_text((LEFT + WIDTH - RIGHT) / 2, bottom + 38, "seconds", "small", "middle"))
    return "\n".join([*body, "</svg>", ""])


def _panel(panel: Panel, top: int, time: Scale, chart: Chart, number: int) -> Iterable[str]:
    bottom = top + panel.height
    values = Scale(panel.ticks[0][0], panel.ticks[-1][0], bottom, top, panel.log)
    for start, end in chart.held:
        x = time.at(start)
        yield f'<rect class="held" x="{x:.1f}" y="{top}" width="{time.at(end) - x:.1f}" height="{panel.height}"/>'
    for value, text in panel.ticks:
        y = values.at(value)
        yield _rule("grid", LEFT, y, WIDTH - RIGHT, y)
        yield _text(LEFT - 6, y + 4, text, "small", "end")
    yield f'<rect class="frame" x="{LEFT}" y="{top}" width="{WIDTH - LEFT - RIGHT}" height="{panel.height}"/>'
    yield _text(LEFT, top - 8, panel.label, "small")
    for kind, value, text in panel.levels:
        yield _rule(kind, LEFT, values.at(value), WIDTH - RIGHT, values.at(value))
        yield _text(LEFT + 6, values.at(value) - 5, text, f"small {kind}")
    for mark in chart.marks:
        x = time.at(mark.at_s)
        yield _rule("onset", x, top, x, bottom)
        if number == 0:
            yield _text(x + (5 if mark.anchor == "start" else -5), top + 16, mark.text, "small onset", mark.anchor)
    for line in panel.lines:
        shown = [(x, y) for x, y in line.points if chart.start_s <= x <= chart.end_s]
        points = " ".join(f"{time.at(x):.1f},{values.at(y):.1f}" for x, y in shown)
        yield f'<polyline class="line {line.kind}" points="{points}"/>'
        if line.label:
            x, y = time.at(line.label_at[0]), values.at(line.label_at[1])
            yield _text(x, y, line.label, f"small {line.kind}", line.anchor)
    for place, x, y in chart.dots:
        if place == number:
            yield f'<circle class="dot" cx="{time.at(x):.1f}" cy="{values.at(y):.1f}" r="5"/>'


def _rule(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str, anchor: str = "start") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
