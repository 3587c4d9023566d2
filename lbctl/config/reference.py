"""docs/reference/config.md, made from the schema: `python -m lbctl.config.reference > docs/reference/config.md`."""

import sys
from collections.abc import Iterator

from lbctl.config.composite import Items, Key, Named, Section
from lbctl.config.hostkinds import ServerKind
from lbctl.config.kinds import Kind
from lbctl.config.schema import ROOT

HEAD = """# Config

Made by `python -m lbctl.config.reference`; do not edit.

One YAML file. Durations and shares are texts with units: `500ms`, `2m`, `1h30m`, `25%`. `yes`, `012`, `1_000` and
dates are texts, not booleans or numbers. Keys appear once; anchors work, merge keys and tags do not. Relative paths
start at the directory of the file. `lbctl config validate FILE` prints every fault with line and column,
`lbctl config show` the config with all defaults, `lbctl config schema` a JSON Schema for editors.
"""
TABLE = "| key | value | default | meaning |\n|---|---|---|---|"


def reference() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_tables("", ROOT), _later()]) + "\n"


def _tables(path: str, section: Section) -> Iterator[str]:
    yield f"\n## {f'`{path}`' if path else 'Top level'}\n\n{TABLE}"
    built = {name: key for name, key in section.keys.items() if key.built}
    for name, key in built.items():
        yield f"| `{name}` | {_words(key.kind)} | {_default(key)} | {key.doc} |"
    for name, key in built.items():
        below, inner = _below(f"{path}.{name}" if path else name, key.kind)
        if inner is not None:
            yield from _tables(below, inner)


def _below(path: str, kind: Kind) -> tuple[str, Section | None]:
    match kind:
        case Section():
            return path, kind
        case Named(value=value):
            return _below(f"{path}.NAME", value)
        case Items(item=item):
            return _below(f"{path}[]", item)
        case ServerKind(section=section):
            return path, section
        case _:
            return path, None


def _words(kind: Kind) -> str:
    return kind.words.replace("|", "\\|").replace("`", "")


def _default(key: Key) -> str:
    if key.required:
        return "required"
    if key.default_words:
        return key.default_words
    if key.default in (None, ()) or key.whole:
        return "-"
    shown = key.kind.show(key.default)
    text = f"[{', '.join(map(str, shown))}]" if isinstance(shown, list) else str(shown)
    return f"`{text.lower() if isinstance(shown, bool) else text}`"


def _later() -> str:
    names = ", ".join(f"`{name}`" for name in _absent("", ROOT))
    return f"\n## Not available in this version\n\nThese keys are known and refused: {names}."


def _absent(path: str, section: Section) -> Iterator[str]:
    for name, key in section.keys.items():
        full = f"{path}.{name}" if path else name
        if not key.built:
            yield full
        below, inner = _below(full, key.kind)
        if inner is not None:
            yield from _absent(below, inner)


if __name__ == "__main__":
    sys.stdout.write(reference())
