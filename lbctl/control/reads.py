"""What the GET routes answer."""

from typing import Any

from aiohttp import web

from lbctl.control.bodies import PlanBody
from lbctl.control.call import Call
from lbctl.control.plans import overlaid
from lbctl.control.tail import tail
from lbctl.model.errors import Refused

Json = dict[str, Any]
HISTORY_DEFAULT = 50
EVENTS_DEFAULT = 100
METRICS_MEDIA = "text/plain; version=0.0.4"


async def status(call: Call) -> Json:
    """What serves now, what moves, why it waits, what happens next."""
    return call.desk.status(call.text("service"))


async def charts(call: Call) -> Json:
    """What `status` has no room for: error ratios as judged with their bands, and the times of requests in buckets."""
    return call.desk.charts(call.text("service"))


async def plan(call: Call) -> Json:
    """What a release would do, and what would stop it. Changes nothing."""
    body = call.body
    assert isinstance(body, PlanBody)
    chosen = overlaid(call.desk.default_plan(body.service), body)
    return call.desk.plan(body.service, body.to, chosen, body.version, body.versions)


async def releases(call: Call) -> Json:
    """The running or last release of each service or unit, newest first."""
    return call.desk.releases(call.text("service"))


async def release(call: Call) -> Json:
    """One release with its plan, holds and newest events."""
    return await call.desk.release(call.path["target"])


async def why(call: Call) -> Json:
    """Every reason a release waits: what, since when, what it needs, its deadline, what happens then."""
    return await call.desk.why(call.path["target"])


async def history(call: Call) -> Json:
    """Releases, newest first, also those long ended."""
    return await call.desk.history(call.text("service"), call.number("limit", HISTORY_DEFAULT))


async def build(call: Call) -> Json:
    """What became of a build that is, or was, ready: it waits, goes, or left the board."""
    wanted = call.text("build")
    if not wanted:
        raise Refused("bad_query", "build is missing in the query", then="add ?build=URL", exit_code=2)
    return await call.desk.build(wanted)


async def explain(call: Call) -> Json:
    """Every decision of a release with its numbers."""
    return await call.desk.explain(call.path["release"])


async def events(call: Call) -> Json:
    """Journal entries with rising ids: those after `after`, or the newest `tail`."""
    service = await of_a_service(call)
    if "tail" in call.query:
        newest = await tail(
            lambda after, limit: call.desk.events(after, limit, None),
            lambda after, limit: call.desk.events(after, limit, service),
            call.number("tail", EVENTS_DEFAULT),
        )
        return {"events": newest}
    after, limit = call.number("after", 0), call.number("limit", EVENTS_DEFAULT)
    return {"events": await call.desk.events(after, limit, service)}


async def of_a_service(call: Call) -> str | None:
    """Return the service whose events are asked for, None for all. One that left the config still has a past.

    Raises:
        Refused: there is no such service, and there never was.
    """
    service = call.text("service")
    if service is not None and not await call.desk.events(0, 1, service):
        call.desk.status(service)
    return service


async def config(call: Call) -> web.Response:
    """The effective config as YAML, secrets masked."""
    return web.Response(text=call.desk.config_text(), content_type="text/yaml")


async def metrics(call: Call) -> web.Response:
    """What Prometheus reads; every name is in docs/reference/metrics.md."""
    return web.Response(body=await call.desk.metrics(), headers={"Content-Type": f"{METRICS_MEDIA}; charset=utf-8"})


async def version(call: Call) -> Json:
    """Who is running, since when, with which config."""
    return call.desk.version()
