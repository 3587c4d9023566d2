"""HAProxy's config cut into sections: every line with its place, conditions decided, nothing thrown away silently."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lbctl.dataplane.haproxy.existing.conditions import holds
from lbctl.dataplane.haproxy.existing.words import Reader, Unreadable

PROXIES = frozenset({"frontend", "backend", "listen"})
OTHERS = frozenset(
    {
        "global", "defaults", "peers", "resolvers", "userlist", "mailers", "program", "http-errors", "cache", "ring",
        "log-forward", "log-profile", "fcgi-app", "crt-store", "traces", "acme", "dynamic-update", "namespace_list",
    }
)  # fmt: skip
LINES_MAX = 200_000
DEPTH_MAX = 15


@dataclass(frozen=True, slots=True)
class Place:
    """Where it stands."""

    file: str
    line: int

    def __str__(self) -> str:
        """As `haproxy.cfg:12`."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Line:
    """One line that counts: its words, `no` and `default` before a keyword kept as words."""

    place: Place
    words: tuple[str, ...]

    @property
    def key(self) -> str:
        """The first word."""
        return self.words[0]

    @property
    def rest(self) -> tuple[str, ...]:
        """The words behind it."""
        return self.words[1:]


@dataclass(slots=True)
class Section:
    """One section. `parent` is the defaults section it inherits from."""

    kind: str
    name: str
    place: Place
    lines: list[Line] = field(default_factory=list)
    parent: "Section | None" = None
    comes_from: str = ""
    """The name behind `from`."""

    def own(self, *keys: str) -> list[Line]:
        """Return the section's own lines with one of these first words."""
        return [line for line in self.lines if line.key in keys]

    def inherited(self, *keys: str) -> list[Line]:
        """Return its own lines with these first words and those of its defaults, its own last."""
        above = [] if self.parent is None else self.parent.inherited(*keys)
        return [*above, *self.own(*keys)]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person must know, at its place."""

    place: Place
    text: str


@dataclass(slots=True)
class Document:
    """One HAProxy's whole config."""

    sections: list[Section] = field(default_factory=list)
    not_understood: list[Remark] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    unknown_variables: dict[str, Place] = field(default_factory=dict)
    maps: dict[str, frozenset[str]] = field(default_factory=dict)
    """What the map files say from which backends are chosen, by path: those that could be read."""

    def of(self, *kinds: str) -> list[Section]:
        """Return the sections of these kinds."""
        return [section for section in self.sections if section.kind in kinds]


def read(
    files: Sequence[tuple[str, str]], variables: Mapping[str, str] = {}, assumed: Mapping[str, bool] = {}
) -> Document:
    """Return what `files`, (name, text) in HAProxy's order, say together.

    `variables` is the environment of HAProxy, not ours; `assumed` decides conditions that only HAProxy can. A branch
    nobody can decide is left out and listed. Never raises: what cannot be read is listed.
    """
    reader = _Cutter(variables, assumed)
    for name, text in files:
        reader.file(name, text)
    return reader.document


@dataclass(slots=True)
class _Branch:
    """One open `.if`: whether its present branch counts, and whether one before it did."""

    place: Place
    taking: bool
    decided: bool
    unknown: bool = False


class _Cutter:
    def __init__(self, variables: Mapping[str, str], assumed: Mapping[str, bool]) -> None:
        self.document = Document()
        self._reader = Reader(variables)
        self._assumed = assumed
        self._branches: list[_Branch] = []
        self._now: Section | None = None
        self._defaults: Section | None = None

    def file(self, name: str, text: str) -> None:
        lines = text.split("\n")
        for number, raw in enumerate(lines[:LINES_MAX], start=1):
            self._line(Place(name, number), raw)
        if len(lines) > LINES_MAX:
            self._doubt(Place(name, LINES_MAX), f"nothing behind line {LINES_MAX} was read")
        for branch in self._branches:
            self._doubt(branch.place, "this `.if` has no `.endif`")
        self._branches.clear()
        self.document.variables = dict(self._reader.variables)

    def _line(self, place: Place, raw: str) -> None:
        stripped = raw.strip()
        if stripped.startswith("."):
            self._directive(place, stripped)
            return
        if not all(branch.taking for branch in self._branches):
            return
        known = set(self._reader.unknown)
        try:
            words = self._reader.words(raw)
        except Unreadable as error:
            self._doubt(place, f"{error}: `{stripped[:80]}`")
            return
        for name in self._reader.unknown - known:
            self.document.unknown_variables.setdefault(name, place)
        if words:
            self._place_words(Line(place, tuple(words)))

    def _place_words(self, line: Line) -> None:
        if line.key in PROXIES | OTHERS:
            self._now = self._section(line)
            self.document.sections.append(self._now)
        elif self._now is None:
            self._doubt(line.place, f"`{line.key}` stands before any section")
        else:
            if self._now.kind == "global":
                self._environment(line)
            self._now.lines.append(line)

    def _section(self, line: Line) -> Section:
        names = [*line.rest]
        comes_from = names[names.index("from") + 1] if "from" in names[:-1] else ""
        name = names[0] if names and names[0] != "from" else ""
        found = Section(line.key, name, line.place, comes_from=comes_from)
        if line.key == "defaults":
            found.parent = self._named(found) if comes_from else None
            self._defaults = found
        elif line.key in PROXIES:
            found.parent = self._named(found) if comes_from else self._defaults
            if len([one for one in names if one not in {"from", comes_from, name}]) > 0:
                self._doubt(line.place, f"an address behind the name of {line.key} {name}: write it as a `bind` line")
        return found

    def _named(self, section: Section) -> Section | None:
        for one in reversed(self.document.of("defaults")):
            if one.name == section.comes_from:
                return one
        self._doubt(section.place, f"there is no `defaults {section.comes_from}` before this line")
        return None

    def _environment(self, line: Line) -> None:
        variables = self._reader.variables
        match line.words:
            case ("setenv", name, *value):
                variables[name] = " ".join(value)
            case ("presetenv", name, *value):
                variables.setdefault(name, " ".join(value))
            case ("unsetenv", *names):
                for name in names:
                    variables.pop(name, None)
            case ("resetenv", *names):
                for name in set(variables) - set(names):
                    variables.pop(name)
            case _:
                pass

    # ---- conditions

    def _directive(self, place: Place, text: str) -> None:
        word, _, condition = text.partition(" ")
        condition = condition.split("#", 1)[0].strip()
        if word == ".if":
            self._open(place, condition)
        elif word in {".elif", ".else", ".endif"}:
            self._go_on(place, word, condition)
        elif word not in {".notice", ".warning", ".alert", ".diag"}:
            self._doubt(place, f"`{word}` is no directive that lbctl knows")
        elif word == ".alert" and all(one.taking for one in self._branches):
            self._doubt(place, "HAProxy ends here with an `.alert`: what follows was read all the same")

    def _open(self, place: Place, condition: str) -> None:
        if len(self._branches) >= DEPTH_MAX:
            self._doubt(place, f"more than {DEPTH_MAX} `.if` inside one another")
        outer = all(branch.taking for branch in self._branches)
        branch = _Branch(place, taking=False, decided=not outer)
        self._branches.append(branch)
        self._decide(branch, place, condition)

    def _go_on(self, place: Place, word: str, condition: str) -> None:
        if not self._branches:
            self._doubt(place, f"`{word}` without `.if`")
        elif word == ".endif":
            self._branches.pop()
        else:
            self._decide(self._branches[-1], place, condition if word == ".elif" else "true")

    def _decide(self, branch: _Branch, place: Place, condition: str) -> None:
        branch.taking = False
        if branch.decided or branch.unknown:
            if branch.unknown:
                self._doubt(place, "this branch was left out, too: the one before it could not be decided")
            return
        known = holds(condition, self._reader.variables, self._assumed)
        if known is None:
            branch.unknown = True
            how = f"`haproxy -cc '{condition}'; echo $?` says 0 where it holds"
            self._doubt(place, f"left out: only HAProxy knows whether `{condition}` holds; {how}; then name it by "
                        f"--assume '{condition}=yes' (or =no)")  # fmt: skip
        branch.taking = branch.decided = bool(known)

    def _doubt(self, place: Place, text: str) -> None:
        self.document.not_understood.append(Remark(place, text))


def has_option(section: Section, *names: str) -> bool:
    """Whether the option of these words is on, over all defaults."""
    state = False
    for line in section.inherited("option", "no", "default"):
        words = line.words[line.words.index("option") + 1 :] if "option" in line.words[:2] else ()
        if words[: len(names)] == names:
            state = line.key == "option"
    return state
