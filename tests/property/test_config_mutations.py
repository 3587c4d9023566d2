"""However a config is damaged: it loads, or every fault has a place in the text. Nothing else ever comes out."""

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.config.accounts import Accounts
from lbctl.config.fault import ConfigError, Fault, Mark
from lbctl.config.kinds import Share
from lbctl.config.load import load_text
from lbctl.config.nodes import Malformed
from lbctl.config.quantity import parse_share, parse_span, share_text, span_text
from lbctl.config.show import config_text
from lbctl.config.yaml import read
from tests.unit.config_texts import SHOP, VALID, config

TOKENS = re.compile(r"[\w./%-]+|\s+|.", re.DOTALL)
WORDS = [
    "{}", "[]", "null", "yes", "true", "0", "-1", "1e999", "9" * 400, "500%", "25%", "2m", "''", '"\\0"', '"\\ud800"',
    "'1e5'", "99.99999%", '"\\n"', "*a",
    "&a x", "<<", "!!str x", "[[[[", "{a: b}", "\t",
    "---", "# x", "?", ":", "- x", "|", ">", "%YAML 9.9", "\ufeff", "é",
    "blue", "green", "web", "accounts", "haproxy", "envoy", "127.0.0.1:80", "[::1]:80", "two.example:80", "a.b:1", "/",
    "shop", "storefront", "pay", "listener", "source", "header", "consumers", "services", "weights",
    "{credential: x}", "{file: /}", "never", "equal", "learned", "drain", "steps", "\r", "\x85", "\u2028", "@", "`",
]  # fmt: skip
HOST = Accounts(uid_of=lambda _: 1, gid_of=lambda name: 2 if name in {"lbctl", "ci-web"} else None)
VALID_TOKENS = TOKENS.findall(VALID)
SHOP_TOKENS = TOKENS.findall(SHOP)

edits = st.lists(
    st.tuples(
        st.integers(0, len(SHOP_TOKENS) - 1),
        st.sampled_from(["delete", "insert", "replace", "copy"]),
        st.one_of(st.sampled_from(WORDS), st.sampled_from(VALID_TOKENS + SHOP_TOKENS), st.text(max_size=8)),
        st.integers(1, 12),
    ),
    min_size=1,
    max_size=6,
)


def damaged(changes: list[tuple[int, str, str, int]], valid: list[str]) -> str:
    tokens = list(valid)
    for index, what, word, length in changes:
        at = index % max(len(tokens), 1)
        piece = tokens[at : at + length]
        new = {"delete": [], "insert": [word, *piece], "replace": [word], "copy": [*piece, *piece]}[what]
        tokens[at : at + length] = new
    return "".join(tokens)


def assert_in_range(mark: Mark, raw: bytes) -> None:
    lines = raw.decode("utf-8", "replace").split("\n")
    assert 1 <= mark.line <= len(lines)
    assert 1 <= mark.column <= len(lines[mark.line - 1]) + 1


def assert_loads_or_says_where(raw: bytes) -> None:
    try:
        loaded = load_text(
            "lbctl.yaml", raw, uid=0, environ={}, resolve=lambda _: ["10.9.9.9"], accounts=HOST, read_secrets=False
        )
    except ConfigError as error:
        for fault in error.faults or [Fault(Mark(0, 0), "", "an error without a fault")]:
            assert_in_range(fault.mark, raw)
            assert re.match(r"lbctl\.yaml:\d+:\d+: \S", fault.render("lbctl.yaml"))
            assert fault.render("lbctl.yaml").isprintable()
            assert fault.then
    else:
        again = load_text(
            "lbctl.yaml", config_text(loaded).encode(), uid=0, environ={}, accounts=HOST, read_secrets=False
        )
        assert again.effective == loaded.effective


@settings(max_examples=300)
@given(edits, st.sampled_from([VALID_TOKENS, SHOP_TOKENS]))
def test_a_damaged_config_loads_or_says_where(changes: list[tuple[int, str, str, int]], valid: list[str]) -> None:
    assert_loads_or_says_where(damaged(changes, valid).encode("utf-8", "replace"))


@settings(max_examples=200)
@given(st.binary(max_size=200))
@example(b"\xef\xbb\xbf")
@example(b"%")
@example(b"? ")
@example(b"a: |99\n b")
def test_any_bytes_load_or_say_where(raw: bytes) -> None:
    assert_loads_or_says_where(raw)


yaml_text = st.text(st.sampled_from(list("ab:-?[]{}&*!|>'\"%@#, \n~0.")), max_size=60)


@settings(max_examples=300)
@given(yaml_text)
def test_any_yaml_signs_are_read_or_refused_with_a_place(text: str) -> None:
    try:
        faults = read(text.encode())[1]
    except Malformed as error:
        faults = [error.fault]
    for fault in faults:
        assert_in_range(fault.mark, text.encode())


@settings(max_examples=200)
@given(st.integers(0, 365 * 86_400_000), st.integers(0, 10_000))
def test_durations_and_shares_survive_being_written(span: int, share_bp: int) -> None:
    assert parse_span(span_text(span)) == span
    assert parse_share(share_text(share_bp)) == share_bp


@settings(max_examples=200)
@given(st.integers(1, 10**11 - 1))
def test_a_ratio_survives_being_written(billionths: int) -> None:
    kind = Share(ratio=True)
    ratio = kind._value(f"{billionths // 10**9}.{billionths % 10**9:09d}%")
    assert kind._value(kind.show(ratio)) == ratio


def test_the_valid_config_is_valid() -> None:
    assert config(VALID).topology.services
    assert config(SHOP).topology.units
