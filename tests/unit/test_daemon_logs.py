"""What strangers say stands in log lines, and never commands the terminal on which those are read."""

import json

import pytest
import structlog

from lbctl.daemon.logs import configure_logs
from lbctl.model.visible import escaped, printable

EVIL = "\x1b[2J\x9b31m\u202eevil\r\x07 é"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_text_of_a_stranger_commands_a_terminal(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: is_terminal)
    try:
        configure_logs(verbose=False)
        structlog.get_logger("strangers").warning("server.said", said=EVIL, lines=3)
    finally:
        structlog.reset_defaults()
    line = capsys.readouterr().err
    assert not {"\x9b", "\u202e", "\r", "\x07"} & set(line)
    assert "[2J" in line
    assert "\x1b[2J" not in line
    assert "é" in line
    if not is_terminal:
        assert json.loads(line)["lines"] == 3


def test_a_traceback_keeps_its_lines() -> None:
    assert escaped("a\nb\x1b", keep="\n") == "a\nb\\x1b"


def test_foreign_text_is_escaped_or_replaced_by_the_same_rule_everywhere() -> None:
    assert escaped(EVIL) == "\\x1b[2J\\x9b31m\\u202eevil\\r\\x07 é"
    assert printable(EVIL) == "?[2J?31m?evil?? é"
    assert printable(EVIL, " ") == " [2J 31m evil   é"
