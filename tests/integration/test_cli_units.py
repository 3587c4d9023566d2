"""Two pipelines and a person at the real command line, against a real control socket: a unit of two services."""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lbctl.model.errors import Refused
from lbctl.model.record import Contract
from lbctl.model.request import Adopt, Approve, Claim, Maintenance, Pause, SayReady, Switch, Withdraw
from tests.fake_desk import FakeDesk, claimed, event, joint, served, shop, unit, waiting
from tests.integration.test_cli_commands import ended, run, start

Json = dict[str, Any]
BUILD = "https://ci-a/118"
READY = f"release ready shop --service accounts --version 2.0.0 --build {BUILD}"


@pytest.fixture
async def desk(path: str) -> AsyncIterator[FakeDesk]:
    desk = FakeDesk()
    desk.views, desk.units, desk.record = shop(), {"shop": unit()}, [joint()]
    async with served(desk, path):
        yield desk


def fate(word: str, text: str = "", number: str | None = None) -> Json:
    """Return what became of the build of accounts."""
    about = {"build": BUILD, "service": "accounts", "version": "2.0.0"}
    return {"word": word, "text": text, "release": number, "unit": number and "shop", **about}


# ---- claim


async def test_a_claim_prints_no_colour_and_exits_with_26_until_it_is_granted(desk: FakeDesk, path: str) -> None:
    done = await run(path, "claim", "accounts", "--reason", "build 118")
    assert (done.code, done.out) == (26, "")
    assert "not granted yet, so do not deploy: green is held, but not every load balancer reads back yet" in done.err
    assert done.err.rstrip().endswith("lbctl claim accounts --wait")
    (asked,) = desk.asked
    assert isinstance(asked, Claim)
    assert (asked.service, asked.reason) == ("accounts", "build 118")


async def test_a_claim_in_json_says_whether_it_is_granted_and_proved(desk: FakeDesk, path: str) -> None:
    done = await run(path, "claim", "accounts", "-o", "json")
    assert done.code == 26
    assert done.data == {"service": "accounts", "colour": "green", "granted": False, "proved": True}


async def test_waiting_for_a_claim_asks_once_and_then_only_looks(desk: FakeDesk, path: str) -> None:
    """A second claim would take off the board what another job has put there meanwhile."""
    desk.views["accounts"]["claim"] = claimed(granted=False)
    process = await start(path, "claim", "accounts", "--wait", "--timeout", "20s", "-o", "json")
    assert process.stderr is not None
    assert b"green is held" in await asyncio.wait_for(process.stderr.readline(), 20)
    desk.views["accounts"]["claim"] = claimed()
    done = await ended(process)
    assert done.code == 0
    assert done.data == {"service": "accounts", "colour": "green", "granted": True, "proved": True}
    assert len(desk.asked) == 1


async def test_waiting_for_a_claim_waits_for_the_end_of_a_release(desk: FakeDesk, path: str) -> None:
    desk.refuse = Refused("in_release", "green of accounts is part of release 7 (baking)")
    desk.refuses_once = True
    desk.views["accounts"]["claim"] = claimed()
    done = await run(path, "claim", "accounts", "--wait", "--timeout", "20s")
    assert (done.code, done.out) == (0, "green\n")
    assert done.err.count("waits: green of accounts is part of release 7 (baking)") == 1
    assert len(desk.asked) == 2


async def test_a_claim_is_its_builds_and_another_holder_is_waited_for(desk: FakeDesk, path: str) -> None:
    desk.refuse = Refused("claimed", "green of accounts has been claimed by build https://ci/7 for 5m")
    desk.refuses_once = True
    desk.views["accounts"]["claim"] = claimed(build=BUILD)
    done = await run(path, "claim", "accounts", "--build", BUILD, "--unit", "shop", "--wait", "--timeout", "20s")
    assert (done.code, done.out) == (0, "green\n")
    assert done.err.count("waits: green of accounts has been claimed by build https://ci/7") == 1
    assert [(one.build, one.take_over) for one in desk.asked if isinstance(one, Claim)] == [(BUILD, False)] * 2


async def test_a_claim_that_is_taken_over_while_it_is_waited_for_ends_the_wait(desk: FakeDesk, path: str) -> None:
    desk.views["accounts"]["claim"] = claimed(build="https://ci/8")
    done = await run(path, "claim", "accounts", "--build", BUILD, "--wait", "--timeout", "20s")
    assert (done.code, done.out) == (25, "")
    assert "green of accounts is claimed by https://ci/8 now: do not deploy" in done.err


async def test_a_person_takes_a_claim_over(desk: FakeDesk, path: str) -> None:
    assert (await run(path, "claim", "accounts", "--take-over")).code == 26
    first, _ = desk.asked
    assert isinstance(first, Claim)
    assert first.take_over


async def test_a_wrong_unit_is_found_by_the_claim_and_not_only_after_the_deployment(desk: FakeDesk, path: str) -> None:
    done = await run(path, "claim", "accounts", "--unit", "accounts", "--wait")
    assert done.code == 7
    assert "accounts is released with unit shop, not accounts" in done.err
    assert desk.asked == []


async def test_a_claim_that_is_not_granted_in_time_exits_with_22_and_prints_no_colour(
    desk: FakeDesk, path: str
) -> None:
    desk.views["accounts"]["claim"] = claimed(granted=False)
    done = await run(path, "claim", "accounts", "--wait", "--timeout", "400ms")
    assert (done.code, done.out) == (22, "")
    assert "lbctl status accounts" in done.err


async def test_a_claim_that_is_refused_for_good_is_not_waited_for(desk: FakeDesk, path: str) -> None:
    desk.refuse = Refused("not_adopted", "accounts is only observed", then="lbctl adopt accounts --active blue")
    done = await run(path, "claim", "accounts", "--wait", "--timeout", "20s")
    assert (done.code, done.out) == (5, "")
    assert "lbctl adopt accounts" in done.err


async def test_a_unit_is_not_claimed_and_its_services_are_named(desk: FakeDesk, path: str) -> None:
    done = await run(path, "claim", "shop")
    assert done.code == 7
    assert "shop is a unit, not a service" in done.err
    assert "accounts, storefront" in done.err
    assert desk.asked == []


# ---- ready and withdraw


async def test_ready_carries_the_build_and_the_contract(desk: FakeDesk, path: str) -> None:
    words = [*READY.split(), "--provides", "accounts-api=2", "--provides", "accounts-api=1"]
    done = await run(path, *words, "--requires", "ledger>=3, <5", "--requires", "ledger!=4")
    assert done.code == 0, done.err
    assert done.out.splitlines()[0] == "accounts 2.0.0   ● ready in shop"
    assert f"lbctl release wait --build {BUILD}" in done.out
    (asked,) = desk.asked
    assert isinstance(asked, SayReady)
    assert (asked.service, asked.version, asked.build) == ("accounts", "2.0.0", BUILD)
    assert asked.contract == Contract(provides={"accounts-api": (1, 2)}, requires={"ledger": ">=3,<5,!=4"})
    assert len(asked.nonce) == 32
    assert asked.wall


async def test_a_service_in_no_unit_is_ready_by_its_own_name(desk: FakeDesk, path: str) -> None:
    desk.views["web"] = shop()["accounts"]
    done = await run(path, "release", "ready", "web", "--service", "web", "--version", "2", "--build", BUILD)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (f"{READY} --provides accounts-api", 2, "provides 'accounts-api' cannot be understood"),
        (f"{READY} --provides accounts-api=two", 2, "'two' is not a whole number"),
        (f"{READY} --provides accounts-api=-1", 2, "'-1' is not a whole number"),
        (f"{READY} --provides Accounts=1", 2, "it is not a name and a number"),
        (f"{READY} --requires accounts-api", 2, "it has no range"),
        (f"{READY} --requires accounts-api>=x", 2, "'>=x' is no range of versions: write it as >=1,<3 or 2"),
        (f"{READY} --requires accounts-api>=1;<2", 2, "'>=1;<2' is no range of versions"),
        (f"{READY} --requires >=1", 2, "it does not begin with a name"),
        (f"{READY} --requires accounts-api>=3,<2", 2, "no version meets >=3,<2"),
        (READY.replace(BUILD, "''"), 2, "build"),
        (READY.replace("ready shop", "ready storefront"), 7, "accounts is released with unit shop, not storefront"),
        (READY.replace("ready shop", "ready accounts"), 7, "lbctl release ready shop --service accounts"),
        (READY.replace("--service accounts", "--service pay"), 7, "known are: accounts, storefront, shop"),
        (READY.replace(f"--build {BUILD}", ""), 2, "--build"),
        ("release withdraw shop --service pay", 7, "there is no service pay"),
        ("release wait", 2, "name a release, service or unit, or give --build URL"),
        (f"release wait 7 --build {BUILD}", 2, "name a release, service or unit, or give --build URL"),
        ("release wait --build nobody", 7, "nobody said that build nobody is ready"),
        ("switch accounts --version 2", 5, "lbctl switch shop"),
        ("switch shop --version 2 --version 3", 2, "SERVICE=VERSION"),
        ("switch shop --version accounts=2 --version accounts=3", 2, "a service has one version"),
        ("switch shop --to green", 2, "each goes to its own other pool"),
        ("status nope", 7, "known are: accounts, storefront, shop"),
    ],
)
async def test_mistakes_are_told_with_the_place_and_the_next_step(
    desk: FakeDesk, path: str, words: str, code: int, says: str
) -> None:
    done = await run(path, *[word.strip("'") for word in words.split()])
    assert (done.code, desk.asked) == (code, []), done.err
    assert says in done.err
    assert "Traceback" not in done.err


async def test_a_version_is_taken_off_the_board(desk: FakeDesk, path: str) -> None:
    done = await run(path, "release", "withdraw", "shop", "--service", "accounts", "--reason", "wrong branch")
    assert (done.code, done.out.split("\n")[0]) == (0, "accounts   - nothing of it is on the board of shop")
    assert "lbctl claim accounts --give-back --build https://ci-a.example/118" in done.out
    (asked,) = desk.asked
    assert isinstance(asked, Withdraw)
    assert asked.reason == "wrong branch"


async def test_adoption_takes_what_the_active_version_promises(desk: FakeDesk, path: str) -> None:
    words = "adopt storefront --active blue --version 5.0.1 --requires accounts-api<2"
    assert (await run(path, *words.split())).code == 0
    (asked,) = desk.asked
    assert isinstance(asked, Adopt)
    assert asked.contract == Contract(requires={"accounts-api": "<2"})


# ---- waiting for a build


async def test_a_build_is_followed_from_the_board_into_its_release(desk: FakeDesk, path: str) -> None:
    desk.record = [joint(phase="draining", baked=True, share_bp=10000)]
    desk.journal = [event(1, "drain.started", "green is active", service="storefront")]
    desk.fates = {BUILD: [fate("waiting", "waiting for storefront: 5.0.1 is too old"), fate("released", number="7")]}
    done = await run(path, "release", "wait", "--build", BUILD, "--timeout", "20s", "-o", "json")
    assert done.code == 0, done.err
    assert done.data["release"]["unit"] == "shop"
    assert done.data["build"]["word"] == "released"
    assert "waiting for storefront: 5.0.1 is too old" in done.err
    assert f"build {BUILD} goes with release 7" in done.err
    assert "green is active" in done.err


@pytest.mark.parametrize(
    ("found", "code"),
    [
        (joint(phase="rolled_back", back_by="itself"), 20),
        (joint(phase="rolled_back", back_by="person"), 21),
        (joint(phase="baking"), 22),
        (joint(phase="finished", baked=True, outcome="unproven"), 0),
    ],
)
async def test_once_it_goes_the_codes_are_those_of_a_release(desk: FakeDesk, path: str, found: Json, code: int) -> None:
    desk.record, desk.fates = [found], {BUILD: [fate("released", number="7")]}
    done = await run(path, "release", "wait", "--build", BUILD, "--timeout", "600ms")
    assert done.code == code, done.err
    assert done.out.startswith("release 7   shop: storefront blue → green (5.1.0), accounts green → blue (2.0.0)")


@pytest.mark.parametrize(("word", "code"), [("waiting", 26), ("superseded", 25), ("withdrawn", 21), ("refused", 5)])
async def test_a_build_that_does_not_go_says_why_by_its_exit_code(
    desk: FakeDesk, path: str, word: str, code: int
) -> None:
    desk.fates = {BUILD: [fate(word, "the reason")]}
    done = await run(path, "release", "wait", "--build", BUILD, "--timeout", "300ms")
    assert done.code == code
    assert "accounts 2.0.0" in done.out
    assert "the reason" in done.out


async def test_a_release_that_a_newer_build_ended_exits_with_25(desk: FakeDesk, path: str) -> None:
    desk.record = [
        joint(phase="cancelled", back_by="newer", outcome="superseded: accounts is claimed for a newer build")
    ]
    desk.fates = {BUILD: [fate("released", number="7"), fate("superseded", "accounts is claimed")]}
    assert (await run(path, "release", "wait", "--build", BUILD)).code == 25
    assert (await run(path, "release", "wait", "7")).code == 25


@pytest.mark.parametrize("back_by", ["itself", "person"])
async def test_a_release_that_was_cancelled_is_over_for_its_builds_and_says_what_to_do(
    desk: FakeDesk, path: str, back_by: str
) -> None:
    desk.record = [
        joint(phase="cancelled", back_by=back_by, outcome="preflight took longer than 15m: accounts-1 is down")
    ]
    desk.fates = {BUILD: [fate("released", number="7")]}
    done = await run(path, "release", "wait", "--build", BUILD)
    assert done.code == 21, done.err
    first, then = done.out.splitlines()
    assert first.endswith(": preflight took longer than 15m: accounts-1 is down")
    assert then == (
        f"  next   it does not go again by itself: lbctl claim accounts --build {BUILD} --wait, deploy, then say ready"
    )


async def test_a_build_whose_partner_ended_the_release_waits_again(desk: FakeDesk, path: str) -> None:
    desk.record = [joint(phase="cancelled", back_by="newer", outcome="superseded: storefront is claimed")]
    waits = fate("waiting", "waiting for storefront")
    desk.fates = {BUILD: [fate("released", number="7"), waits, waits]}
    done = await run(path, "release", "wait", "--build", BUILD, "--timeout", "1s")
    assert done.code == 26, done.err
    assert f"release 7 was superseded by a newer build; {BUILD} waits for it" in done.err


# ---- a person


async def test_a_release_is_approved_by_number_or_name_and_the_groups_come_from_the_kernel(
    desk: FakeDesk, path: str
) -> None:
    desk.record = [joint(phase="awaiting_approval")]
    for target in ("7", "shop", "accounts"):
        done = await run(path, "release", "approve", target, "--reason", "prices checked")
        assert done.code == 0, done.err
    assert {(type(one), getattr(one, "release", None), one.reason) for one in desk.asked} == {
        (Approve, "7", "prices checked")
    }
    (asked, *_) = desk.asked
    assert isinstance(asked, Approve)
    assert (asked.uid, asked.groups >= {os.getgid()}) == (os.getuid(), True)


async def test_whoever_may_not_approve_is_told_by_whom_and_exits_with_6(desk: FakeDesk, path: str) -> None:
    desk.record = [joint(phase="awaiting_approval")]
    what = "uid 5 may not approve release 7"
    desk.refuse = Refused("not_authorised", what, why="approvals come from group deployers", exit_code=6)
    done = await run(path, "release", "approve", "shop")
    assert done.code == 6
    assert "approvals come from group deployers" in done.err


async def test_show_says_who_must_approve_and_who_did(desk: FakeDesk, path: str) -> None:
    given = {"count": 2, "group": "deployers", "given": ["uid 2001 (eva) pid 7"]}
    desk.record = [joint(phase="awaiting_approval", approvals=given)]
    done = await run(path, "release", "show", "shop")
    assert "gate   2 of group deployers must approve; did: uid 2001 (eva) pid 7" in done.out


async def test_a_unit_is_switched_with_a_version_for_each_service(desk: FakeDesk, path: str) -> None:
    words = "switch shop --version accounts=2.0.0 --version storefront=5.1.0 --steps 50%,100% --reason both"
    done = await run(path, *words.split())
    assert done.code == 0, done.err
    (asked,) = desk.asked
    assert isinstance(asked, Switch)
    assert (asked.service, asked.version, asked.followers) == ("storefront", "5.1.0", {"accounts": "2.0.0"})
    assert (asked.to, asked.plan.steps_bp) == (None, (5_000, 10_000))
    assert done.out.startswith("release 7   shop: storefront 5.1.0, accounts 2.0.0 by 50 %, 100 %")


async def test_switch_of_a_unit_waits_for_the_bake(desk: FakeDesk, path: str) -> None:
    desk.record = [joint(phase="draining", baked=True, share_bp=10000)]
    done = await run(path, "switch", "shop", "--wait", "--timeout", "20s")
    assert done.code == 0, done.err
    assert "release 7 of shop started" in done.err


async def test_every_name_of_a_release_steers_it(desk: FakeDesk, path: str) -> None:
    for target in ("shop", "accounts", "storefront", "7"):
        assert (await run(path, "pause", target)).code == 0
    assert [(type(one), getattr(one, "release", None)) for one in desk.asked] == [(Pause, "7")] * 4


async def test_maintenance_of_a_unit_is_that_of_each_service(desk: FakeDesk, path: str) -> None:
    done = await run(path, "maintenance", "on", "shop")
    assert (done.code, done.out) == (0, "maintenance is on for shop\n")
    assert [(type(one), one.service) for one in desk.asked if isinstance(one, Maintenance)] == [
        (Maintenance, "accounts"),
        (Maintenance, "storefront"),
    ]


async def test_the_plan_of_a_unit_ends_with_its_switch(desk: FakeDesk, path: str) -> None:
    words = "plan shop --version accounts=2.0.0 --version storefront=5.1.0"
    done = await run(path, *words.split())
    assert done.code == 0
    assert done.out.splitlines()[0].startswith("shop: storefront blue → green (1.9.3 → 5.1.0), accounts blue → green")
    assert "next   lbctl switch shop --version accounts=2.0.0 --version storefront=5.1.0" in done.out


async def test_status_of_a_unit_shows_its_board_and_events_are_those_of_all_services(desk: FakeDesk, path: str) -> None:
    desk.units["shop"] = unit(board={"accounts": waiting()})
    desk.journal = [event(1, service="accounts"), event(2, service="web"), event(3, service="storefront")]
    done = await run(path, "status", "shop")
    assert done.out.startswith("shop   release 7   ● shifting")
    assert "waiting for storefront" in done.out
    events = await run(path, "events", "shop")
    assert [line.split()[-1] for line in events.out.splitlines()] == ["1", "3"]


async def test_servers_that_say_another_version_are_told_to_who_says_it(desk: FakeDesk, path: str) -> None:
    desk.doubted = "green-1 says 1.9.2"
    told = await run(path, *READY.split())
    assert (told.code, "! 1 of 2 servers of green do not say 2.0.0: green-1 says 1.9.2" in told.out) == (0, True)
    adopted = await run(path, "adopt", "accounts", "--active", "blue", "--version", "5.0.9")
    assert "! 1 of 2 servers of blue do not say 1.9.3: green-1 says 1.9.2" in adopted.out
