"""The command line's small parts: sockets, harmless text, the catalogue."""

from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lbctl.cli.app import lbctl
from lbctl.cli.catalogue import COMMANDS
from lbctl.cli.commands.services import _adopted
from lbctl.cli.live.servers import HEAD
from lbctl.cli.output import clean
from lbctl.cli.screens.blocks import POOL_HEAD, SERVER_HEAD
from lbctl.cli.sockets import SYSTEM, candidates


def test_a_named_socket_is_the_only_one_tried() -> None:
    environ = {"LBCTL_SOCKET": "/run/two.sock", "XDG_RUNTIME_DIR": "/run/user/1000"}
    assert candidates("/run/one.sock", 1000, environ).paths == ["/run/one.sock"]
    assert candidates(None, 1000, environ).paths == ["/run/two.sock"]


def test_else_the_users_own_then_the_systems() -> None:
    assert candidates(None, 1000, {"XDG_RUNTIME_DIR": "/run/user/1000"}).paths == [
        "/run/user/1000/lbctl/control.sock",
        SYSTEM,
    ]
    assert candidates(None, 0, {}).paths == [SYSTEM]


def test_a_socket_in_a_directory_that_others_can_write_is_not_trusted(tmp_path: Path) -> None:
    (tmp_path / "lbctl-1000").mkdir(mode=0o777)
    (tmp_path / "lbctl-1000").chmod(0o777)
    assert candidates(None, 1000, {"TMPDIR": str(tmp_path)}).paths == [SYSTEM]


@given(st.text())
def test_foreign_text_is_printable_afterwards_and_printable_text_is_untouched(text: str) -> None:
    assert str(clean(text)).isprintable()
    assert clean(str(clean(text))) == clean(text)


def test_harmless_text_stays_as_it_is() -> None:
    assert clean({"a": ["5 % → 25 %", 3, None]}) == {"a": ["5 % → 25 %", 3, None]}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_of_the_catalogue_is_there_and_says_what_it_does(name: str) -> None:
    ctx = click.Context(lbctl)
    command = lbctl.get_command(ctx, name)
    assert command is not None
    assert command.name == name
    assert command.help
    for option in command.params:
        assert isinstance(option, click.Argument) or getattr(option, "help", None) or option.name == "form", option.name


def test_whoever_has_adopted_a_service_is_told_how_its_first_release_begins() -> None:
    said = _adopted({"service": "web", "active": "blue", "version": "1.0.0", "warning": ""})
    assert said.splitlines()[-1] == "  next   lbctl plan web --version VERSION"


def test_attempts_of_a_server_are_not_called_requests_as_those_of_a_pool_are() -> None:
    assert {"ATTEMPTS", "FAILED"} < {*SERVER_HEAD}
    assert not {"REQUESTS", "ERRORS", "REQ/S", "ERR/S"} & {*SERVER_HEAD, *HEAD}
    assert {"REQUESTS", "ERRORS"} < {*POOL_HEAD}
