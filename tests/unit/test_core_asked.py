"""Whatever is asked of a release in whatever phase: nothing raises the candidate's share, and every answer is clear."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lbctl.model.names import Colour, ReleaseId
from lbctl.model.record import Contract
from lbctl.model.request import (
    Adopt,
    Answer,
    Cancel,
    Claim,
    Maintenance,
    Pause,
    Request,
    Resume,
    Rollback,
    SayReady,
    Switch,
    Withdraw,
)
from lbctl.model.topology import Approvals
from tests.shop import PLAN, A, B, Shop

PHASES = (
    "preflight",
    "awaiting_approval",
    "shifting",
    "baking",
    "draining",
    "rolling_back",
    "finished",
    "rolled_back",
    "cancelled",
)
RELEASE = ReleaseId("1")


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


REQUESTS: dict[str, Callable[[], Request]] = {
    "rollback": lambda: Rollback(id=900, actor="t", release=RELEASE),
    "cancel": lambda: Cancel(id=900, actor="t", release=RELEASE),
    "pause": lambda: Pause(id=900, actor="t", release=RELEASE),
    "resume": lambda: Resume(id=900, actor="t", release=RELEASE, nonce="again"),
    "maintenance": lambda: Maintenance(id=900, actor="t", service=A, on=True),
    "claim": lambda: Claim(id=900, actor="ci", service=B),
    "ready": lambda: SayReady(id=900, actor="ci", service=B, version="9", build="b/9", contract=needs(">=2")),
    "withdraw": lambda: Withdraw(id=900, actor="ci", service=B),
    "switch": lambda: Switch(id=900, actor="t", service=B, to=None, version="9", plan=PLAN, followers={A: "9"}),
    "adopt": lambda: Adopt(id=900, actor="t", service=B, active=Colour.GREEN, version="9"),
}


def at(phase: str) -> Shop:
    """A joint release in that phase."""
    shop = Shop(users=6)
    if phase == "awaiting_approval":
        shop.reconfigure(plan=replace(PLAN, approvals=Approvals(1, "deployers", 77)))
    if phase in {"preflight", "cancelled"}:
        shop.down.add((A, Colour.GREEN))
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 2, needs(">=2"))
    if phase in {"rolling_back", "rolled_back"}:
        shop.until("shifting")
        shop.run(4)
        shop.on_release(Rollback)
    if phase == "cancelled":
        shop.until("preflight")
        shop.on_release(Cancel)
    shop.until(phase)
    return shop


def asked(shop: Shop, word: str) -> Answer:
    return shop.ask(REQUESTS[word]())


WENT_BACK = "going back to blue"
RUNS = {"switch": "in_release", "adopt": "in_release", "ready": "not_claimed", "withdraw": "", "maintenance": ""}
MOVED = {**RUNS, "rollback": WENT_BACK, "cancel": WENT_BACK, "pause": "paused", "resume": "", "claim": "in_release"}
UNMOVED = {**RUNS, "rollback": "cancelled", "cancel": "cancelled", "pause": "paused", "resume": "", "claim": ""}
OVER = {
    **dict.fromkeys(("rollback", "cancel", "pause", "resume"), "ended"),
    **dict.fromkeys(("switch", "ready"), "not_claimed"),
    **dict.fromkeys(("claim", "withdraw", "maintenance"), ""),
}
ANSWERS = {
    "preflight": UNMOVED,
    "awaiting_approval": UNMOVED,
    "shifting": MOVED,
    "baking": MOVED,
    "draining": MOVED,
    "rolling_back": {
        **MOVED,
        "rollback": "nothing",
        "cancel": "nothing",
        "pause": "going_back",
        "resume": "going_back",
    },
    "finished": {**OVER, "adopt": ""},
    "rolled_back": {**OVER, "adopt": "split"},
    "cancelled": {**OVER, "adopt": "split"},
}
"""The code of a refusal, or how the answer's `did` begins; empty: accepted, and a release is not what it is about."""
STOPS = {"rollback", "cancel", "pause", "maintenance"}
"""After these nothing raises the share any more, however long it lasts."""
TABLE = [(phase, word) for phase in PHASES for word in REQUESTS]


def shares(shop: Shop) -> list[int]:
    """What new traffic the candidate gets, on every worker of every load balancer and after a reload of it."""
    lives = [route[B] for one in shop.balancers.values() for route in one.runtime.values()]
    return [route.green_bp for route in (*lives, *(one.boot[B] for one in shop.balancers.values()))]


@pytest.mark.parametrize(("phase", "word"), TABLE)
def test_the_answer_is_clear_and_nothing_raises_the_share(phase: str, word: str) -> None:
    shop = at(phase)
    assert shop.release is not None
    share_bp, most_bp = shop.release.share_bp, max(shares(shop))
    answer = asked(shop, word)
    assert shop.release.share_bp <= share_bp
    said_clearly(answer, ANSWERS[phase][word])
    stops = answer.accepted and word in STOPS
    for _ in range(30 if stops and not shop.release.phase.ended else 1):
        shop.tick()
        assert shop.release.share_bp <= share_bp
        assert max(shares(shop)) <= max(share_bp, most_bp)
    assert shop.mismatched == []


def said_clearly(answer: Answer, expected: str) -> None:
    if answer.accepted:
        assert str(answer.body.get("did", "")).startswith(expected)
    else:
        assert answer.body["code"] == expected
        assert answer.body["what"]
        assert str(answer.body["then"]).startswith("lbctl ")


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("word", ["rollback", "cancel"])
def test_a_restart_after_the_way_back_was_asked_leads_nowhere_up(phase: str, word: str) -> None:
    shop = at(phase)
    assert shop.release is not None
    share_bp = shop.release.share_bp
    asked(shop, word)
    shop.crash()
    for _ in range(40):
        shop.tick()
        assert shop.release.share_bp <= share_bp
    assert shop.release.phase.ended
    assert shop.mismatched == []


@pytest.mark.parametrize("phase", PHASES)
def test_a_restart_alone_keeps_every_load_balancer_at_or_below_what_is_recorded(phase: str) -> None:
    shop = at(phase)
    shop.crash()
    for _ in range(30):
        shop.tick()
        release = shop.disk.releases["shop"]  # type: ignore[index]
        done = release.phase.value in {"draining", "finished"}
        assert max(shares(shop)) <= (10_000 if done else max(release.share_bp, release.peak_bp))
    assert shop.mismatched == []
    assert shop.failed_users == 0
