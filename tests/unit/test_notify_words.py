"""The pure parts of alerts: words, texts made harmless, pauses, the backlog."""

import re
from dataclasses import replace

from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import Colour, ReleaseId, ServiceName
from lbctl.model.units import Instant
from lbctl.notify.backlog import WAITING_MAX, Backlog, Unstored
from lbctl.notify.card import card
from lbctl.notify.message import Composer
from lbctl.notify.plain import plain
from lbctl.notify.reach import fault
from lbctl.notify.retry import AGE_MAX_MS, pause_s
from lbctl.notify.words import DEFAULT, PAGE, WORDS, wanted
from tests.shop import A, B, Shop

ENTRY = Entry(kind=Kind.STEP_STARTED, at=Instant(0), text="25 %")


def test_every_kind_has_a_word_but_the_test_message() -> None:
    assert set(Kind) - frozenset().union(*WORDS.values()) == set()


def test_steps_are_noise_unless_asked_for_or_a_page() -> None:
    assert not wanted(ENTRY, DEFAULT)
    assert wanted(ENTRY, {"step"})
    assert wanted(replace(ENTRY, severity=Severity.PAGE), {PAGE})
    assert not wanted(replace(ENTRY, severity=Severity.PAGE), {"finished"})


def test_texts_cannot_command_a_terminal_or_call_a_room() -> None:
    assert plain("a\x1b]0;title\x07b\u202ec\r\nd") == "a ]0;title bc d"
    assert plain("<!channel> @here <@U1> me@example.org") == "\u2039!channel> \uff20here \u2039\uff20U1> me@example.org"
    assert len(plain("x" * 10**6, 50)) == 50


def test_pauses_double_from_a_second_to_five_minutes_and_honour_the_receiver() -> None:
    assert [pause_s(attempt, 1.0) for attempt in (1, 2, 3, 10, 10_000)] == [1, 2, 4, 300, 300]
    assert pause_s(1, 0.0) == 0.5
    assert pause_s(1, 1.0, 17.0) == 17.0
    assert pause_s(1, 1.0, 1e9) == 1800.0
    assert pause_s(1, 1.0, -5) == 1.0


def test_a_full_backlog_gives_up_the_oldest_and_counts_it() -> None:
    backlog = Backlog(0)
    for number in range(WAITING_MAX + 3):
        backlog.take_unstored(Unstored(f"w{number}", ENTRY))
    assert (len(backlog), backlog.dropped, backlog.lost.count, backlog.lost.since_wall) == (1000, 3, 3, "w0")


def test_alerts_are_told_in_the_order_in_which_they_happened() -> None:
    backlog = Backlog(0)
    backlog.take_unstored(Unstored("late", replace(ENTRY, at=Instant(9))))
    backlog.take_stored([Unstored("early", replace(ENTRY, at=Instant(3)), id=4)])
    head = backlog.head()
    assert head is not None
    assert head.wall == "early"
    assert backlog.told(head) == 4


def test_what_is_lost_while_a_summary_is_sent_is_in_the_next_one() -> None:
    backlog = Backlog(0)
    for number in range(2):
        backlog.take_unstored(Unstored(f"w{number}", ENTRY, id=number + 1))
    backlog.give_up(backlog.head())
    sent = backlog.lost
    backlog.collapse(Instant(AGE_MAX_MS + 1))
    assert backlog.told_lost(sent) == 1
    assert backlog.lost.count == 1


def test_an_alert_of_a_joint_release_names_every_service_with_its_versions() -> None:
    shop = Shop()
    shop.switch(B, A, version=2)
    shop.until("shifting")
    told = next(one for one in shop.told if one.kind is Kind.STEP_STARTED)
    message = Composer("lb1", "1").alert(Unstored("w", told), shop.disk.latest(B))
    assert re.sub(r"after [\d.]+s ", "after 2.22s ", message.text) == (
        "[info] shop release 1: 0 % → 10 % on green: preflight passed | "
        "storefront 1 (blue) -> 2 (green), accounts 1 (blue) -> 2 (green) | at 10 % | "
        "no request of either colour was judged | after 2.22s | "
        "next: the next step when its hold is over and nothing speaks against it | `lbctl rollback 1` | lb1, lbctl 1"
    )
    assert [one["service"] for one in message.data["members"]] == ["storefront", "accounts"]
    assert (message.data["unit"], message.data["service"], message.data["version_to"]) == ("shop", "storefront", "2")


def test_an_end_that_leaves_a_pool_in_use_is_no_tick_and_says_what_not_to_stop() -> None:
    shop = Shop(users=3)
    shop.switch(B, A, version=2)
    shop.until("finished")
    told = next(one for one in shop.told if one.kind is Kind.RELEASE_FINISHED)
    assert told.severity is Severity.WARNING
    message = Composer("lb1", "1").alert(Unstored("w", told), shop.disk.latest(B))
    assert card(message).title == "\u25d0 shop release 1: release finished, unproven, 100 % on green"
    assert message.data["action"] == "green has all new traffic, and what it left may be in use still"
    assert message.data["next"] == (
        "do not stop blue of storefront and blue of accounts yet: `lbctl retired 1 --service storefront --wait` says "
        "when it is proved unused"
    )
    assert (message.opens, message.closes) == (False, ("release/1",))


def test_an_end_with_every_certificate_is_a_tick() -> None:
    shop = Shop(users=3)
    shop.drain(300, 60_000)
    shop.switch(B, A, version=2)
    shop.until("retiring")
    shop.stop(B, Colour.BLUE)
    shop.until("finished")
    told = next(one for one in shop.told if one.kind is Kind.RELEASE_FINISHED)
    message = Composer("lb1", "1").alert(Unstored("w", told), shop.disk.latest(B))
    assert card(message).title == "\u2714 shop release 1: release finished, 100 % on green"
    assert (told.severity, message.data["next"]) == (Severity.INFO, "nothing: it has ended")


def test_an_alert_without_a_record_still_names_the_command() -> None:
    entry = replace(ENTRY, service=ServiceName("shop"), release=ReleaseId("7"))
    message = Composer("lb1", "1").alert(Unstored("w", entry), None)
    assert message.text == "[info] shop release 7: 25 % | `lbctl rollback 7` | lb1, lbctl 1"


def test_metadata_neighbours_and_this_host_are_out_of_reach_for_names() -> None:
    for address in (
        "169.254.169.254",
        "fe80::1%eth0",
        "::ffff:127.0.0.1",
        "127.0.0.1",
        "::",
        "224.0.0.1",
        "fd00:ec2::254",
    ):
        assert fault(address, loopback_ok=False)
    assert fault("127.0.0.1", loopback_ok=True) is None
    assert fault("10.0.0.5", loopback_ok=False) is None
