"""What people see, kept as files. `UPDATE=1 pytest tests/unit/test_cli_screens.py` writes them anew."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lbctl.cli.doctoring import screen as doctor_screen
from lbctl.cli.importing import document_of, proposed, report
from lbctl.cli.output import clean
from lbctl.cli.screens.lines import event_line, waiting_line
from lbctl.cli.screens.release import (
    changed_screen,
    explain_screen,
    plan_screen,
    release_screen,
    releases_screen,
    started_screen,
    why_screen,
)
from lbctl.cli.screens.status import status_screen
from lbctl.core.planner import Traffic, forecast
from lbctl.daemon.board_why import board_lines, board_why
from lbctl.daemon.sight import better_view, steps_view, traffic_view
from lbctl.model.topology import JudgeSettings, Plan
from lbctl.sim.world import SERVICE, topology
from tests.fake_desk import (
    FakeDesk,
    cell,
    claimed,
    event,
    joint,
    pin,
    pool,
    release,
    servers,
    service,
    shop,
    unit,
    waiting,
)

Json = dict[str, Any]
FILES = Path(__file__).parent / "cli_screens"
DAEMON: Json = {"version": "0.1.0", "pid": 42, "journal": "ok", "alerts_pending": 0}
DESK = FakeDesk()
FIGURES: Json = {
    "candidate_total": 2110,
    "candidate_bad": 82,
    "candidate_low": 0.0314,
    "candidate_high": 0.048,
    "active_total": 6330,
    "active_bad": 6,
    "odds": 1520.3,
    "odds_limit": 1000.0,
    "since_s": 3.4,
}


def status(*, daemon: Json | None = None, **more: Any) -> Json:
    return {"services": {"web": service(**more)}, "units": {}, "daemon": {**DAEMON, **(daemon or {})}}


def troubled() -> Json:
    view = status(
        observed_share_bp=1000,
        held={
            "reason": "candidate not healthy: green-2 is down (HTTP 503)",
            "code": "candidate",
            "since_ms": 4200,
            "needs": "every candidate server healthy",
        },
        next="waits for every candidate server healthy",
        daemon={"journal": "no space left on device", "alerts_pending": 2, "alerts_waited_ms": 65_000},
    )
    found = view["services"]["web"]
    found["servers"]["green-2"] = {**servers()["green-2"], "up": False, "detail": "HTTP 503"}
    found["servers"]["green-1"] = {**servers()["green-1"], "up": None, "weight": None, "in_flight": None}
    found["instances"]["edge/lb1"] |= {
        "routes": ["1000:10000:10000", "2500:10000:10000"],
        "old_generations": 1,
        "warnings": ["NO_MASTER_SOCKET: old workers cannot be read"],
    }
    lost = {"reachable": False, "reason": "connection refused", "generation": None, "old_generations": 0}
    found["instances"]["edge/lb2"] = {**lost, "routes": [], "boot": None}
    return view


def at_rest() -> Json:
    return status(
        active="green",
        candidate=None,
        share_bp=10000,
        observed_share_bp=10000,
        phase="finished",
        step=None,
        next="",
        verdict=None,
        pools={"blue": pool("draining", "1.9.3", 18000, 38), "green": pool("active", "2.0.0", 0, 0)},
        instances={},
    )


def hostile() -> Json:
    view = status()
    name = "evil\x1b[2J\x07\r\nfake  ● up\u202e\u200b"
    view["services"]["web"]["servers"][name] = {**servers()["green-1"], "up": False, "detail": "\x9b31m\tgotcha\x00"}
    return view


def existing() -> Json:
    """What is proposed of an HAProxy with everything in it."""
    document = document_of([str(FILES.parents[1] / "existing" / "complex.cfg")], (), ())
    return proposed(document, (), "complex.cfg", "/run/haproxy-master.sock", "/var/lib/lbctl/haproxy")


def examined() -> Json:
    """What doctor found, of each weight."""
    named = [
        ("STALE_STATE_FILE", "fault", "haproxy.cfg:31", "web loads a server-state file", "none, there"),
        ("OTHER_BALANCER", "warning", "keepalived", "keepalived runs (VRRP)", "release there, too"),
        ("CLOCK_UNSYNCHRONISED", "note", "", "no time server keeps this host's clock", "timedatectl set-ntp true"),
    ]
    keys = ("code", "weight", "where", "what", "fix")
    found = [dict(zip(keys, one, strict=True)) for one in named]
    counts = {"fault": 1, "warning": 1, "note": 1}
    return {"config": "/etc/lbctl/lbctl.yaml", "daemon": True, "findings": found, "counts": counts}


def foreseen() -> Json:
    """What the planner says of the default plan at 5 requests a second."""
    ahead = forecast(Plan(), JudgeSettings(), Traffic(5, 0.001, known_s=86_400, baseline=True))
    service = topology(()).services[SERVICE]
    return {"steps": steps_view(ahead), "traffic": traffic_view(ahead), "better": better_view(ahead, service)}


def shopping(*, services: Json | None = None, **more: Any) -> Json:
    """A unit of two services in a joint release."""
    return {"services": services or shop(), "units": {"shop": unit(**more)}, "daemon": DAEMON}


def unproven(data: Json) -> Json:
    """The same where the release ended with an old pool that is not proved unused, whatever its outcome says."""
    ended = {"result": "unproven", "outcome": "green is kept as draining"}
    return {
        **data,
        **{key: {name: {**one, **ended} for name, one in data[key].items()} for key in ("services", "units")},
    }


def resting() -> Json:
    """A unit at rest: a breaking accounts waits on the board, storefront is being deployed."""
    views = shop()
    for name, (active, idle) in (("accounts", ("green", "blue")), ("storefront", ("blue", "green"))):
        state = {active: "active", idle: "idle"}
        pools = {colour: {**one, "state": state[colour]} for colour, one in views[name]["pools"].items()}
        views[name] |= {"pools": pools, "phase": "finished", "step": None, "verdict": None, "candidate": None}
    pins = {"accounts<storefront-blue": pin("split"), "accounts<storefront-green": pin("none", "none split", "split")}
    held = claimed(granted=False, waits="the next reading of edge/lb1 is awaited")
    claims = {"accounts": claimed(colour="blue"), "storefront": held}
    at_rest = {"carrier": None, "members": [], "phase": "finished", "release": "6", "step": None, "next": ""}
    cells = [
        cell("storefront-blue", "green", 18_000),
        cell("storefront-green", "blue", 6_000, last_s=252.0),
        cell("storefront-green", "green", 12, last_s=3.6, wrong=12),
        cell(None, "green", 3, last_s=31.0),
    ]
    matrix = {"accounts": cells}
    return shopping(services=views, board={"accounts": waiting()}, claims=claims, pins=pins, matrix=matrix, **at_rest)


def unwell() -> Json:
    """A unit that goes back while a server of each service is down and a load balancer was reloaded."""
    views = shop()
    for name, server in (("accounts", "blue-1"), ("storefront", "green-2")):
        views[name]["servers"][server] = {**servers()[server], "up": False, "detail": "HTTP 503"}
        views[name]["instances"]["edge/lb1"] |= {"old_generations": 1, "boot": "0:10000:10000"}
        views[name] |= {"phase": "rolling_back", "mode": "maintenance", "verdict": None}
    held = {"reason": "edge/lb1 was not read yet", "code": "instance", "since_ms": 900, "needs": "an answer"}
    return shopping(services=views, phase="rolling_back", share_bp=0, held=held, step=None, next="")


def together(answer: Json) -> Json:
    """The same plan for two services."""
    members = [
        {"service": "storefront", "from": "blue", "to": "green", "version_from": "5.0.1", "version_to": "5.1.0"},
        {"service": "accounts", "from": "green", "to": "blue", "version_from": "1.9.3", "version_to": "2.0.0"},
    ]
    writes = ["edge/lb1: accounts storefront-blue=green storefront-green=blue", *answer["writes"]]
    return {**answer, "unit": "shop", "members": members, "writes": writes}


SCREENS: dict[str, tuple[Callable[[Json], str], Json]] = {
    "status-shifting": (status_screen, status()),
    "status-every-server": (lambda data: status_screen(data, servers=True), status()),
    "status-trouble": (status_screen, troubled()),
    "status-at-rest": (status_screen, at_rest()),
    "status-unproven": (status_screen, unproven(at_rest())),
    "status-unit-unproven": (status_screen, unproven(resting())),
    "status-rolled-back": (
        status_screen,
        status(candidate=None, phase="rolled_back", share_bp=0, step=None, verdict=None),
    ),
    "status-observed": (
        status_screen,
        status(active=None, candidate=None, phase=None, release=None, mode="observe", step=None, verdict=None),
    ),
    "status-maintenance": (status_screen, status(mode="maintenance")),
    "status-no-service": (status_screen, {"services": {}, "units": {}, "daemon": DAEMON}),
    "status-hostile-names": (status_screen, hostile()),
    "status-unit-shifting": (status_screen, shopping()),
    "status-unit-at-rest": (status_screen, resting()),
    "status-unit-trouble": (status_screen, unwell()),
    "status-unit-one-service": (
        lambda data: status_screen(data, servers=True),
        shopping(services={"accounts": shop()["accounts"]}),
    ),
    "status-claimed": (status_screen, status(claim=claimed(), board=waiting(waits="waiting for the end of release 7"))),
    "plan-unit": (plan_screen, together(DESK.plan("web", None, Plan(), "2.0.0", {}))),
    "plan": (plan_screen, DESK.plan("web", None, Plan(), "2.0.0", {})),
    "plan-refused": (
        plan_screen,
        {
            **DESK.plan("web", None, Plan(), "2.0.0", {}),
            "refusals": [{"code": "maintenance", "text": "maintenance is on: nothing is written"}],
            "unready": [{"code": "candidate", "text": "candidate not healthy (1 of 2 up): green-2: HTTP 503"}],
            "warnings": [{"code": "NO_MASTER_SOCKET", "text": "edge/lb1: old workers cannot be read"}],
        },
    ),
    "plan-little-traffic": (plan_screen, {**DESK.plan("web", None, Plan(), "2.0.0", {}), **foreseen()}),
    "plan-not-ready": (
        lambda plan: plan_screen(plan, "lbctl switch web --to green --version 2.0.0 --hold 5s"),
        {
            **DESK.plan("web", None, Plan(), "2.0.0", {}),
            "unready": [{"code": "not_known", "text": "edge/lb1: nobody knows what it can do: no right"}],
        },
    ),
    "releases": (
        releases_screen,
        {
            "releases": [
                release(),
                release(id="6", phase="rolled_back", share_bp=0, outcome="green fails more"),
            ]
        },
    ),
    "releases-unit": (releases_screen, {"releases": [joint(), release(id="6", phase="finished", share_bp=10000)]}),
    "release-show-unit": (release_screen, {"release": {**joint(), "events": []}}),
    "releases-none": (releases_screen, {"releases": []}),
    "release-show": (
        release_screen,
        {
            "release": {
                **release(),
                "holds": [
                    {"reason": "paused by uid 0", "code": "paused", "since_ms": 90000, "needs": "lbctl resume 7"}
                ],
                "events": [event(1, "release.started", "release 7: web blue → green"), event(2, severity="page")],
            }
        },
    ),
    "why": (
        why_screen,
        {
            "service": "web",
            "release": "7",
            "phase": "shifting",
            "lines": [
                {
                    "what": "only 3 requests of 5 judged",
                    "since_ms": 4000,
                    "needs": "traffic, or lbctl promote 7",
                    "deadline": "in 25m",
                    "then": "a person is paged, it stays",
                },
                {"what": "ended", "since_ms": 90000, "needs": "", "deadline": "", "then": ""},
            ],
        },
    ),
    "why-board": (why_screen, board_why("shop", board_lines({"accounts": waiting()}))),
    "started-unit": (
        started_screen,
        {
            "release": "7",
            "service": "storefront",
            "from": "blue",
            "to": "green",
            "steps_bp": [500, 10000],
            "phase": "preflight",
            "unit": "shop",
            "members": {"storefront": "5.1.0", "accounts": "2.0.0"},
        },
    ),
    "explain": (
        explain_screen,
        {
            "release": "7",
            "summary": "web blue → green (2.0.0) rolled back by itself; it had reached 25 %",
            "why": ["green fails more: 3.9 % of 2110 against 0.1 % of 6330"],
            "not": ["health ok: candidate 2/2", "latency not judged"],
            "seen": [],
            "decisions": [event(1, "rollback.started", "back: green fails more", severity="warning", data=FIGURES)],
        },
    ),
    "started": (
        started_screen,
        {
            "release": "7",
            "service": "web",
            "from": "green",
            "to": "blue",
            "steps_bp": [500, 10000],
            "phase": "preflight",
        },
    ),
    "changed": (
        changed_screen,
        {
            "release": "7",
            "phase": "shifting",
            "share_bp": 2_500,
            "did": "promoted: 5 % → 25 % on green",
            "note": "look",
        },
    ),
    "event": (event_line, event(9, "release.paused", "paused", actor="uid 1000 (eva) pid 4711", severity="warning")),
    "import": (report, existing()),
    "import-yaml": ("\n".join, existing()["config"].splitlines()),
    "doctor": (doctor_screen, examined()),
    "waiting": (waiting_line, {"what": "no request was judged yet", "since_ms": 61000, "needs": "lbctl promote 7"}),
}


@pytest.mark.parametrize("name", SCREENS)
def test_screens_are_as_kept(name: str) -> None:
    screen, data = SCREENS[name]
    shown = screen(clean(data)) + "\n"
    file = FILES / f"{name}.txt"
    if os.environ.get("UPDATE"):
        file.write_text(shown, encoding="utf-8")
    assert shown == file.read_text(encoding="utf-8")


def test_every_kept_screen_is_tested() -> None:
    assert {file.stem for file in FILES.glob("*.txt")} == set(SCREENS)


@pytest.mark.parametrize("name", SCREENS)
def test_no_screen_can_steer_a_terminal(name: str) -> None:
    screen, data = SCREENS[name]
    for line in screen(clean(data)).split("\n"):
        assert line.isprintable(), line


@pytest.mark.parametrize("name", SCREENS)
def test_screens_look_the_same_from_the_other_colour(name: str) -> None:
    """Swapping the colours in the data swaps them in the words and changes nothing else that depends on age."""
    screen, data = SCREENS[name]
    if name not in {"status-shifting", "started"}:
        return
    swapped = _swapped(data)
    words = screen(clean(swapped))
    assert ("green → blue" in words) == ("blue → green" in screen(clean(data)))


def _swapped(value: Any) -> Any:
    swap = {"blue": "green", "green": "blue"}
    if isinstance(value, dict):
        return {swap.get(key, key): _swapped(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_swapped(one) for one in value]
    return swap.get(value, value) if isinstance(value, str) else value


def test_what_cannot_be_read_is_not_told_to_be_adopted_before_it_can() -> None:
    away = {**service()["instances"]["edge/lb1"], "reachable": False, "reason": "refused", "routes": [], "boot": None}
    view = service(active=None, phase=None, release=None, mode="observe", step=None, instances={"edge/lb1": away})
    told = status_screen({"services": {"web": view}, "units": {}, "daemon": {"journal": "ok"}})
    assert "  next   see that edge/lb1 can be read, then lbctl adopt web --active blue|green --version VERSION" in told


@pytest.mark.parametrize(("routes", "active"), [(["0:10000:10000"], "blue"), (["10000:10000:10000"], "green"),
                                                (["0:10000:10000", "1:10000:10000"], "blue|green")])  # fmt: skip
def test_who_has_all_new_traffic_is_proposed_for_adoption(routes: list[str], active: str) -> None:
    one = {**service()["instances"]["edge/lb1"], "routes": routes}
    view = service(active=None, phase=None, release=None, mode="observe", step=None, instances={"edge/lb1": one})
    told = status_screen({"services": {"web": view}, "units": {}, "daemon": {"journal": "ok"}})
    assert f"lbctl adopt web --active {active} --version VERSION" in told
