"""Approval before first traffic: who may, how many, how long, and that a newer build makes it void."""

from dataclasses import replace

import pytest

from lbctl.daemon.views import why_view
from lbctl.model.hook import Hook, Point
from lbctl.model.names import Colour
from lbctl.model.record import Contract
from lbctl.model.request import Answer, Approve, Cancel, Claim, Promote, SayReady, Switch
from lbctl.model.topology import Approvals
from lbctl.model.units import HOUR, Instant, Span
from tests.shop import PLAN, SHOP, A, B, Shop

GID, CI_A, CI_B, EVA, TOM = 77, 1001, 1002, 2001, 2002


def asking(count: int = 1, *, login: int | None = None) -> Shop:
    """A shop whose releases need approval of group 77; both versions are ready, and go only together. `login`: as whom
    accounts' CI logged in."""
    shop = Shop()
    shop.reconfigure(plan=replace(PLAN, approvals=Approvals(count, "deployers", GID)))
    for name, uid, contract in (
        (A, CI_A, Contract(provides={"accounts-api": (2,)})),
        (B, CI_B, Contract(requires={"accounts-api": ">=2"})),
    ):
        shop.claim(name)
        shop.deployed[name, Colour.GREEN] = 2
        ready = SayReady(id=uid, actor=f"uid {uid}", uid=uid, login=login if name == A else None, service=name,
                         version="2", build=f"b/{uid}", contract=contract, nonce="n")  # fmt: skip
        assert shop.ask(ready).accepted
    return shop


def approve(shop: Shop, uid: int, groups: frozenset[int] = frozenset({GID}), *, login: int | None = None) -> Answer:
    assert shop.release is not None
    number, release = 7_000 + len(shop.answers), shop.release.id
    return shop.ask(Approve(id=number, actor=f"uid {uid}", uid=uid, login=login, release=release, groups=groups))


def told(shop: Shop, kind: str) -> list[str]:
    return [entry.text for entry in shop.told if entry.kind.value == kind]


def test_nothing_moves_before_it_is_approved_and_people_are_told_once() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    shop.run(60)
    assert shop.release is not None
    assert (shop.release.phase.value, shop.release.share_bp) == ("awaiting_approval", 0)
    assert told(shop, "approval.awaited") == [
        "everything is proved; 1 of 1 approvals of group deployers are missing: lbctl release approve 1"
    ]
    assert told(shop, "hold.started") == []
    assert approve(shop, EVA).body["did"] == "approved: it goes on as soon as everything is proved"
    shop.until("finished")
    assert shop.mismatched == []


def test_two_people_are_two_people() -> None:
    shop = asking(count=2)
    shop.until("awaiting_approval")
    assert approve(shop, EVA).body["did"] == "approved; 1 more of 2 approvals are needed"
    assert approve(shop, EVA).body["did"] == "nothing was changed: it is so already"
    shop.run(30)
    assert shop.release is not None
    assert shop.release.phase.value == "awaiting_approval"
    approve(shop, TOM)
    shop.until("shifting")


def test_nobody_approves_what_they_said_is_ready_not_even_as_one_of_the_group() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    for uid in (CI_A, CI_B):
        answer = approve(shop, uid)
        assert (answer.body["code"], answer.body["exit_code"]) == ("own_approval", 5)


def test_somebody_outside_the_group_is_told_which_it_is_and_root_may() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    answer = approve(shop, EVA, frozenset({1, 2}))
    assert (answer.body["code"], answer.body["exit_code"]) == ("not_authorised", 6)
    assert answer.body["then"] == "join the group deployers and log in again"
    assert approve(shop, 0, frozenset({0})).accepted


def test_nobody_approves_their_own_as_root() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    answer = approve(shop, 0, frozenset({0}), login=CI_B)
    assert answer.body["code"] == "own_approval"
    assert answer.body["what"] == (
        f"uid 0 is logged in as uid {CI_B}, who started release 1, or said that a version of it is ready"
    )
    assert approve(shop, 0, frozenset({0}), login=EVA).accepted


def test_nobody_approves_what_they_said_is_ready_as_another_user() -> None:
    shop = asking(login=EVA)
    shop.until("awaiting_approval")
    for uid, login in ((EVA, EVA), (EVA, None), (0, EVA), (TOM, EVA)):
        assert approve(shop, uid, login=login).body["code"] == "own_approval"
    assert approve(shop, TOM, login=TOM).accepted


def test_root_that_started_it_is_whoever_logged_in_and_without_a_login_root_itself() -> None:
    shop = asking(login=EVA)
    shop.until("awaiting_approval")
    shop.on_release(Cancel)
    shop.run(10)
    for name in (A, B):
        shop.claim(name)
    switch = Switch(id=901, actor="uid 0", uid=0, login=EVA, service=B, to=None, version="2", nonce="n", unchecked=True,
                    plan=shop.state.topology.units[SHOP].plan, followers={A: "2"})  # fmt: skip
    assert shop.ask(switch).accepted
    shop.until("awaiting_approval")
    for uid, login in ((0, None), (0, EVA), (EVA, EVA)):
        assert approve(shop, uid, login=login).body["code"] == "own_approval"
    assert approve(shop, 0, login=TOM).accepted


SAME = [((EVA, EVA), (0, EVA)), ((0, EVA), (EVA, EVA)), ((0, EVA), (0, EVA)), ((TOM, EVA), (EVA, None)),
        ((EVA, None), (EVA, TOM)), ((0, None), (0, None)), ((0, EVA), (0, None))]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), SAME)
def test_one_person_counts_once_whichever_user_they_become(
    first: tuple[int, int | None], second: tuple[int, int | None]
) -> None:
    shop = asking(count=2)
    shop.until("awaiting_approval")
    assert approve(shop, first[0], login=first[1]).body["did"] == "approved; 1 more of 2 approvals are needed"
    assert approve(shop, second[0], login=second[1]).body["did"] == "nothing was changed: it is so already"


def test_two_people_who_are_both_root_are_two() -> None:
    shop = asking(count=2)
    shop.until("awaiting_approval")
    approve(shop, 0, login=EVA)
    assert approve(shop, 0, login=TOM).accepted
    shop.until("shifting")


def test_who_approves_while_it_is_proved_lets_it_go_without_a_stop() -> None:
    shop = asking()
    shop.until("preflight")
    assert approve(shop, EVA).accepted
    shop.until("shifting")
    assert told(shop, "approval.awaited") == []


def test_an_approval_survives_a_restart() -> None:
    shop = asking(count=2)
    shop.until("awaiting_approval")
    approve(shop, EVA)
    shop.crash()
    shop.run(20)
    approve(shop, TOM)
    shop.until("finished")


def test_a_candidate_that_falls_ill_while_it_waits_does_not_go_when_it_is_approved() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    shop.down.add((A, Colour.GREEN))
    shop.run(5)
    approve(shop, EVA)
    shop.run(30)
    assert shop.release is not None
    assert shop.release.phase.value == "awaiting_approval"
    shop.down.clear()
    shop.until("shifting")


def test_what_is_not_approved_in_time_is_cancelled() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    shop.now = Instant(shop.now + 8 * HOUR)
    shop.until("cancelled")
    assert shop.release is not None
    assert shop.release.outcome == "approval took longer than 8h: 0 of 1 approvals of group deployers are given"


def test_promote_goes_over_no_approval_and_cancel_ends_at_once() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    assert shop.on_release(Promote, full=True).body["code"] == "nothing_to_promote"
    assert shop.on_release(Cancel).body["did"] == "cancelled before first traffic"


def test_a_newer_build_voids_what_was_approved() -> None:
    shop = asking(count=2)
    shop.until("awaiting_approval")
    approve(shop, EVA)
    answer = shop.ask(Claim(id=900, actor="ci", service=B))
    assert answer.body["superseded"] == "1"
    shop.run(20)
    shop.deploy(B, 3, Contract(requires={"accounts-api": ">=2"}))
    shop.speaks[3] = frozenset({2})
    shop.until("awaiting_approval")
    assert shop.release is not None
    assert (shop.release.id, shop.release.approvals) == ("2", ())


def test_an_approval_that_is_not_needed_or_too_late_is_refused_in_words() -> None:
    shop = asking()
    shop.until("preflight")
    approve(shop, EVA)
    shop.until("shifting")
    assert approve(shop, TOM).body["what"] == "release 1 is in shifting: approval comes before first traffic"
    plain = Shop()
    plain.switch(B, A, version=2)
    assert approve(plain, EVA).body["code"] == "no_approval"


def test_the_hook_before_the_first_step_is_asked_when_all_have_approved_and_the_one_of_preflight_before() -> None:
    shop = asking()
    hooks = tuple(Hook(at=point, argv=("/hook",)) for point in (Point.PREFLIGHT, Point.BEFORE_STEP))
    shop.reconfigure(plan=shop.state.topology.units[SHOP].plan, hooks=hooks)
    shop.until("awaiting_approval")
    shop.run(20)
    assert [ask.key.point for ask in shop.asked] == [Point.PREFLIGHT]
    assert approve(shop, EVA).accepted
    shop.until("shifting")
    assert [ask.key.point for ask in shop.asked] == [Point.PREFLIGHT, Point.BEFORE_STEP]


def frozen(shop: Shop, *, for_ms: int | None) -> None:
    shop.frozen = {A: "frozen until Sat 2026-11-28 06:00 UTC: black friday"}
    shop.frozen_for = {} if for_ms is None else {A: Span(for_ms)}
    shop.run(2)


def test_an_approval_in_a_freeze_says_that_it_does_not_go_on() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    frozen(shop, for_ms=HOUR)
    did = str(approve(shop, EVA).body["did"])
    assert did == "approved, but it does not go on now: frozen until Sat 2026-11-28 06:00 UTC: black friday"


def test_a_freeze_that_outlasts_the_deadline_is_told_at_the_approval_and_by_why() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    frozen(shop, for_ms=24 * HOUR)
    did = str(approve(shop, EVA).body["did"])
    assert did.endswith("`deadlines.approval` comes before the window ends, and cancels it")
    assert shop.release is not None
    (line, *_) = why_view(shop.state, shop.release, shop.now)["lines"]
    assert line["needs"].startswith("`deadlines.approval` comes before the window ends")
    assert (line["deadline"][:6], line["then"]) == ("in 7h5", "cancelled")


def test_a_freeze_without_an_end_is_told_to_be_removed() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    frozen(shop, for_ms=None)
    assert str(approve(shop, EVA).body["did"]).endswith("unless the window is removed before")


def test_promote_names_the_approval_that_lacks() -> None:
    shop = asking()
    shop.until("awaiting_approval")
    body = shop.on_release(Promote).body
    assert body["code"] == "nothing_to_promote"
    assert body["what"] == "release 1 waits for approval: 1 of 1 are missing"
    assert body["then"] == "lbctl release approve 1"
