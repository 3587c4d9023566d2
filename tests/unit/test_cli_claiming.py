"""Waiting for a claim where no daemon is: it ends, and says so."""

from types import SimpleNamespace

import pytest

from lbctl.cli import claiming
from lbctl.cli.client import Client
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.waiting import AWAY_MAX_S


class Clock:
    """Time that passes by sleeping alone."""

    now_s = 0.0

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds
        assert self.now_s < 10 * AWAY_MAX_S, "it waits for ever"


def test_a_daemon_that_never_answers_is_waited_for_half_a_minute_and_told_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, told = Clock(), list[str]()
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: clock.now_s, sleep=clock.sleep))
    with pytest.raises(Failure) as failure:
        claiming.wait_granted(Client(["/nonexistent/control.sock"]), "accounts", {}, None, told.append)
    assert failure.value.exit_code == Exit.UNREACHABLE
    assert AWAY_MAX_S <= clock.now_s <= AWAY_MAX_S + 3
    assert told == ["the daemon does not answer; traffic stays as it is, waiting goes on"]


class Held(Client):
    """A daemon that says each time for how long another has held the pool."""

    def __init__(self) -> None:
        super().__init__([])
        self.asked = 0

    def post(self, path: str, body: object) -> dict[str, object]:
        self.asked += 1
        what = f"green of accounts has been claimed by build 1 for {self.asked * 2}s"
        raise Failure(what, code="claimed", exit_code=Exit.REFUSED)


def test_how_long_another_holds_it_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = Clock(), list[str]()
    monkeypatch.setattr(claiming, "time", SimpleNamespace(monotonic=lambda: clock.now_s, sleep=clock.sleep))
    ended, _ = claiming.wait_granted(Held(), "accounts", {}, 20_000, told.append)
    assert ended is Exit.TIMED_OUT
    assert told == ["waits: green of accounts has been claimed by build 1 for 2s"]
