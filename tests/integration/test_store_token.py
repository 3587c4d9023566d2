"""Go-tokens in a real directory."""

import itertools
import os
import stat
from pathlib import Path

import pytest

from lbctl.model.errors import StoreError
from lbctl.model.names import ReleaseId
from lbctl.model.reading import Token
from lbctl.store.token import TokenDir

SEVEN, EIGHT = ReleaseId("7"), ReleaseId("8")


@pytest.fixture
def tokens(tmp_path: Path) -> TokenDir:
    return TokenDir(tmp_path / "tokens")


def test_a_token_goes_from_go_to_hold_and_again_and_back_for_good(tokens: TokenDir) -> None:
    assert tokens.read(SEVEN, "ab") is Token.NONE
    tokens.make_go(SEVEN, "ab")
    tokens.make_go(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.GO
    tokens.mark_hold(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.HOLD
    tokens.mark_go_again(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.GO
    tokens.mark_back(SEVEN, "ab")
    tokens.mark_back(SEVEN, "ab")
    tokens.mark_hold(SEVEN, "ab")
    tokens.mark_go_again(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.BACK
    with pytest.raises(StoreError, match="new nonce"):
        tokens.make_go(SEVEN, "ab")
    assert tokens.read(SEVEN, "cd") is Token.NONE


def test_back_is_made_when_there_was_no_token(tokens: TokenDir) -> None:
    tokens.mark_back(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.BACK


def test_holding_or_going_again_without_a_token_makes_none(tokens: TokenDir) -> None:
    tokens.mark_hold(SEVEN, "ab")
    tokens.mark_go_again(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.NONE


def test_the_most_careful_of_several_files_counts_and_marking_back_always_ends_in_back(tmp_path: Path) -> None:
    order = ["back", "hold", "go"]
    for number, present in enumerate(itertools.product((False, True), repeat=3)):
        tokens = TokenDir(tmp_path / str(number))
        there = [name for name, is_there in zip(order, present, strict=True) if is_there]
        for name in there:
            (tmp_path / str(number) / f"7.ab.{name}").touch()
        assert tokens.read(SEVEN, "ab").value == (there[0] if there else "none")
        tokens.mark_hold(SEVEN, "ab")
        assert tokens.read(SEVEN, "ab") is not Token.GO
        tokens.mark_back(SEVEN, "ab")
        assert tokens.read(SEVEN, "ab") is Token.BACK


def test_tokens_no_record_names_are_removed_and_other_files_stay(tokens: TokenDir, tmp_path: Path) -> None:
    for release, nonce in ((SEVEN, "ab"), (SEVEN, "cd"), (EIGHT, "ef")):
        tokens.make_go(release, nonce)
    (tmp_path / "tokens" / "README").touch()
    assert sorted(tokens.sweep({SEVEN: "cd"})) == ["7.ab.go", "8.ef.go"]
    assert sorted(os.listdir(tmp_path / "tokens")) == ["7.cd.go", "README"]


@pytest.mark.parametrize(("release", "nonce"), [("../7", "ab"), ("7", "../../x"), ("7/", "ab"), ("", "ab"), ("7", "AB"),
                                                ("7", ""), ("7\n", "ab"), ("\u0667", "ab"), ("7", "ab\0")])  # fmt: skip
def test_names_that_are_no_token_are_refused(tokens: TokenDir, release: str, nonce: str) -> None:
    for act in (tokens.make_go, tokens.mark_back, tokens.mark_hold, tokens.mark_go_again, tokens.read):
        with pytest.raises(StoreError, match="not a token"):
            act(ReleaseId(release), nonce)


def test_a_directory_open_to_others_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir(mode=0o755)
    with pytest.raises(StoreError, match="chmod 0700"):
        TokenDir(tmp_path / "tokens")


def test_every_directory_made_on_the_way_is_closed_to_others(tmp_path: Path) -> None:
    TokenDir(tmp_path / "lbctl-7" / "run" / "tokens")
    made = [tmp_path / "lbctl-7", tmp_path / "lbctl-7" / "run", tmp_path / "lbctl-7" / "run" / "tokens"]
    assert [stat.S_IMODE(one.stat().st_mode) for one in made] == [0o700] * 3


def test_tokens_belong_to_one_daemon_which_is_named_to_the_next(tokens: TokenDir, tmp_path: Path) -> None:
    held = tokens.take()
    with pytest.raises(StoreError, match=f"another lbctld uses this runtime directory .pid {os.getpid()}"):
        TokenDir(tmp_path / "tokens").take()
    os.close(held)
    os.close(tokens.take())
    assert tokens.sweep({}) == []


def test_a_link_in_place_of_a_token_is_no_token(tokens: TokenDir, tmp_path: Path) -> None:
    (tmp_path / "tokens" / "7.ab.go").symlink_to("/etc/hostname")
    assert tokens.read(SEVEN, "ab") is Token.NONE
    with pytest.raises(StoreError, match="tokens"):
        tokens.make_go(SEVEN, "ab")


def test_a_directory_that_vanished_means_no_token_and_back_still_works(tokens: TokenDir, tmp_path: Path) -> None:
    tokens.make_go(SEVEN, "ab")
    (tmp_path / "tokens" / "7.ab.go").unlink()
    (tmp_path / "tokens").rmdir()
    assert tokens.read(SEVEN, "ab") is Token.NONE
    tokens.mark_back(SEVEN, "ab")
    assert tokens.read(SEVEN, "ab") is Token.BACK


def test_a_directory_that_cannot_be_read_is_named_with_the_reason_and_what_to_do(
    tokens: TokenDir, tmp_path: Path
) -> None:
    (tmp_path / "tokens").rmdir()
    (tmp_path / "tokens").symlink_to(tmp_path)
    with pytest.raises(StoreError, match=r"/tokens: .* \(E[A-Z]+\): make it a directory of lbctld's user, 0700"):
        tokens.read(SEVEN, "ab")
