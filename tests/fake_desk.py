"""A desk for tests of the control socket and the command line: answers from fixed facts, remembers what was asked."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lbctl.model.errors import Refused
from lbctl.model.request import Answer, Request, Switch
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
        "reason": "ticket 12",
        "initiator": "uid 1000 (eva) pid 4711",
        "back_by": None,
        "baked": False,
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
        **more,
    }


class FakeDesk:
    """Implements `lbctl.control.port.Desk` without a daemon behind it."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.refuse: Refused | None = None
        self.journal: list[Json] = []
        self.views: dict[str, Json] = {"web": service()}
        self.record: list[Json] = [release()]
        self.followers: set[asyncio.Queue[Json | None]] = set()
        self.refusals: list[Json] = []
        self.unready: list[Json] = []
        self.broken = False
        self.stuck = False
        self._id = 0

    async def submit(self, request: Request) -> Answer:
        self.asked.append(request)
        if self.stuck:
            await asyncio.Event().wait()
        if self.refuse is not None:
            no = self.refuse
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
        if name == "Maintenance":
            return {"maintenance": True, "service": None}
        phase = "rolling_back" if name == "Rollback" else "shifting"
        return {"release": "7", "service": "web", "phase": phase, "share_bp": 2_500, "did": f"{name.lower()} done"}

    def next_request_id(self) -> int:
        self._id += 1
        return self._id

    def _known(self, name: str) -> None:
        if name not in self.views:
            why = f"known are: {', '.join(self.views)}"
            raise Refused("no_such_service", f"there is no service {name}", why=why, exit_code=7)

    def status(self, service: str | None) -> Json:
        if self.broken:
            raise RuntimeError("a fault of the daemon")
        if service is not None:
            self._known(service)
        views = self.views if service is None else {service: self.views[service]}
        return {"services": views, "daemon": {"version": "0.1.0", "pid": 42, "journal": "ok", "alerts_pending": 0}}

    def plan(self, service: str, to: str | None, plan: Plan, version: str) -> Json:
        self._known(service)
        shares = (0, *plan.steps_bp)
        return {
            "service": service,
            "from": "blue",
            "to": to or "green",
            "version_from": "1.9.3",
            "version_to": version,
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

    def releases(self, service: str | None) -> Json:
        if service is not None:
            self._known(service)
        return {"releases": self.record}

    async def release(self, target: str) -> Json:
        for one in self.record:
            if target in {one["id"], one["service"]}:
                return {"release": {**one, "events": self.journal[-20:]}}
        if not target.isdigit():
            self._known(target)
        raise Refused("no_such_release", f"there is no release {target}", then="lbctl release list", exit_code=7)

    async def why(self, target: str) -> Json:
        found = (await self.release(target))["release"]
        line = {"what": "only 3 requests of 5 judged", "since_ms": 4000, "needs": "traffic, or lbctl promote 7"}
        lines = [{**line, "deadline": "in 25m", "then": "a person is paged, it stays"}]
        return {"service": found["service"], "release": found["id"], "phase": found["phase"], "lines": lines}

    async def history(self, service: str | None, limit: int) -> Json:
        return {"releases": self.releases(service)["releases"][:limit]}

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

    async def events(self, after: int, limit: int, service: str | None) -> list[Json]:
        fitting = [one for one in self.journal if one["id"] > after and service in {None, one["service"]}]
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

    def default_plan(self, service: str) -> Plan:
        self._known(service)
        return Plan()

    async def test_alert(self, name: str) -> Json:
        if name != "ops":
            raise Refused("no_such_alert", f"there is no alert {name}", why="known are: ops", exit_code=7)
        return {"alert": name, "result": "sent", "detail": ""}

    def config_text(self) -> str:
        return "apiVersion: lbctl/v1\n"

    def version(self) -> Json:
        return {"version": "0.1.0", "pid": 42, "config": "/etc/lbctl/lbctl.yaml", "uptime_s": 90}


async def _endless(queue: "asyncio.Queue[Json | None]") -> AsyncIterator[Json | None]:
    while True:
        yield await queue.get()
