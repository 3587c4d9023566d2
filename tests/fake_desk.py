"""A desk for tests of the control socket and the command line: answers from fixed facts, remembers what was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from lbctl.control.listener import listen
from lbctl.control.port import Asked
from lbctl.control.server import ControlServer
from lbctl.control.target import names_of
from lbctl.model.errors import Refused
from lbctl.model.request import (
    Answer,
    Claim,
    DrainServer,
    Freeze,
    GiveBack,
    Request,
    SayReady,
    Switch,
    Undo,
    Unfreeze,
    Withdraw,
)
from lbctl.model.topology import Plan

Json = dict[str, Any]


def event(number: int, kind: str = "step.started", text: str = "", **more: Any) -> Json:
    """Return an event as the API shows it."""
    return {
        "id": number,
        "wall": f"2026-01-02T03:04:{number % 60:02d}.000Z",
        "kind": kind,
        "severity": "info",
        "service": "web",
        "release": "7",
        "text": text or f"event {number}",
        "actor": "",
        "data": {},
        **more,
    }


def release(**more: Any) -> Json:
    """Return a running release as the API shows it."""
    return {
        "id": "7",
        "phase": "shifting",
        "service": "web",
        "from": "blue",
        "to": "green",
        "version": "2.0.0",
        "share_bp": 2500,
        "peak_bp": 2500,
        "started_wall": "2026-01-02T03:04:05.000Z",
        "ended_wall": None,
        "outcome": "",
        "result": "",
        "reason": "ticket 12",
        "initiator": "uid 1000 (eva) pid 4711",
        "back_by": None,
        "baked": False,
        "unit": None,
        "members": [{"service": "web", "from": "blue", "to": "green", "version": "2.0.0", "build": ""}],
        "plan": {
            "steps_bp": [500, 2500, 5000, 10000],
            "hold_min_ms": 120000,
            "hold_max_ms": 1800000,
            "hold_then": "ask",
            "bake_ms": 600000,
            "retain_ms": 3600000,
        },
        "held": None,
        "holds": [],
        "next": "50 % after: held for another 1m48s",
        **more,
    }


def servers() -> Json:
    """Return two servers of each pool."""
    return {
        f"{colour}-{number}": {
            "up": True,
            "weight": 100,
            "in_flight": 3,
            "pool": colour,
            "detail": "",
            "requests": 9000,
            "errors": 3,
        }
        for colour in ("blue", "green")
        for number in (1, 2)
    }


def pool(state: str, version: str, requests: int, errors: int) -> Json:
    """Return one pool."""
    return {
        "state": state,
        "version": version,
        "requests": requests,
        "errors": errors,
        "in_flight": 6,
        "up_count": 2,
        "server_count": 2,
        "keep_bp": 10000,
    }


def service(**more: Any) -> Json:
    """Return a service in mid-release."""
    return {
        "active": "blue",
        "candidate": "green",
        "share_bp": 2500,
        "observed_share_bp": 2500,
        "phase": "shifting",
        "held": None,
        "release": "7",
        "from": "blue",
        "to": "green",
        "mode": "adopted",
        "version": "1.9.3",
        "servers": servers(),
        "pools": {"blue": pool("active", "1.9.3", 18000, 38), "green": pool("candidate", "2.0.0", 6000, 14)},
        "instances": {
            "edge/lb1": {
                "reachable": True,
                "reason": "",
                "generation": "812@77",
                "old_generations": 0,
                "routes": ["2500:10000:10000"],
                "boot": "2500:10000:10000",
                "warnings": [],
            }
        },
        "step": {"index": 2, "count": 4, "share_bp": 2500, "since_ms": 12000, "hold_min_ms": 120000},
        "next": "50 % after: held for another 1m48s",
        "verdict": {
            "word": "hold",
            "code": "ok",
            "reason": "no difference seen",
            "odds": 0.8,
            "limit": 1000.0,
        },
        "claim": None,
        "board": None,
        **more,
    }


def joint(**more: Any) -> Json:
    """Return a running release of two services."""
    members = [
        {"service": "storefront", "from": "blue", "to": "green", "version": "5.1.0", "build": "https://ci-b/77"},
        {"service": "accounts", "from": "green", "to": "blue", "version": "2.0.0", "build": "https://ci-a/118"},
    ]
    return release(service="storefront", version="5.1.0", unit="shop", members=members, **more)


def pin(want: str, observed: str | None = "", boot: str | None = "") -> Json:
    """Return a pin; what is not said is as wanted."""
    return {"want": want, "observed": want if observed == "" else observed, "boot": want if boot == "" else boot}


def waiting(**more: Any) -> Json:
    """Return a version on the board that waits for its partner."""
    return {
        "version": "2.0.0",
        "build": "https://ci-a/118",
        "by": "uid 2001 (ci-a) pid 4711",
        "since_ms": 252_000,
        "waits": "waiting for storefront: storefront 5.0.1 requires accounts-api <2, and 2 is provided by accounts 2.0",
        "provides": {"accounts-api": [2]},
        "requires": {},
        **more,
    }


def claimed(**more: Any) -> Json:
    """Return a claim that is granted."""
    return {
        "colour": "green",
        "by": "uid 2002 (ci-b) pid 4712",
        "since_ms": 60_000,
        "granted": True,
        "waits": "",
        **more,
    }


def cell(caller: str | None, colour: str, requests: int, **more: Any) -> Json:
    """Return a cell of the matrix; half of its calls came in the release."""
    right = None if caller is None else not more.get("wrong")
    known = {"caller": caller, "colour": colour, "requests": requests, "in_release": requests // 2, "wrong": 0}
    return {**known, "last_s": 0.4, "right": right, **more}


def unit(**more: Any) -> Json:
    """Return a unit in mid-release."""
    return {
        "services": ["accounts", "storefront"],
        "carrier": "storefront",
        "members": ["storefront", "accounts"],
        "phase": "shifting",
        "release": "7",
        "share_bp": 2500,
        "observed_share_bp": 2500,
        "held": None,
        "step": service()["step"],
        "next": "50 % after: held for another 1m48s",
        "board": {},
        "claims": {},
        "pins": {"accounts<storefront-blue": pin("green"), "accounts<storefront-green": pin("blue")},
        "matrix": {"accounts": [cell("storefront-blue", "green", 18_000), cell("storefront-green", "blue", 6_000)]},
        **more,
    }


def shop() -> dict[str, Json]:
    """Return the views of two services in a joint release: accounts goes green → blue, storefront blue → green."""
    names: Json = {}
    for name, way, versions in (
        ("accounts", ("green", "blue"), ("1.9.3", "2.0.0")),
        ("storefront", ("blue", "green"), ("5.0.1", "5.1.0")),
    ):
        pools = {way[0]: pool("active", versions[0], 18000, 38), way[1]: pool("candidate", versions[1], 6000, 14)}
        names[name] = service(
            active=way[0],
            candidate=way[1],
            version=versions[0],
            pools={colour: pools[colour] for colour in ("blue", "green")},
            **{"from": way[0], "to": way[1]},
        )
    names["accounts"]["instances"] = {
        "edge/lb1": {
            **service()["instances"]["edge/lb1"],
            "routes": ["10000:10000:10000 storefront-blue=green storefront-green=blue"],
            "boot": "10000:10000:10000 storefront-blue=green storefront-green=blue",
        }
    }
    return names


def window(name: str | None, **more: Any) -> Json:
    """A freeze window."""
    source = "config" if name is None else "person"
    return {
        "name": name,
        "source": source,
        "services": ["web"],
        "open": True,
        "over": False,
        "days": [],
        "from": "",
        "until": "2099-11-30 06:00",
        "zone": "UTC",
        "reason": "sale",
        "target": None,
        "by": "" if name is None else "anna (1000)",
        "since": "2026-11-20T10:00:00.000Z",
        **more,
    }


def chart() -> Json:
    """Return what the charts of a service are drawn from."""
    judged = {"requests": 6000, "errors": 14, "low": 0.0014, "high": 0.0039}
    return {
        "errors": {"blue": judged, "green": judged},
        "tolerated": 0.0103,
        "times": {"blue": {"90": 50, "100": 4}, "green": {"91": 50, "101": 4}},
    }


class FakeDesk:
    """Implements `lbctl.control.port.Desk` without a daemon behind it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.refuse: Refused | None = None
        self.refuses_once = False
        self.journal: list[Json] = []
        self.views: dict[str, Json] = {"web": service()}
        self.units: dict[str, Json] = {}
        self.fates: dict[str, list[Json]] = {}
        """What became of each build: one answer after the other, the last one for ever."""
        self.record: list[Json] = [release()]
        self.frozen: set[str] = set()
        self.followers: set[asyncio.Queue[Json | None]] = set()
        self.refusals: list[Json] = []
        self.unready: list[Json] = []
        self.config_fault = ""
        self.reloads: list[Asked] = []
        self.doubted = ""
        """What a server says it runs, against the version that is said of it."""
        self.broken = False
        self.slow: asyncio.Event | None = None
        """Where it is set, a request is answered only once the event is."""
        self.stuck = False
        self._id = 0

    async def submit(self, request: Request) -> Answer:
        self.asked.append(request)
        if self.slow is not None:
            await self.slow.wait()
        if self.stuck:
            await asyncio.Event().wait()
        if self.refuse is not None:
            no, self.refuse = self.refuse, None if self.refuses_once else self.refuse
            facts = {"code": no.code, "what": no.what, "why": no.why, "then": no.then, "exit_code": no.exit_code}
            return Answer(request.id, False, facts)
        if isinstance(request, Switch):
            steps = list(request.plan.steps_bp)
            body: Json = {"service": request.service, "from": "blue", "to": "green", "steps_bp": steps}
            return Answer(request.id, True, {"release": "7", "phase": "preflight", **body})
        return Answer(request.id, True, self._facts(request))

    def _facts(self, request: Request) -> Json:
        name = type(request).__name__
        if name == "Adopt":
            return {"service": "web", "active": "blue", "version": "1.9.3"}
        if isinstance(request, Freeze | Unfreeze):
            self.frozen = {request.name} if isinstance(request, Freeze) else set()
            return {"freeze": request.name}
        if name == "Maintenance":
            return {"maintenance": True, "service": None}
        if isinstance(request, Claim):
            return {"service": request.service, "colour": "green", "granted": False, "proved": True}
        if isinstance(request, GiveBack):
            return {"service": request.service, "colour": "green", "given_back": True}
        if isinstance(request, SayReady):
            return {"service": request.service, "version": request.version, "build": request.build}
        if isinstance(request, Withdraw):
            return {"service": request.service, "build": "https://ci-a.example/118"}
        if isinstance(request, DrainServer):
            server = {"colour": request.colour.value, "server": request.server, "drained": request.on}
            return {"service": request.service, **server}
        if isinstance(request, Undo):
            about = {"unit": request.unit, "service": request.unit, "release": "8", "phase": "preflight"}
            return {**about, "did": "release 8 goes back to 1.9.3"}
        phase = "rolling_back" if name == "Rollback" else "shifting"
        return {"release": "7", "service": "web", "phase": phase, "share_bp": 2_500, "did": f"{name.lower()} done"}

    def freezes(self, name: str | None, now: datetime) -> list[Json]:
        del now
        if name is not None:
            self.services_of(name)
        return [window("november", target=name) for one in self.frozen if one == "november"]

    def tried(self, request: Request) -> Json:
        return self._facts(request)

    def next_request_id(self) -> int:
        self._id += 1
        return self._id

    def services_of(self, name: str) -> tuple[str, ...]:
        if name in self.units:
            return tuple(self.units[name]["services"])
        if name not in self.views:
            why = f"known are: {', '.join([*self.views, *self.units])}"
            raise Refused("no_such_service", f"there is no service {name}", why=why, exit_code=7)
        return (name,)

    def unit_of(self, service: str) -> str:
        self.services_of(service)
        return next((name for name, one in self.units.items() if service in one["services"]), service)

    def status(self, name: str | None) -> Json:
        if self.broken:
            raise RuntimeError("a fault of the daemon")
        names = list(self.views) if name is None else self.services_of(name)
        return {
            "services": {one: self.views[one] for one in names},
            "units": {unit: one for unit, one in self.units.items() if set(one["services"]) & set(names)},
            "daemon": {"version": "0.1.0", "pid": 42, "journal": "ok", "alerts_pending": 0},
        }

    def charts(self, name: str | None) -> Json:
        return {"gamma": 1.04, "services": {one: chart() for one in ([*self.views] if name is None else [name])}}

    async def going(self, name: str, version: str, versions: dict[str, str]) -> dict[str, str]:
        if self.unit_of(self.services_of(name)[0]) != name:
            raise Refused("in_unit", f"{name} is released with unit shop", then="lbctl switch shop")
        return {one: versions.get(one, version) for one in reversed(self.services_of(name))}

    async def doubt(self, service: str, colour: str | None, version: str) -> str:
        return f"1 of 2 servers of {colour or 'green'} do not say {version}: {self.doubted}" if self.doubted else ""

    async def build(self, build: str) -> Json:
        if build not in self.fates:
            raise Refused("no_such_build", f"nobody said that build {build} is ready", exit_code=7)
        answers = self.fates[build]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def plan(self, name: str, to: str | None, plan: Plan, version: str, versions: dict[str, str]) -> Json:
        going = {one: versions.get(one, version) for one in reversed(self.services_of(name))}
        members = [
            {"service": one, "from": "blue", "to": to or "green", "version_from": "1.9.3", "version_to": going[one]}
            for one in going
        ]
        shares = (0, *plan.steps_bp)
        return {
            **members[0],
            "unit": name if len(going) > 1 else None,
            "members": members,
            "refusals": self.refusals,
            "unready": self.unready,
            "warnings": [],
            "steps": [
                {"share_bp": step, "hold_min_ms": plan.hold_min, "text": f"{before / 100:g} % → {step / 100:g} %"}
                for before, step in zip(shares, plan.steps_bp, strict=False)
            ],
            "bake_ms": plan.bake,
            "retain_ms": plan.retain,
            "total_min_ms": plan.hold_min * (len(plan.steps_bp) - 1) + plan.bake + plan.retain,
            "writes": ["edge/lb1: web 0:10000:10000 → 500:10000:10000"],
            "back": "at any step: one write per instance, then new requests go back at once",
        }

    def releases(self, name: str | None) -> Json:
        if name is not None:
            self.services_of(name)
        return {"releases": self.record}

    async def release(self, target: str) -> Json:
        for one in self.record:
            if target in names_of(one):
                return {"release": {**one, "events": self.journal[-20:]}}
        if not target.isdigit():
            self.services_of(target)
        raise Refused("no_such_release", f"there is no release {target}", then="lbctl release list", exit_code=7)

    async def retired(self, target: str, service: str | None, pool: str | None = None) -> Json:
        found = (await self.release(target))["release"]
        there = {"client": "10.0.0.7", "server": "blue-1", "age_ms": 42_000, "at_least": False}
        there |= {"instance": "edge/lb1", "generation": "812@77"}
        about = {"release": found["id"], "service": service or found["service"], "colour": found["from"]}
        still = {"certified": False, "final": False, "waits": "1 request in flight", "certificate": None}
        return {**about, "version": "1.9.3", "phase": found["phase"], **still, "holders": [there]}

    async def why(self, target: str) -> Json:
        found = (await self.release(target))["release"]
        line = {
            "code": "traffic",
            "what": "only 3 requests of 5 judged",
            "since_ms": 4000,
            "needs": "traffic, or lbctl promote 7",
        }
        lines = [{**line, "by_itself": False, "deadline": "in 25m", "then": "a person is paged, it stays"}]
        about = {"service": found["service"], "unit": found["unit"], "release": found["id"], "phase": found["phase"]}
        return {**about, "lines": lines}

    async def history(self, name: str | None, limit: int) -> Json:
        return {"releases": self.releases(name)["releases"][:limit]}

    async def explain(self, release: str) -> Json:
        found = (await self.release(release))["release"]
        return {
            "release": found["id"],
            "service": found["service"],
            "summary": "web blue → green (2.0.0) rolled back by itself; it had reached 25 %",
            "why": ["green fails more: 3.9 % of 2110 against 0.1 % of 6330"],
            "not": ["health ok: candidate 2/2"],
            "seen": ["held: green fails more"],
            "decisions": self.journal,
        }

    async def events(self, after: int, limit: int, name: str | None) -> list[Json]:
        names = self.units[name]["services"] if name in self.units else [name]
        fitting = [one for one in self.journal if one["id"] > after and (name is None or one["service"] in names)]
        return fitting[:limit]

    def tell(self, told: Json | None) -> None:
        """Hand a live event to all followers; None: some were lost."""
        if told is not None:
            self.journal.append(told)
        for queue in self.followers:
            queue.put_nowait(told)

    @asynccontextmanager
    async def follow(self) -> AsyncIterator[AsyncIterator[Json | None]]:
        queue: asyncio.Queue[Json | None] = asyncio.Queue(256)
        self.followers.add(queue)
        try:
            yield _endless(queue)
        finally:
            self.followers.discard(queue)

    def default_plan(self, name: str) -> Plan:
        self.services_of(name)
        return Plan()

    async def test_alert(self, name: str) -> Json:
        if name != "ops":
            raise Refused("no_such_alert", f"there is no alert {name}", why="known are: ops", exit_code=7)
        return {"alert": name, "result": "sent", "detail": ""}

    async def reload(self, asked: Asked) -> Json:
        self.reloads.append(asked)
        if self.config_fault:
            raise Refused("config_refused", "the config file is refused", why=self.config_fault, exit_code=4)
        return {"config": "/etc/lbctl/lbctl.yaml", "services": ["web"]}

    def config_text(self) -> str:
        return "apiVersion: lbctl/v1\n"

    async def metrics(self) -> bytes:
        return b"lbctl_leader 1.0\n"

    def version(self) -> Json:
        return {"version": "0.1.0", "pid": 42, "config": "/etc/lbctl/lbctl.yaml", "uptime_s": 90}


async def _endless(queue: "asyncio.Queue[Json | None]") -> AsyncIterator[Json | None]:
    while True:
        yield await queue.get()


@asynccontextmanager
async def served(desk: FakeDesk, path: str) -> AsyncIterator[None]:
    """Answer on a control socket by this desk."""
    server = ControlServer(desk, listen(path))
    await server.start()
    try:
        yield
    finally:
        await server.stop()
