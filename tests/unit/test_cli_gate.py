"""What a pipeline's key may do: the table, and lines that people with bad intentions would send."""

from collections.abc import Iterator

import click
import pytest

from lbctl.cli.app import lbctl, main
from lbctl.cli.failure import Failure
from lbctl.cli.forced import ALLOWED, FORM, LINE_MAX, command_of

NOT_FOR_THIS_KEY = 6
HOSTILE = [
    "",
    "   ",
    "lbctl",
    "sh",
    "bash -c 'lbctl claim accounts'",
    "/usr/bin/lbctl claim accounts",
    "lbctl lbctl claim accounts",
    "claim accounts\nrollback storefront",
    "claim accounts\x00",
    "claim accounts\x1b[2J",
    "claim\u202eaccounts",
    "claim accounts \udcff",
    "release ready 'shop --service accounts",
    "claim accounts \\",
    "'claim accounts'",
    '"claim" "accounts" "',
    "$(claim) accounts",
    "`claim` accounts",
    "; claim accounts",
    "CLAIM accounts",
    "--socket /tmp/x claim accounts",
    "--help",
    "release --help",
    "release list",
    "release cancel accounts",
    "release approve accounts",
    "gate --service storefront",
    "adopt accounts --active green",
    "maintenance on",
    "switch accounts",
    "promote accounts",
    "resume accounts",
    "config show",
    "config reload",
    "envoy stop",
    "demo",
    "events",
    "x" * (LINE_MAX + 1),
    "claim " + "accounts " * LINE_MAX,
]


@pytest.mark.parametrize("line", HOSTILE, ids=lambda line: repr(line[:40]))
def test_what_is_not_in_the_table_is_refused_and_the_refusal_says_what_is(line: str) -> None:
    with pytest.raises(Failure) as refusal:
        command_of(line, "accounts")
    assert refusal.value.exit_code == NOT_FOR_THIS_KEY
    assert "claim accounts" in refusal.value.render()
    assert len(refusal.value.render()) < 1_000


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("claim accounts --wait", "claim", ["accounts", "--wait"]),
        ("lbctl claim accounts", "claim", ["accounts"]),
        ("release  ready shop", "release ready", ["shop"]),
        (
            "pause accounts --reason 'two words; $(id) `id` > x'",
            "pause",
            ["accounts", "--reason", "two words; $(id) `id` > x"],
        ),
        (
            "release ready shop --requires accounts-api>=1,<2",
            "release ready",
            ["shop", "--requires", "accounts-api>=1,<2"],
        ),
        ("claim accounts; rollback storefront", "claim", ["accounts;", "rollback", "storefront"]),
        ("claim accounts && id", "claim", ["accounts", "&&", "id"]),
        ("claim accounts # note", "claim", ["accounts", "#", "note"]),
        ("claim $SERVICE", "claim", ["$SERVICE"]),
    ],
)
def test_words_are_split_as_a_shell_would_and_nothing_in_them_is_looked_at(
    line: str, name: str, words: list[str]
) -> None:
    assert command_of(line, "accounts") == (name, words)


def said(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Run the gate where no daemon is; return its exit code and what it said on stderr."""
    monkeypatch.setenv("SSH_ORIGINAL_COMMAND", line)
    monkeypatch.setenv("LBCTL_SOCKET", "/nonexistent/control.sock")
    code = main(["gate", "--service", "accounts"])
    return code, capsys.readouterr().err


NOT_HERS = [
    "claim storefront",
    "claim accounts2",
    "claim ''",
    "release ready accounts --service storefront --version 1 --build u",
    "release ready accounts --service accounts --service storefront --version 1 --build u",
    "release withdraw accounts --service storefront",
    "status",
    "release wait",
]
NOT_UNDERSTOOD = [
    "claim accounts storefront",
    "claim accounts; rollback storefront",
    "claim accounts && id",
    "claim accounts --socket /tmp/x",
    "claim --socket=/tmp/x accounts",
    "claim accounts --config x",
    "claim",
    "claim -- --wait accounts",
    "status accounts -o yaml",
]


@pytest.mark.parametrize("line", NOT_HERS)
def test_another_service_or_none_is_refused_before_any_daemon_is_asked(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(line, monkeypatch, capsys)
    assert code == NOT_FOR_THIS_KEY, told
    assert "it is for the pipeline of accounts; allowed are: claim accounts" in told


@pytest.mark.parametrize("line", NOT_UNDERSTOOD)
def test_what_the_command_does_not_understand_is_wrong_usage_and_reaches_no_daemon(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(line, monkeypatch, capsys)
    assert code == 2, told


@pytest.mark.parametrize(
    "line", ["claim accounts", "status accounts --json", "rollback accounts --yes", "why accounts"]
)
def test_what_is_allowed_goes_to_the_daemon(
    line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, told = said(line, monkeypatch, capsys)
    assert code == 3, told
    assert "/nonexistent/control.sock" in told


def commands() -> Iterator[tuple[str, click.Command]]:
    root = click.Context(lbctl)
    for name in ALLOWED:
        command: click.Command = lbctl
        for word in name.split():
            assert isinstance(command, click.Group)
            found = command.get_command(root, word)
            assert found is not None, name
            command = found
        yield name, command


def test_the_table_names_parameters_that_exist() -> None:
    for name, command in commands():
        known, rule = {one.name for one in command.params}, ALLOWED[name]
        assert known >= FORM, name
        assert known >= {*rule.options, rule.own, rule.target, rule.instead} - {None}, name


def test_an_option_that_nobody_allowed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one will be that a command gets some day."""
    (claim,) = (command for name, command in commands() if name == "claim")
    monkeypatch.setattr(claim, "params", [*claim.params, click.Option(["--force"], is_flag=True, expose_value=False)])
    code, told = said("claim accounts --force", monkeypatch, capsys)
    assert code == NOT_FOR_THIS_KEY, told
    assert "--force is not for this key" in told
