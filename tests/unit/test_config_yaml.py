"""Strict YAML: every refusal has its line and column, nothing hostile takes long, and JSON is welcome."""

import time

import pytest

from lbctl.config.fault import Fault, Mark
from lbctl.config.nodes import Malformed, Mapping, Node, Scalar, Sequence, core_scalar
from lbctl.config.yaml import read


def plain(node: Node) -> object:
    match node:
        case Scalar(value=value):
            return value
        case Sequence(items=items):
            return [plain(item) for item in items]
        case Mapping(entries=entries):
            return {entry.key: plain(entry.value) for entry in entries}


def faults(raw: bytes) -> list[Fault]:
    try:
        return read(raw)[1]
    except Malformed as error:
        return [error.fault]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"), ("on", "on"), ("NO", "NO"), ("012", "012"), ("0o17", "0o17"), ("0x1F", "0x1F"),
        ("1_000", "1_000"), ("12:30:00", "12:30:00"), ("2026-11-24", "2026-11-24"), ("+1", "+1"), (".inf", ".inf"),
        ("true", True), ("False", False), ("null", None), ("~", None), ("", None), ("0", 0), ("-7", -7), ("1.5", 1.5),
        ("1e3", 1000.0), ("9" * 5000, "9" * 5000),
    ],
)  # fmt: skip
def test_only_core_scalars_have_a_meaning_besides_text(text: str, value: object) -> None:
    assert core_scalar(text) == value
    assert type(core_scalar(text)) is type(value)


@pytest.mark.parametrize(
    ("raw", "line", "column", "what"),
    [
        (b"a: 1\nb:\n  c: 1\n  c: 2\n", 4, 3, "the key 'c' twice; it is already in line 3, column 3"),
        (b"a: &x {b: 1}\nc:\n  <<: *x\n", 3, 3, "the merge key <<"),
        (b"a: 1\n8080: x\n", 2, 1, "the key 8080 is not text"),
        (b"a: 1\ntrue: x\n", 2, 1, "the key true is not text"),
        (b"? [a]\n: b\n", 1, 3, "a key that is not text"),
        (b"a: !!python/name:os.system x\n", 1, 4, "the tag tag:yaml.org,2002:python/name:os.system"),
        (b"a:\n\tb: 1\n", 2, 1, "a tab as indentation"),
        (b"a: 1\nb:\t- 1\n", 2, 3, "a tab"),
        (b"a: 1\n---\nb: 2\n", 2, 1, "a second document"),
        (b"a: 1\nb: x\x00y\n", 2, 5, "a control or invisible character"),
        (b"a: 1\nb: x\xe2\x80\xaey\n", 2, 5, "a control or invisible character"),
        (b"a: 1\nb: \xff\n", 2, 4, "not UTF-8"),
        (b'a: "\\u0000"\n', 1, 4, "a control character in a text"),
        (b'a: "\\ud800"\n', 1, 4, "a control character in a text"),
        (b"a: *nobody\n", 1, 4, "the alias *nobody has no anchor before it"),
        (b"a: &a [*a]\n", 1, 8, "the alias *a has no anchor before it"),
        (b"", 1, 1, "the config is empty"),
        (b"# nothing\n", 1, 1, "the config is empty"),
        (b"a: [1, 2\n", 1, 1, "while parsing a flow sequence expected ',' or ']', but got '<stream end>'"),
    ],
)
def test_what_is_not_strict_yaml_is_refused_at_its_place(raw: bytes, line: int, column: int, what: str) -> None:
    found = faults(raw)
    assert [(fault.mark, fault.what) for fault in found] == [(Mark(line, column), what)]
    assert found[0].then


def test_a_fault_in_the_middle_knows_the_path() -> None:
    assert [fault.path for fault in faults(b"a:\n  - x\n  - {b: 1, c: !t 2}\n")] == ["a[1].c"]


def test_json_and_anchors_are_read() -> None:
    assert plain(read(b'{"a": [1, 2.5, true, null, "x"], "b": {}}')[0]) == {"a": [1, 2.5, True, None, "x"], "b": {}}
    assert plain(read(b"a: &x [1, 2]\nb: *x\n")[0]) == {"a": [1, 2], "b": [1, 2]}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm() -> None:
    assert plain(read(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")[0]) == {"a": 1, "b": 2}


BOMB = b"a0: &a0 [x]\n" + b"".join(
    b"a%d: &a%d [%s]\n" % (level, level, b",".join([b"*a%d" % (level - 1)] * 9)) for level in range(1, 20)
)
HOSTILE = {
    "brackets": b"[" * 1_000_000,
    "braces": b"{" * 1_000_000,
    "dashes": b"- " * 500_000,
    "keys in a line": b"a: " * 300_000,
    "question marks": b"? " * 500_000,
    "lists in lines": b"- [\n" * 200_000,
    "alias bomb": BOMB,
    "too much": b"a" * 1_048_577,
    "an impossible escape": b'"\\UFFFFFFFF"',
    "an impossible version": b"%YAML 1." + b"9" * 9_000 + b"\n---\na",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_refused_fast(name: str) -> None:
    began = time.process_time()
    found = faults(HOSTILE[name])
    assert len(found) == 1
    assert found[0].then
    assert time.process_time() - began < 2


def test_a_bomb_is_found_where_it_grows_too_large() -> None:
    assert faults(BOMB) == [Fault(Mark(6, 18), "", "the alias *a4 makes the config too large", "write the value out")]
