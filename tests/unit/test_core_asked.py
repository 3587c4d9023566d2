"""Whatever is asked of a release in whatever phase: nothing raises the candidate's share, every answer is clear, and
the next step that a refusal names leads on.

The answers stand in `asked/*.txt`: a column for each phase; `+` is accepted, with the first word of what was done, all
else is the code of a refusal. `UPDATE=1` writes them anew: read the difference.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from pathlib import Path

import pytest

from lbctl.core import machine
from lbctl.core.claims import claim_granted
from lbctl.core.state import Save
from lbctl.model.names import ServiceName
from lbctl.model.request import Approve, Claim, Maintenance, Pause, Request, Resume, SayReady
from lbctl.model.units import HOUR, MINUTE, Instant
from tests.asking import (
    BEFORE,
    CELLS,
    DEPLOYERS,
    FROZEN,
    GOING,
    PHASES,
    REQUESTS,
    as_it_is,
    asked,
    at,
    commands,
    named,
    tried,
)
from tests.shop import SHOP, A, B, Shop

TABLES = Path(__file__).parent / "asked"
MEMBERS = {"both": {A, B}, "accounts": {A}, "storefront": {B}}
STOPS = {"rollback": 20, "cancel": 6, "undo": 6, "pause": 20, "maintenance A": 15, "maintenance B": 15}
"""After these nothing raises the share any more, however long it lasts; looked at for so many ticks."""
MOVED = ("shifting", "baking", "draining")


def shares(shop: Shop, going: str) -> list[int]:
    """What new traffic the candidate gets, on every worker of every load balancer and after a reload of it."""
    name = A if going == "accounts" else B
    lives = [route[name] for one in shop.balancers.values() for route in one.runtime.values()]
    return [route.green_bp for route in (*lives, *(one.boot[name] for one in shop.balancers.values()))]


def answered(going: str, phase: str, word: str) -> tuple[Shop, str]:
    """Ask, and return the shop with the cell of the table."""
    shop = at(going, phase)
    if word in BEFORE:
        shop.ask(BEFORE[word]())
    answer = shop.ask(asked(going, word))
    if not answer.accepted:
        assert answer.body["what"]
        return shop, str(answer.body["code"])
    return shop, "+" + str(answer.body.get("did", "")).replace(":", " ").split(" ")[0]


@cache
def table(going: str) -> dict[tuple[str, str], str]:
    """Return the table of a file."""
    head, *rows = (TABLES / f"{going}.txt").read_text().splitlines()
    cells = [(row[:16].strip(), row[16:].split()) for row in rows]
    return {(phase, word): cell for word, row in cells for phase, cell in zip(head.split(), row, strict=True)}


def drawn(going: str) -> str:
    """Return the table as it is."""
    phases = [phase for phase in PHASES if (going, phase) in CELLS]
    rows = [["", *phases], *([word, *(answered(going, phase, word)[1] for phase in phases)] for word in REQUESTS)]
    widths = [16, *(max(len(row[column]) for row in rows) + 2 for column in range(1, len(phases) + 1))]
    lines = ("".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


if os.environ.get("UPDATE"):
    for one in GOING:
        (TABLES / f"{one}.txt").write_text(drawn(one))


@pytest.mark.parametrize("word", REQUESTS)
@pytest.mark.parametrize(("going", "phase"), CELLS)
def test_the_answer_is_clear_and_nothing_raises_the_share(going: str, phase: str, word: str) -> None:
    before = as_it_is(going, phase)
    assert before.release is not None
    share_bp, most_bp = before.release.share_bp, max(shares(before, going))
    shop, cell = answered(going, phase, word)
    assert cell == table(going)[phase, word]
    assert shop.release is not None
    first = shop.state.record.releases[SHOP]
    assert word == "promote" or first.id != "1" or first.share_bp <= share_bp
    stops = cell.startswith("+") and word in STOPS and (not word.startswith("maint") or _is_of(going, word))
    for _ in range(STOPS[word] if stops and not first.phase.ended else 0):
        shop.tick()
        assert shop.state.record.releases[SHOP].share_bp <= share_bp
        assert max(shares(shop, going)) <= max(share_bp, most_bp)
    assert shop.mismatched == []


def _is_of(going: str, word: str) -> bool:
    return {"A": A, "B": B}[word[-1]] in MEMBERS[going]


@pytest.mark.parametrize("word", REQUESTS)
@pytest.mark.parametrize(("going", "phase"), CELLS)
def test_the_next_step_of_a_refusal_leads_on(going: str, phase: str, word: str) -> None:
    shop = as_it_is(going, phase)
    if word in BEFORE:
        shop = shop.fork()
        shop.ask(BEFORE[word]())
    request = asked(going, word)
    refused = tried(shop, request)
    if refused is None:
        return
    then = str(refused.body["then"])
    steps = list(commands(then))
    assert steps, then
    for words in steps:
        step = named(shop, going, words)
        if isinstance(step, str):
            assert step in {"", "1", *shop.state.topology.services, SHOP}, words
        ended = partial(_ended, going, phase, word if word in BEFORE else "")
        code = _code_after(shop, request, words, step, ended)
        assert code != refused.body["code"], f"{' '.join(words)} is refused with {code}, too"


@pytest.mark.parametrize(("going", "phase"), CELLS)
def test_whatever_a_request_changes_is_told_with_who_and_why(going: str, phase: str) -> None:
    for word in REQUESTS:
        shop = as_it_is(going, phase)
        if word in BEFORE:
            shop = shop.fork()
            shop.ask(BEFORE[word]())
        request = replace(asked(going, word), reason="ticket 12", actor="uid 7")
        state, effects = machine.ask(shop.state, request, shop.now)
        if state.record.rev == shop.state.record.rev:
            continue
        told = [entry for effect in effects if isinstance(effect, Save) for entry in effect.entries]
        mine = [one for one in told if one.actor == "uid 7"]
        assert mine, f"{word} is told as {told}"
        assert any("ticket 12" in f"{one.text} {one.data.get('reason')}" for one in mine), (
            f"{word}: why is not in {mine}"
        )


@cache
def _ended(going: str, phase: str, word: str) -> Shop:
    """Return the shop when the release has ended. Nobody goes on with this one."""
    shop = at(going, phase)
    if word:
        shop.ask(BEFORE[word]())
    return _later(shop)


def _code_after(shop: Shop, request: Request, words: list[str], step: Request | str, ended: Callable[[], Shop]) -> str:
    """Return by what the command is refused in this state, or what it leads to; empty if by nothing."""
    if isinstance(step, str):
        refused = tried(ended(), request) if "wait" in words and words[-1] == "finished" else None
    elif "--wait" not in words:
        refused = tried(shop, step)
    else:
        later = ended().fork()
        refused = tried(later, step)
        if refused is None and isinstance(step, Claim) and isinstance(request, SayReady):
            _claimed(later, request.service, request.build)
            refused = tried(later, request)
    return "" if refused is None else str(refused.body["code"])


def _later(shop: Shop) -> Shop:
    """Return the shop when the release has ended, and whoever had claimed a pool did nothing with it."""
    later = shop.fork()
    later.down.clear()
    for _ in range(400):
        release = later.state.record.releases[SHOP]
        if release.phase.ended and not later.state.record.claims:
            later.run(3)
            later.now = Instant(later.now + MINUTE)  # nobody came to the old pool for its quiet time
            later.run(3)
            return later
        if release.phase.value == "awaiting_approval":
            later.ask(_yes(later))
        if release.phase.value == "retiring" and not later.stopped:
            later.stop(B, release.origin)
        if release.phase.ended:
            later.now = Instant(later.now + HOUR)
        later.tick()
    raise AssertionError(f"it never ended: {later.release}")


def _yes(shop: Shop) -> Approve:
    assert shop.release is not None
    groups = frozenset({DEPLOYERS})
    return Approve(id=7_000 + len(shop.answers), actor="t", uid=2, release=shop.release.id, groups=groups)


def _claimed(shop: Shop, name: ServiceName, build: str) -> None:
    """Claim a pool as a pipeline does; the old pool that still calls it is claimed first, as its refusal says."""
    if not shop.claim(name, build).accepted:
        shop.claim(B, "b/other")
        shop.claim(name, build)
    assert claim_granted(shop.state, name)


RESTARTS = [cell for cell in CELLS if cell[0] == "both" or cell[1] in {"shifting", "rolling_back"}]


@pytest.mark.parametrize(("going", "phase"), RESTARTS)
@pytest.mark.parametrize("word", ["rollback", "cancel"])
def test_a_restart_after_the_way_back_was_asked_leads_nowhere_up(going: str, phase: str, word: str) -> None:
    shop = at(going, phase)
    assert shop.release is not None
    share_bp = shop.release.share_bp
    shop.ask(asked(going, word))
    shop.crash()
    for _ in range(30):
        shop.tick()
        assert shop.release.share_bp <= share_bp
    assert shop.release.phase.ended or phase == "retiring"
    assert shop.mismatched == []


@pytest.mark.parametrize(("going", "phase"), RESTARTS)
def test_a_restart_alone_keeps_every_load_balancer_at_or_below_what_is_recorded(going: str, phase: str) -> None:
    shop = at(going, phase)
    shop.crash()
    for _ in range(30):
        shop.tick()
        release = shop.disk.releases[SHOP]
        done = release.phase.value in {"draining", "retiring", "finished"}
        assert max(shares(shop, going)) <= (10_000 if done else max(release.share_bp, release.peak_bp))
    assert shop.mismatched == []
    assert shop.failed_users == 0


RUNNING = [cell for cell in CELLS if cell[1] not in {"finished", "rolled_back", "cancelled", "rolling_back"}]


@pytest.mark.parametrize(("going", "phase"), RUNNING)
def test_what_was_paused_or_in_maintenance_stands_and_then_goes_on_to_its_end(going: str, phase: str) -> None:
    shop = at(going, phase)
    shop.on_release(Pause)
    shop.run(10)
    for word in ("maintenance A", "maintenance B"):
        shop.ask(asked(going, word))
    shop.run(10)
    assert shop.release is not None
    assert (shop.release.phase.value, shop.release.paused_by) == (phase, "t")
    for service in (A, B):
        shop.ask(_off(service))
    shop.run(10)
    assert shop.release.phase.value == phase
    shop.on_release(Resume)
    assert _later(shop).state.record.releases[SHOP].phase.value == "finished"
    assert shop.mismatched == []


def _off(service: ServiceName) -> Request:
    return Maintenance(id=8_000 + len(service), actor="t", service=service, on=False)


IN_THE_WINDOW = {
    "promote": {"shifting": "held", "baking": "held"},
    "switch": {"finished": "frozen", "rolled_back": "frozen", "cancelled": "frozen"},
}
"""What a window that is open answers otherwise; everything else is answered as without one."""


@pytest.mark.parametrize(("going", "phase"), CELLS)
def test_while_a_freeze_window_is_open_nothing_goes_forward_and_the_way_back_is_open(going: str, phase: str) -> None:
    shop = at(going, phase)
    assert shop.release is not None
    share_bp = shop.release.share_bp
    shop.frozen |= FROZEN
    shop.down.clear()
    if phase == "awaiting_approval":
        shop.ask(_yes(shop))
    shop.run(30)
    release = shop.state.record.releases[SHOP]
    assert release.share_bp <= share_bp
    if phase in {"preflight", "awaiting_approval", "shifting", "baking"}:
        assert release.phase.value == phase
    for word in REQUESTS:
        refused = tried(shop, asked(going, word))
        expected = IN_THE_WINDOW.get(word, {}).get(release.phase.value)
        if expected is not None:
            assert refused is not None, word
            assert refused.body["code"] == expected
    if phase in MOVED and not release.phase.ended:
        assert shop.ask(asked(going, "rollback")).accepted
        shop.until("rolled_back")
        assert max(shares(shop, going)) == 0
    assert shop.mismatched == []


@pytest.mark.parametrize("going", GOING)
def test_what_waited_for_the_end_of_a_freeze_window_goes_on(going: str) -> None:
    shop = at(going, "shifting")
    shop.frozen |= FROZEN
    shop.run(30)
    shop.frozen.clear()
    shop.until("finished")
    assert (shop.failed_users, shop.mismatched) == (0, [])
