"""HAProxy's config as text: words, conditions and sections are read as HAProxy reads them."""

import pytest

from lbctl.dataplane.haproxy.existing.conditions import holds
from lbctl.dataplane.haproxy.existing.sections import Document, has_option, read
from lbctl.dataplane.haproxy.existing.words import UNKNOWN, Reader, Unreadable


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("  server a 1.2.3.4:80 # comment", ["server", "a", "1.2.3.4:80"]),
        ("server a 1.2.3.4:80#comment", ["server", "a", "1.2.3.4:80"]),
        (r"acl a\ b path \#x", ["acl", "a b", "path", "#x"]),
        ("log-format \"a 'b' # c\"", ["log-format", "a 'b' # c"]),
        ("x 'a $B \"c\" \\n'", ["x", 'a $B "c" \\n']),
        ('x "$HOME_OF/${PORT}" $PORT', ["x", "lb/8080", "$PORT"]),
        ('x "${NOT_SET-80}"', ["x", "80"]),
        (r'x "a\"b\\c\$d\n"', ["x", 'a"b\\c$d\\n']),
        (r"we\x62", ["web"]),
        ('x ""', ["x", ""]),
        ("\t", []),
    ],
)
def test_words_are_cut_as_haproxy_cuts_them(line: str, words: list[str]) -> None:
    assert Reader({"HOME_OF": "lb", "PORT": "8080"}).words(line) == words


def test_a_variable_nobody_told_is_remembered_and_never_empty() -> None:
    reader = Reader({})
    assert reader.words('bind "$ADDR:80"') == ["bind", f"{UNKNOWN}:80"]
    assert reader.unknown == {"ADDR"}


@pytest.mark.parametrize("line", ["x 'a", 'x "a', "x a\\", r"x \xg1", 'x "$1"'])
def test_what_haproxy_would_refuse_is_refused(line: str) -> None:
    with pytest.raises(Unreadable):
        Reader({}).words(line)


@pytest.mark.parametrize(
    ("condition", "known"),
    [
        ("true", True),
        ("0", False),
        ("defined(A)", True),
        ("!defined(A)", False),
        ('streq("$A",1)', True),
        ('strneq("${A}",1)', False),
        ("version_atleast(2.4)", None),
        ("version_atleast(2.4) || true", True),
        ("version_atleast(2.4) && false", False),
        ("defined(A) && (false || feature(OPENSSL))", None),
        ("feature(OPENSSL) && defined(A)", True),
        ("nonsense", None),
    ],
)
def test_a_condition_is_decided_where_it_can_be_and_never_guessed(condition: str, known: bool | None) -> None:
    assumed = {"feature(OPENSSL)": True} if condition.startswith("feature") else {}
    assert holds(condition, {"A": "1"}, assumed) is known


def document(text: str, **variables: str) -> Document:
    return read([("h.cfg", text)], variables)


def test_of_several_branches_the_one_that_holds_is_read() -> None:
    text = """
.if defined(B)
backend b
.elif defined(A)
backend a
.if false
backend inner
.endif
.else
broken "
.endif
backend after
"""
    assert [one.name for one in document(text, A="1").sections] == ["a", "after"]


def test_a_branch_that_nobody_can_decide_is_left_out_with_its_else_and_listed() -> None:
    found = document(".if version_atleast(9)\nbackend a\n.else\nbackend b\n.endif\nbackend c\n")
    assert [one.name for one in found.sections] == ["c"]
    assert [one.place.line for one in found.not_understood] == [1, 3]
    assert "haproxy -cc 'version_atleast(9)'" in found.not_understood[0].text


def test_named_defaults_are_inherited_over_several_and_the_last_unnamed_one_otherwise() -> None:
    text = """
defaults base
  option redispatch
  timeout connect 1s
defaults web from base
  no option redispatch
  option httplog
backend a from web
backend b from base
defaults
  option logasap
backend c
"""
    a, b, c = (one for one in document(text).sections if one.kind == "backend")
    assert [has_option(a, "redispatch"), has_option(a, "httplog")] == [False, True]
    assert has_option(b, "redispatch")
    assert [has_option(c, "redispatch"), has_option(c, "logasap")] == [False, True]


def test_variables_set_in_global_count_for_what_follows() -> None:
    found = document('global\n setenv P 1\n presetenv P 2\n presetenv Q 3\nbackend a\n server s "1.1.1.1:$P$Q"\n')
    assert found.sections[1].lines[0].words[-1] == "1.1.1.1:13"


def test_what_stands_outside_of_any_section_is_listed() -> None:
    assert document("servr a\n").not_understood[0].text == "`servr` stands before any section"
