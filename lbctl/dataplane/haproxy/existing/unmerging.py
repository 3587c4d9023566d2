"""lbctl's own lines taken out of a config that has them, so that it can be merged anew with another lbctl.yaml. Pure.

Every line keeps its number: what is said of the config must name the lines of the file that people have before them.
"""

from lbctl.model.errors import Garbled

MARK = "# lbctl:"
BEGIN, END, WAS = f"{MARK} begin", f"{MARK} end", f"{MARK} was: "
GONE = f"{MARK} taken out"
"""Stands where a line was until the text is merged anew, and is never printed."""


def unmerged(text: str) -> str:
    """Return `text` with what stands between the marks taken out, and the commented lines as they were.

    Raises:
        Garbled: a mark stands alone, so that nobody knows which lines are lbctl's; the text names its line.
    """
    lines = text.split("\n")
    begun: int | None = None
    for at, line in enumerate(lines):
        mark = line.strip()
        if mark == (END if begun is None else BEGIN):
            raise _alone(at, mark)
        if mark == BEGIN:
            begun = at
        elif mark == END and begun is not None:
            # A section of lbctl's own, whose mark is not indented, brought the empty line above it.
            above = lines[begun] == BEGIN and lines[begun - 1 : begun] == [""]
            first = begun - 1 if above else begun
            lines[first : at + 1] = [GONE] * (at + 1 - first)
            begun = None
        elif mark.startswith(WAS) and begun is None:
            lines[at] = f"    {mark.removeprefix(WAS)}"
    if begun is not None:
        raise _alone(begun, BEGIN)
    return "\n".join(lines)


def _alone(at: int, mark: str) -> Garbled:
    return Garbled(f"line {at + 1}: `{mark}` stands alone: put its other half back, or take lbctl's lines out by hand")
