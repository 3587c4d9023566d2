"""Every route over a real socket: what is asked arrives, what is wrong is told as a problem."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from lbctl.control.answers import ProblemAnswer
from lbctl.control.routes import ROUTES
from tests.fake_desk import FakeDesk, event, served


@pytest.fixture
async def desk(path: str) -> AsyncIterator[FakeDesk]:
    desk = FakeDesk()
    desk.journal = [event(number) for number in range(1, 31)]
    about = {"build": "https://ci/1", "service": "web", "version": "2", "release": "7", "text": ""}
    desk.fates = {"https://ci/1": [{"word": "released", **about}]}
    async with served(desk, path):
        yield desk


async def ask(path: str, method: str, target: str, body: Any = None) -> tuple[int, str, bytes]:
    """Return status, content type and body."""
    data = b"" if body is None else json.dumps(body).encode()
    reader, writer = await asyncio.open_unix_connection(path)
    head = f"{method} {target} HTTP/1.1\r\nHost: lbctl\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n"
    writer.write(head.encode() + data)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    top, _, rest = answer.partition(b"\r\n\r\n")
    kind = next(line for line in top.decode().split("\r\n") if line.lower().startswith("content-type"))
    return int(top.split()[1]), kind.split(": ")[1].split(";")[0], rest


GOOD_BODIES: dict[str, Any] = {
    "/v1/plan": {"service": "web"},
    "/v1/releases": {"service": "web", "to": "green"},
    "/v1/services/{service}/adopt": {"active": "green"},
    "/v1/maintenance": {"on": True},
    "/v1/freezes": {"name": "november", "until": "2099-11-30 06:00", "zone": "Europe/Berlin"},
    "/v1/freezes/remove": {"name": "november"},
    "/v1/services/{service}/ready": {"unit": "web", "version": "2", "build": "https://ci/1", "provides": ["web-api=2"]},
    "/v1/services/{service}/withdraw": {"unit": "web"},
    "/v1/services/{service}/drain": {"pool": "blue", "server": "blue-1", "on": True},
}
NAMES = {"{service}": "web", "{target}": "7", "{release}": "7", "{name}": "ops"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
async def test_every_route_answers_as_its_form_says(desk: FakeDesk, path: str, route: Any) -> None:
    target = route.path
    for name, value in {**NAMES, **({"{target}": "web"} if route.path.startswith("/v1/units/") else {})}.items():
        target = target.replace(name, value)
    target += "?build=https://ci/1" if route.path == "/v1/builds" else ""
    body = None if route.method == "GET" else GOOD_BODIES.get(route.path, {})
    status, kind, raw = await ask(path, route.method, target, body)
    assert status == route.status, raw
    if route.answer is None:
        assert kind == route.media.split(";")[0]
    else:
        import msgspec

        assert kind == "application/json"
        msgspec.json.decode(raw, type=route.answer)


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("GET", "/v1/nothing", None, 404, "not_found"),
        ("GET", "/", None, 404, "not_found"),
        ("DELETE", "/v1/status", None, 405, "method_not_allowed"),
        ("GET", "/v1/status?servise=web", None, 422, "bad_query"),
        ("GET", "/v1/events?limit=0", None, 422, "bad_query"),
        ("GET", "/v1/events?limit=99999", None, 422, "bad_query"),
        ("GET", "/v1/events?after=-1", None, 422, "bad_query"),
        ("GET", "/v1/status?service=nope", None, 404, "no_such_service"),
        ("GET", "/v1/releases/99", None, 404, "no_such_release"),
        ("GET", "/v1/why/" + "x" * 100, None, 404, "no_such_thing"),
        ("GET", "/v1/why/a%00b", None, 404, "no_such_thing"),
        ("POST", "/v1/releases", {"service": "web", "step": []}, 422, "bad_body"),
        ("POST", "/v1/releases", {"service": "web", "steps": ["5%"]}, 422, "bad_steps"),
        ("POST", "/v1/releases", {"service": "web", "hold": "soon"}, 422, "bad_duration"),
        ("POST", "/v1/releases", {"service": "nope"}, 404, "no_such_service"),
        ("POST", "/v1/releases", ["web"], 422, "bad_body"),
        ("POST", "/v1/releases/7/pause", {"reason": 7}, 422, "bad_body"),
        ("POST", "/v1/maintenance", {}, 422, "bad_body"),
        ("POST", "/v1/freezes", {"name": "a b"}, 422, "bad_body"),
        ("POST", "/v1/freezes", {"name": "a", "until": "tomorrow"}, 422, "bad_body"),
        ("POST", "/v1/freezes", {"name": "a", "until": "2099-02-30 10:00"}, 422, "bad_freeze"),
        ("POST", "/v1/freezes", {"name": "a", "until": "2020-01-01 10:00"}, 422, "bad_freeze"),
        ("POST", "/v1/freezes", {"name": "a", "until": "2099-01-01 10:00", "lasts_ms": 60_000}, 422, "bad_freeze"),
        ("POST", "/v1/freezes", {"name": "a", "zone": "Mars/Olympus"}, 422, "bad_freeze"),
        ("POST", "/v1/freezes", {"name": "a", "zone": "../../etc/passwd"}, 422, "bad_body"),
        ("POST", "/v1/freezes", {"name": "a", "service": "nope"}, 404, "no_such_service"),
        ("GET", "/v1/freezes?service=nope", None, 404, "no_such_service"),
        ("POST", "/v1/alerts/nope/test", {}, 404, "no_such_alert"),
    ],
)
async def test_what_is_wrong_is_a_problem(
    desk: FakeDesk, path: str, method: str, target: str, body: Any, status: int, code: str
) -> None:
    import msgspec

    found, kind, raw = await ask(path, method, target, body)
    assert (found, kind) == (status, "application/problem+json")
    problem = msgspec.json.decode(raw, type=ProblemAnswer)
    assert (problem.code, problem.status) == (code, status)
    assert problem.title
    assert problem.exit_code in {2, 7}
    assert desk.asked == []


async def test_the_newest_events_come_by_tail_and_the_next_by_after(desk: FakeDesk, path: str) -> None:
    newest = json.loads((await ask(path, "GET", "/v1/events?tail=3"))[2])["events"]
    assert [one["id"] for one in newest] == [28, 29, 30]
    later = json.loads((await ask(path, "GET", "/v1/events?after=10&limit=2"))[2])["events"]
    assert [one["id"] for one in later] == [11, 12]


@pytest.mark.parametrize("target", ["/v1/events?tail=3&service=wib", "/v1/events?follow=1&service=wib"])
async def test_events_of_a_service_that_never_was_are_refused(desk: FakeDesk, path: str, target: str) -> None:
    status, _, raw = await ask(path, "GET", target)
    assert (status, json.loads(raw)["exit_code"]) == (404, 7)


async def test_events_of_a_service_that_left_the_config_stay(desk: FakeDesk, path: str) -> None:
    desk.journal = [event(1, service="gone")]
    assert len(json.loads((await ask(path, "GET", "/v1/events?tail=3&service=gone"))[2])["events"]) == 1


async def test_the_openapi_document_is_served(desk: FakeDesk, path: str) -> None:
    status, _, raw = await ask(path, "GET", "/v1/openapi.json")
    assert status == 200
    assert set(json.loads(raw)["paths"]) == {route.path for route in ROUTES}
