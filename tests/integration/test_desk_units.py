"""The desk over two services on a virtual clock: names, views, plans and builds, with a real journal."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lbctl.cli.output import clean
from lbctl.cli.screens.release import plan_screen, release_screen, releases_screen, summary, why_screen
from lbctl.cli.screens.status import status_screen
from lbctl.control import answers, boardanswers, plananswers
from lbctl.core.judge import Word
from lbctl.daemon.desk import Desk
from lbctl.daemon.loop import Loop
from lbctl.daemon.sight import Capable
from lbctl.gate.attest import Said
from lbctl.model.errors import Refused
from lbctl.model.hook import Hook, NoAnswer, Point
from lbctl.model.names import Colour, ServerName, ServiceName
from lbctl.model.operation import Capabilities
from lbctl.model.record import Contract
from lbctl.model.request import Answer, Claim, Pause, Rollback
from lbctl.model.topology import Approvals, JudgeSettings, PinKind, Plan, PlanMode, Service
from lbctl.model.units import MINUTE, Instant, Span
from lbctl.store.journal import Journal
from tests.shop import LB1, LB2, PLAN, A, B, Shop

Json = dict[str, Any]
WALL = "2026-01-02T03:04:05.000Z"


def api(*versions: int) -> Contract:
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    return Contract(requires={"accounts-api": text})


class Nothing:
    """An outbox and a keeper that have nothing to do."""

    pending = 0

    def oldest(self, _: object) -> int:
        """Nothing waits."""
        return 0

    def keep(self, *_: object) -> None:
        """Keep nothing."""


class Office:
    """A desk over a shop: what the shop's journal would hold is written before every question."""

    def __init__(self, path: Path) -> None:
        self.shop = Shop()
        self.able: Capable = {name: Capabilities(version="fake 1", pins=frozenset(PinKind)) for name in (LB1, LB2)}
        self.journal = Journal.open(path / "journal.db")
        self.loop = Loop(self.shop.state, Nothing(), lambda: self.shop.now)
        self._written = 0
        self._desk = Desk(
            loop=self.loop,
            journal=self.journal,
            feed=None,  # type: ignore[arg-type]
            outbox=Nothing,  # type: ignore[arg-type]
            config=None,  # type: ignore[arg-type]
            config_text=str,
            reload=None,  # type: ignore[arg-type]
            able=self.able,
            asking=self,
            connections=self.connections,
            metrics=bytes,
            now=lambda: self.shop.now,
        )

    async def pool(self, service: Service, colour: Colour) -> dict[ServerName, Said]:
        """Ask every server of a pool what it runs."""
        said = {name: one.version for (of, name), one in self.shop.attested().items() if of == service.name}
        return {one.name: Said(said[one.name], "connection refused") for one in service.pool(colour).servers}

    async def connections(self, service: ServiceName, colour: Colour) -> list[Json]:
        """Nobody is connected to a pool of the shop."""
        return []

    async def desk(self) -> Desk:
        """Return the desk, its state and journal up to now."""
        self.loop.state = self.shop.state
        fresh, self._written = self.shop.told[self._written :], len(self.shop.told)
        await self.journal.append(self.shop.disk, fresh, wall=WALL)
        return self._desk

    async def desk_claims(self, name: ServiceName) -> Answer:
        """Claim a pool by the desk."""
        return await (await self.desk()).submit(Claim(id=99, actor="ci", service=name))


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path)
    yield office
    office.journal.close()


def form(found: Json, kind: Any) -> Json:
    """Return the answer, which has the form that the API promises."""
    msgspec.convert(found, kind)
    msgspec.json.encode(found)
    return found


def shown(text: str) -> str:
    """Return a screen whose every line can be printed."""
    assert all(line.isprintable() for line in text.split("\n"))
    return text


async def test_at_rest_active_callers_follow_the_split_and_idle_ones_are_refused(office: Office) -> None:
    office.shop.claim(A)
    office.shop.claim(B)
    found = form((await office.desk()).status("shop"), answers.Status)
    unit = found["units"]["shop"]
    assert unit["services"] == ["accounts", "storefront"]
    assert (unit["carrier"], unit["phase"], unit["release"], unit["members"]) == (None, None, None, [])
    assert unit["pins"] == {
        "accounts<storefront-blue": {"want": "split", "observed": "split", "boot": "split"},
        "accounts<storefront-green": {"want": "none", "observed": "none", "boot": "none"},
    }
    assert unit["claims"]["accounts"]["granted"] is True
    assert found["services"]["storefront"]["claim"]["colour"] == "green"
    assert "claim  accounts green" in shown(status_screen(clean(found)))


async def test_the_board_says_what_each_version_waits_for(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.run(20)
    desk = await office.desk()
    found = form(desk.status(None), answers.Status)
    ready = found["units"]["shop"]["board"]["accounts"]
    assert (ready["version"], ready["build"], ready["provides"]) == ("2", "build/2", {"accounts-api": [2]})
    assert ready["waits"] == (
        "waiting for storefront: storefront 1 requires accounts-api 1, and 2 is provided by accounts 2"
    )
    assert found["services"]["accounts"]["board"] == ready
    assert ready["waits"] in shown(status_screen(clean(found)))
    why = form(await desk.why("shop"), answers.WhyAnswer)
    assert [line["what"] for line in why["lines"] if line["code"] == "board"] == [
        f"accounts 2 is ready: {ready['waits']}"
    ]
    assert (why["release"], why["phase"]) == (None, None)
    assert "accounts 2 is ready" in shown(why_screen(clean(why)))
    (idle,) = (await desk.why("storefront"))["lines"]
    assert idle["what"].startswith(
        "green of storefront is not proved unused: sessions on green of storefront are honoured"
    )
    office.shop.run(1_000)
    with pytest.raises(Refused, match="storefront had no release yet") as refused:
        await (await office.desk()).why("storefront")
    assert refused.value.then == "lbctl switch shop"


async def test_in_a_joint_release_a_follower_has_the_share_and_phase_of_its_release(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.deploy(B, 2, needs(">=2"))
    office.shop.until("shifting")
    office.shop.run(3)
    desk = await office.desk()
    found = form(desk.status(None), answers.Status)
    accounts, storefront, unit = found["services"]["accounts"], found["services"]["storefront"], found["units"]["shop"]
    for key in ("release", "phase", "share_bp", "observed_share_bp", "next", "held"):
        assert accounts[key] == storefront[key] == unit[key], key
    assert accounts["observed_share_bp"] == 1_000
    assert (unit["carrier"], unit["members"]) == ("storefront", ["storefront", "accounts"])
    assert {name: (pin["want"], pin["observed"]) for name, pin in unit["pins"].items()} == {
        "accounts<storefront-blue": ("blue", "blue"),
        "accounts<storefront-green": ("green", "green"),
    }
    assert unit["board"] == unit["claims"] == {}
    shown(status_screen(clean(found)))


async def test_release_and_lists_name_every_member_by_every_name(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.deploy(B, 2, needs(">=2"))
    office.shop.until("shifting")
    desk = await office.desk()
    for target in ("1", "shop", "accounts", "storefront"):
        found = form(await desk.release(target), answers.OneRelease)["release"]
        assert (found["id"], found["unit"], found["service"]) == ("1", "shop", "storefront")
        assert [(one["service"], one["version"], one["build"]) for one in found["members"]] == [
            ("storefront", "2", "build/2"),
            ("accounts", "2", "build/2"),
        ]
        assert form(await desk.why(target), answers.WhyAnswer)["unit"] == "shop"
    assert "storefront blue → green (2), accounts blue → green (2)" in shown(summary(clean(found)))
    assert "accounts" in shown(release_screen(clean({"release": found})))
    for name in (None, "shop", "accounts"):
        listed = form(desk.releases(name), answers.Releases)["releases"]
        assert [one["id"] for one in listed] == ["1"]
        assert [one["id"] for one in (await desk.history(name, 10))["releases"]] == ["1"]
    assert "shop" in shown(releases_screen(clean({"releases": listed})))
    explained = form(await desk.explain("accounts"), answers.Explained)
    assert explained["summary"].startswith("storefront blue → green (2) and accounts blue → green (2) is in shifting")


async def test_a_service_that_went_alone_is_found_after_another_release_of_its_unit(office: Office) -> None:
    """The record keeps the last release of a unit; older ones are the journal's."""
    office.shop.speaks[1] = frozenset({1, 2})
    office.shop.deploy(A, 2, api(1, 2))
    office.shop.until("finished")
    office.shop.speaks[3] = frozenset({2})
    await office.desk()
    office.shop.deploy(B, 3, needs(">=2"))
    office.shop.until("shifting")
    office.shop.until("finished")
    desk = await office.desk()
    assert (await desk.release("accounts"))["release"]["id"] == "1"
    assert (await desk.release("shop"))["release"]["id"] == "2"
    assert [one["id"] for one in (await desk.history("accounts", 10))["releases"]] == ["1"]
    assert [one["id"] for one in (await desk.history("shop", 1))["releases"]] == ["2"]
    assert form(desk.status("accounts"), answers.Status)["units"]["shop"]["release"] == "2"


async def test_events_of_a_unit_are_those_of_its_services_in_their_order(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.deploy(B, 2, needs(">=2"))
    office.shop.until("shifting")
    desk = await office.desk()
    found = await desk.events(0, 1_000, "shop")
    assert {one["service"] for one in found} == {"accounts", "storefront"}
    assert [one["id"] for one in found] == sorted(one["id"] for one in found)
    assert await desk.events(0, 3, "shop") == found[:3]
    assert await desk.events(found[2]["id"], 2, "shop") == found[3:5]


# ---- what became of a build


async def fate(office: Office, build: str) -> Json:
    return form(await (await office.desk()).build(build), boardanswers.BuildAnswer)


async def test_a_build_waits_then_goes_and_is_found_by_either_service(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    found = await fate(office, "build/2")
    assert (found["word"], found["service"], found["release"]) == ("waiting", "accounts", None)
    assert "requires accounts-api 1" in found["text"]
    office.shop.deploy(B, 3, needs(">=2"))
    office.shop.speaks[3] = frozenset({2})
    office.shop.until("shifting")
    assert [(await fate(office, one))["release"] for one in ("build/2", "build/3")] == ["1", "1"]
    office.shop.until("finished")
    assert (await fate(office, "build/2"))["word"] == "released"


async def test_a_newer_claim_supersedes_the_build_that_waited(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.claim(A)
    found = await fate(office, "build/2")
    assert (found["word"], found["service"]) == ("superseded", "accounts")
    assert "2, which was ready, does not go any more" in found["text"]


async def test_a_later_build_on_the_same_claim_takes_the_place_of_the_first(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.run(2)
    assert office.shop.ready(A, 4, api(2)).accepted
    assert (await fate(office, "build/2"))["word"] == "superseded"
    assert (await fate(office, "build/4"))["word"] == "waiting"


async def test_a_withdrawn_build_is_said_so(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.withdraw(A)
    assert (await fate(office, "build/2"))["word"] == "withdrawn"


async def test_a_set_that_was_not_proved_in_time_is_over_for_both_builds_the_well_one_too(office: Office) -> None:
    shop = office.shop
    shop.down.add((A, Colour.GREEN))
    shop.deploy(A, 2, api(2))
    shop.deploy(B, 3, needs(">=2"))
    shop.speaks[3] = frozenset({2})
    shop.until("preflight")
    shop.now = Instant(shop.now + 15 * MINUTE)
    shop.until("cancelled")
    for build in ("build/2", "build/3"):
        found = await fate(office, build)
        assert (found["word"], found["release"]) == ("released", "1")
        assert found["text"].startswith("preflight took longer than 15m: ")


async def test_a_build_that_went_back_and_was_superseded_in_a_second_try_is_superseded(office: Office) -> None:
    office.shop.speaks[2] = frozenset({1, 2})
    office.shop.deploy(B, 2, needs(">=1"))
    office.shop.until("shifting")
    office.shop.on_release(Rollback)
    office.shop.until("rolled_back")
    assert (await fate(office, "build/2"))["word"] == "released"
    office.shop.deploy(B, 2, needs(">=9"))
    assert (await fate(office, "build/2"))["word"] == "waiting"
    office.shop.claim(B)
    assert (await fate(office, "build/2"))["word"] == "superseded"


async def test_a_build_that_nobody_named_is_not_known(office: Office) -> None:
    with pytest.raises(Refused, match="nobody said that build x is ready") as caught:
        await fate(office, "x")
    assert (caught.value.code, caught.value.exit_code) == ("no_such_build", 7)


async def test_a_set_that_its_plan_refuses_is_told_to_every_build_of_it(office: Office) -> None:
    office.shop.reconfigure(judge=JudgeSettings(plan=PlanMode.STRICT))
    office.shop.deploy(A, 2, api(2))
    office.shop.deploy(B, 3, needs(">=2"))
    office.shop.run(5)
    for build in ("build/2", "build/3"):
        found = await fate(office, build)
        assert found["word"] == "refused", found
        assert "cannot go" in found["text"]


async def test_a_newer_build_before_first_traffic_supersedes_its_own_and_the_other_waits(office: Office) -> None:
    office.shop.down.add((A, Colour.GREEN))
    office.shop.deploy(A, 2, api(2))
    office.shop.deploy(B, 3, needs(">=2"))
    office.shop.until("preflight")
    assert (await fate(office, "build/3"))["word"] == "released"
    office.shop.claim(B)
    assert (await fate(office, "build/3"))["word"] == "superseded"
    found = await fate(office, "build/2")
    assert (found["word"], found["text"]) == (
        "waiting",
        "waiting for storefront: storefront 1 requires accounts-api 1, and 2 is provided by accounts 2",
    )


# ---- what a person's switch takes


async def test_a_switch_of_a_unit_takes_all_its_services_the_carrier_first(office: Office) -> None:
    desk = await office.desk()
    going = await desk.going("shop", "unknown", {"accounts": "2", "storefront": "2"})
    assert list(going.items()) == [("storefront", "2"), ("accounts", "2")]
    assert desk.default_plan("shop") == PLAN


@pytest.mark.parametrize(
    ("name", "version", "versions", "code", "exit_code"),
    [
        ("shop", "2", {}, "bad_members", 2),
        ("shop", "unknown", {"pay": "2"}, "bad_members", 2),
        ("nope", "unknown", {}, "no_such_service", 7),
    ],
)
async def test_what_cannot_be_switched_is_refused_and_the_way_out_is_named(
    office: Office, name: str, version: str, versions: dict[str, str], code: str, exit_code: int
) -> None:
    with pytest.raises(Refused) as caught:
        await (await office.desk()).going(name, version, versions)
    assert (caught.value.code, caught.value.exit_code) == (code, exit_code)
    assert code != "no_such_service" or caught.value.why == "services: accounts, storefront; units: shop"


async def test_a_switch_that_names_no_version_takes_what_every_candidate_server_says(office: Office) -> None:
    office.shop.ask_versions()
    office.shop.deployed |= {(A, Colour.GREEN): 2, (B, Colour.GREEN): 5}
    going = await (await office.desk()).going("shop", "unknown", {"accounts": "2.0"})
    assert going == {"storefront": "5", "accounts": "2.0"}


async def test_a_switch_that_names_no_version_is_refused_where_the_candidates_servers_differ(office: Office) -> None:
    office.shop.ask_versions()
    office.shop.deployed |= {(B, Colour.GREEN): 5}
    office.shop.says[ServerName("s-green-1")] = None
    with pytest.raises(Refused) as caught:
        await (await office.desk()).going("shop", "unknown", {})
    assert caught.value.code == "not_attested"
    assert caught.value.why == (
        "s-green-1 names none (connection refused), s-green-0 says 5, s-green-2 says 5, and 4 more"
    )


async def test_a_plan_says_where_nobody_compares_versions(office: Office) -> None:
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {"accounts": "2", "storefront": "5.1"})
    assert "NO_VERSION_CHECK" in {one["code"] for one in plan["warnings"]}
    office.shop.ask_versions()
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {"accounts": "2"})
    told = [one["text"] for one in plan["warnings"] if one["code"] == "VERSION_NOT_NAMED"]
    assert told == ["storefront: no version is named: `switch` takes the one that every candidate server says now"]


async def test_the_plan_of_a_unit_names_all_services_and_the_pins_that_come_first(office: Office) -> None:
    office.shop.claim(A)
    office.shop.claim(B)
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {"accounts": "2", "storefront": "5.1"})
    form(plan, plananswers.PlanAnswer)
    assert plan["refusals"] == []
    assert [(one["service"], one["version_to"]) for one in plan["members"]] == [
        ("storefront", "5.1"),
        ("accounts", "2"),
    ]
    assert plan["writes"][:2] == [
        f"edge/lb{number}: accounts storefront-blue=blue storefront-green=green" for number in (1, 2)
    ]
    assert plan["writes"][2].startswith("edge/lb1: storefront 0:10000:0 → 100:")
    screen = shown(plan_screen(clean(plan)))
    assert "shop: storefront blue → green (1 → 5.1), accounts blue → green (1 → 2)" in screen
    assert "next   lbctl switch shop --version storefront=5.1 --version accounts=2" in screen


async def test_a_plan_of_a_unit_that_is_not_prepared_says_what_each_service_lacks(office: Office) -> None:
    office.shop.down.add((A, Colour.GREEN))
    office.shop.run(5)
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {})
    texts = [one["text"] for one in plan["refusals"]]
    assert [text for text in texts if text.startswith("accounts has no claim")]
    assert [text for text in texts if text.startswith("storefront has no claim")]
    assert [one["text"] for one in plan["unready"]] == [
        "accounts: candidate not healthy (0 of 3 up): "
        "a-green-0: health check fails; a-green-1: health check fails; a-green-2: health check fails"
    ]


async def test_a_load_balancer_that_cannot_pin_refuses_a_unit_and_not_a_service(office: Office) -> None:
    office.shop.claim(A)
    office.shop.claim(B)
    office.able[LB2] = Capabilities(version="old", pins=frozenset({PinKind.SOURCE}))
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {})
    cannot = "edge/lb2: it cannot pin the pools of storefront to a pool of accounts (pin: listener)"
    assert [(one["code"], one["text"]) for one in plan["refusals"]] == [("NO_PINS", cannot)]
    with pytest.raises(Refused, match="cannot pin the pools of storefront"):
        await office.desk_claims(A)
    alone = (await office.desk()).plan("accounts", None, Plan(), "unknown", {})
    assert [one["code"] for one in alone["refusals"]] == ["in_unit"]


async def test_a_plan_says_who_must_approve(office: Office) -> None:
    asked = Plan(approvals=Approvals(2, "deployers", 77))
    plan = (await office.desk()).plan("shop", None, asked, "unknown", {})
    assert plan["gate"] == "2 of group deployers must approve before the first step"
    assert f"  gate   {plan['gate']}" in plan_screen(plan)


async def test_a_plan_names_the_hooks_in_their_order_and_what_no_answer_means(office: Office) -> None:
    asked = Hook(at=Point.SMOKE, argv=("/usr/local/bin/smoke", "-q"), timeout=Span(120_000))
    told = Hook(at=Point.RELEASED, url="https://user:secret@hooks.example/x?token=secret")
    back = Hook(at=Point.AFTER_STEP, argv=("/check",), no_answer=NoAnswer.ROLLBACK)
    office.shop.reconfigure(hooks=(asked, told, back))
    plan = form((await office.desk()).plan("shop", None, Plan(), "unknown", {}), plananswers.PlanAnswer)
    assert [(one["at"], one["asked"]) for one in plan["hooks"]] == [
        ("smoke", True),
        ("released", False),
        ("after_step", True),
    ]
    screen = plan_screen(plan)
    assert "  hook   smoke: /usr/local/bin/smoke must say yes; without an answer in 2m it holds\n" in screen
    assert "  hook   released: hooks.example is told\n" in screen
    assert "  hook   after_step: /check must say yes; without an answer in 30s it goes back\n" in screen
    assert "secret" not in screen


async def test_status_says_which_version_the_servers_of_a_candidate_named(office: Office) -> None:
    office.shop.ask_versions()
    office.shop.switch(B, A, version=2)
    office.shop.run(3)
    desk = await office.desk()
    view = form(desk.status("accounts"), answers.Status)["services"]["accounts"]
    green = view["pools"]["green"]
    assert green["attested"] == {"2": green["server_count"]}
    assert {one["says"] for one in view["servers"].values() if one["pool"] == "green"} == {"2"}
    count = green["server_count"]
    assert f"2 ({count} of {count} say so)" in status_screen(clean(desk.status("shop")))


async def test_a_plan_in_a_freeze_window_is_refused_and_says_until_when(office: Office) -> None:
    office.shop.frozen = {A: "frozen until Mon 2027-01-04 06:00 UTC"}
    office.shop.run(1)
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {})
    assert "frozen" in [one["code"] for one in plan["refusals"]]


async def test_the_plan_of_a_member_says_that_it_goes_with_its_unit(office: Office) -> None:
    plan = form((await office.desk()).plan("accounts", None, Plan(), "2", {}), plananswers.PlanAnswer)
    assert (plan["unit"], plan["refusals"][0]["code"]) == ("shop", "in_unit")


async def test_a_pause_is_seen_by_every_name(office: Office) -> None:
    office.shop.deploy(A, 2, api(2))
    office.shop.deploy(B, 2, needs(">=2"))
    office.shop.until("shifting")
    office.shop.on_release(Pause)
    office.shop.run(2)
    found = (await office.desk()).status("accounts")
    assert list(found["services"]) == ["accounts"]
    assert found["services"]["accounts"]["held"]["code"] == "paused"
    assert found["units"]["shop"]["held"]["code"] == "paused"
    assert ServiceName("storefront") not in found["services"]


async def test_a_name_that_is_nearly_right_is_asked_back(office: Office) -> None:
    with pytest.raises(Refused) as caught:
        (await office.desk()).services_of("acounts")
    assert caught.value.then == "did you mean accounts?"


async def test_each_service_has_the_judges_word_on_itself(office: Office) -> None:
    office.shop.switch(B, A, version=2)
    office.shop.until("shifting")
    office.shop.run(3)
    desk = await office.desk()
    state = desk._loop.state
    assert office.shop.release is not None
    progress = state.progress[office.shop.release.id]
    ours = progress.verdicts[B]
    stale = replace(ours, word=Word.HOLD, code="counters_stale", reason="counters could not be read")
    worst = replace(stale, reason="accounts: counters could not be read", blamed=A)
    progress = replace(progress, verdicts={A: stale, B: ours}, verdict=worst)
    desk._loop.state = replace(state, progress={office.shop.release.id: progress})
    found = desk.status("shop")["services"]
    assert found["accounts"]["verdict"]["reason"].startswith("counters could not be read")
    assert found["storefront"]["verdict"]["reason"].startswith(ours.reason)
    screen = status_screen(clean(desk.status("shop")))
    assert "judge  accounts: counters could not be read" in screen
    assert "judge  storefront: accounts" not in screen


async def test_servers_that_contradict_a_version_are_told_on_the_board_and_when_it_is_said(office: Office) -> None:
    office.shop.ask_versions()
    office.shop.deploy(A, 2, api(2))
    office.shop.says[ServerName("a-green-1")] = "1.9"
    office.shop.run(2)
    desk = await office.desk()
    told = "1 of 3 servers of green do not say 2: a-green-1 says 1.9"
    assert await desk.doubt("accounts", None, "2") == told
    assert await desk.doubt("accounts", "blue", "1") == ""
    assert await desk.doubt("accounts", "blue", "unknown") == ""
    found = form(desk.status("shop"), answers.Status)
    assert found["units"]["shop"]["board"]["accounts"]["doubt"] == told
    assert f"! {told}" in shown(status_screen(clean(found)))
    (line,) = [one for one in (await desk.why("accounts"))["lines"] if "accounts 2 is ready" in one["what"]]
    assert told in line["what"]


async def test_status_says_what_a_release_would_wait_for(office: Office) -> None:
    office.able[LB2] = "the socket /run/b.sock has level operator: lbctl needs level admin"
    desk = await office.desk()
    found = form(desk.status("shop"), answers.Status)
    (told,) = found["services"]["accounts"]["unready"]
    assert told["code"] == "not_known"
    assert shown(status_screen(clean(found))).count("has level operator") == 1
    del office.able[LB2]
    assert desk.status("shop")["services"]["accounts"]["unready"] == []


async def test_status_says_that_the_config_file_was_refused(office: Office) -> None:
    found = (await office.desk()).status(None)
    assert found["daemon"]["config_refused"] == ""
    found["daemon"]["config_refused"] = "since 2026-01-02T03:04:05Z: lbctl.yaml:3:9: retain: expected a duration"
    assert "! the config file was refused, and the one before it is in force, since 2026" in status_screen(clean(found))


async def test_a_name_that_a_refusal_begins_with_is_not_put_before_it_again(office: Office) -> None:
    office.shop.frozen = {B: "frozen until Mon 2027-01-04 06:00 UTC"}
    office.shop.run(1)
    plan = (await office.desk()).plan("shop", None, Plan(), "unknown", {})
    (text,) = [one["text"] for one in plan["refusals"] if one["code"] == "frozen"]
    assert text.startswith("storefront is frozen")
