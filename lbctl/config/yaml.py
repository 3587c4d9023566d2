"""Strict YAML: what is written is what is meant, and every value knows its place.

YAML 1.2 core scalars only: `yes`, `012`, `0x1F`, `1_000`, `12:30:00` and dates are text, never booleans, numbers or
times. Refused with line and column: duplicate keys, merge keys, tags, keys that are not text, tabs as indentation,
several documents, deep nesting, aliases that grow, control characters, and what is not UTF-8. JSON is YAML.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from lbctl.config.fault import Fault, Mark
from lbctl.config.nodes import Entry, Malformed, Mapping, Node, Scalar, Sequence, core_scalar
from lbctl.config.source import decoded

DEPTH_MAX = 32
NODES_MAX = 50_000

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def read(raw: bytes) -> tuple[Node, list[Fault]]:
    """Return the only document and the faults that did not stop reading.

    Raises:
        Malformed: the text cannot be read to its end.
    """
    text = decoded(raw)
    composer = _Composer(text)
    return composer.document(), composer.faults


@dataclass(slots=True)
class _Open:
    """A list or mapping that has not ended yet. `size` and `height` count what is in it, aliases expanded."""

    mark: Mark
    anchor: str | None
    keys: dict[str, Mark] | None
    items: list[Any] = field(default_factory=list)
    key: tuple[str, Mark] | None = None
    key_next: bool = True
    size: int = 1
    height: int = 0


class _Composer:
    """Builds nodes from parser events, without recursion, so that no nesting can exhaust the stack."""

    def __init__(self, text: str) -> None:
        self.faults: list[Fault] = []
        self._text = text
        self._lines = text.count("\n") + (not text.endswith("\n"))
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Node, int, int]] = {}
        self._root: Node | None = None
        self._count = 0

    def document(self) -> Node:
        documents = 0
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise Malformed(self._mark(event.start_mark), "a second document", "keep one document in a file")
            elif isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                self._take(event)
        if self._root is None:
            raise Malformed(Mark(), "the config is empty", "start from config/one-service.yaml")
        return self._root

    def _events(self) -> Iterator[Any]:
        loader = yaml.SafeLoader(self._text)
        try:
            while loader.check_event():
                yield loader.get_event()  # type: ignore[no-untyped-call]
        except yaml.MarkedYAMLError as error:
            raise self._malformed(error) from None
        except (ValueError, OverflowError, IndexError) as error:
            # The parser lets these out for escapes and directives with numbers that are too large.
            raise Malformed(self._mark(loader.get_mark()), f"not YAML: {error}", "correct this line") from None
        finally:
            loader.dispose()

    def _malformed(self, error: yaml.MarkedYAMLError) -> Malformed:
        mark = self._mark(error.problem_mark)
        if "'\\t'" in (error.problem or ""):
            return Malformed(mark, "a tab", "use spaces")
        what = " ".join(str(part) for part in (error.context, error.problem) if part)
        return Malformed(mark, what, "correct the YAML here or in the line before")

    def _mark(self, mark: Any) -> Mark:
        """Return the place; the end of a text that ends with a line break is shown at its last line."""
        if mark is None:
            return Mark()
        if mark.line >= self._lines:
            return Mark(max(self._lines, 1), 1)
        return Mark(mark.line + 1, mark.column + 1)

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.CollectionEndEvent):
            self._close()
            return
        mark = self._mark(event.start_mark)
        self._count += 1
        if self._count > NODES_MAX:
            raise Malformed(mark, f"more than {NODES_MAX} values", "give the file that was meant")
        if getattr(event, "tag", None) is not None:
            self._fault(mark, f"the tag {event.tag[:60]}", "leave tags out; quote what is text")
        match event:
            case yaml.AliasEvent():
                self._alias(str(event.anchor), mark)
            case yaml.ScalarEvent():
                self._scalar(event, mark)
            case _:
                self._start(event, mark)

    def _fault(self, mark: Mark, what: str, then: str) -> None:
        self.faults.append(Fault(mark, self._path(), what, then))

    def _path(self) -> str:
        """Return where in the config the text read just now belongs."""
        path = ""
        for frame in self._open:
            if frame.keys is None:
                path += f"[{len(frame.items)}]"
            elif frame.key is not None and not frame.key_next:
                path += f".{frame.key[0][:64]}" if path else frame.key[0][:64]
        return path

    def _start(self, event: Any, mark: Mark) -> None:
        if len(self._open) >= DEPTH_MAX:
            raise Malformed(mark, f"nested deeper than {DEPTH_MAX} levels", "give the file that was meant")
        self._key_is_text(mark)
        self._open.append(_Open(mark, event.anchor, {} if isinstance(event, yaml.MappingStartEvent) else None))

    def _key_is_text(self, mark: Mark) -> None:
        if self._open and self._open[-1].keys is not None and self._open[-1].key_next:
            raise Malformed(mark, "a key that is not text", "write a plain word before the colon")

    def _alias(self, anchor: str, mark: Mark) -> None:
        self._key_is_text(mark)
        if anchor not in self._anchors:
            raise Malformed(mark, f"the alias *{anchor[:60]} has no anchor before it", "write the value out")
        node, size, height = self._anchors[anchor]
        self._count += size - 1
        if self._count > NODES_MAX or len(self._open) + height > DEPTH_MAX:
            raise Malformed(mark, f"the alias *{anchor[:60]} makes the config too large", "write the value out")
        self._put(node, None, size, height)

    def _scalar(self, event: Any, mark: Mark) -> None:
        if _CONTROL.search(event.value):
            self._fault(mark, "a control character in a text", "delete it")
            # Half of a surrogate pair cannot be encoded: what looks at the text next must not fail on it.
            event.value = _CONTROL.sub("\ufffd", event.value)
        text: str = event.value
        value = core_scalar(text) if event.implicit[0] and event.style is None else text
        top = self._open[-1] if self._open else None
        if top is not None and top.keys is not None and top.key_next:
            self._key(top, event, value, mark)
        else:
            self._put(Scalar(value, text, mark), event.anchor, 1, 0)

    def _key(self, top: _Open, event: Any, value: object, mark: Mark) -> None:
        text: str = event.value
        if text == "<<" and event.style is None:
            self._fault(mark, "the merge key <<", "write the keys out")
        elif not isinstance(value, str):
            self._fault(mark, f"the key {text[:60] or 'nothing'} is not text", f'write it in quotes: "{text[:60]}"')
        assert top.keys is not None
        first = top.keys.setdefault(text, mark)
        if first is not mark:
            where = f"it is already in line {first.line}, column {first.column}"
            self._fault(mark, f"the key {text[:60]!r} twice; {where}", "keep one of them")
        top.key, top.key_next = (text, mark), False

    def _put(self, node: Node, anchor: str | None, size: int, height: int) -> None:
        if anchor is not None:
            self._anchors[anchor] = (node, size, height)
        if not self._open:
            self._root = node
            return
        top = self._open[-1]
        top.size += size
        top.height = max(top.height, height + 1)
        if top.keys is None:
            top.items.append(node)
            return
        assert top.key is not None
        text, mark = top.key
        if top.keys[text] is mark:
            top.items.append(Entry(text, mark, node))
        top.key_next = True

    def _close(self) -> None:
        done = self._open.pop()
        node: Node = Sequence(tuple(done.items), done.mark)
        if done.keys is not None:
            node = Mapping(tuple(done.items), done.mark)
        self._put(node, done.anchor, done.size, done.height)
