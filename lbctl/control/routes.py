"""The route table: everything the control socket knows. The server and the OpenAPI document are made from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from aiohttp import web

from lbctl.control import answers, boardanswers, bodies, changes, freezing, plananswers, reads, retiring
from lbctl.control.call import Call
from lbctl.control.chartanswers import Charts
from lbctl.control.rights import Role

Handler = Callable[[Call], Awaitable[dict[str, Any] | web.Response]]


class Holder(StrEnum):
    """Where the service stands that a right is asked for."""

    NONE = "none"
    PATH = "service"
    TARGET = "target"


@dataclass(frozen=True, slots=True)
class Query:
    """One key of the query; `low`..`high` bound a number, None means text."""

    name: str
    doc: str
    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. `query` and `body` are all it takes; anything else is refused by name."""

    method: str
    path: str
    need: Role
    handle: Handler
    answer: type[msgspec.Struct] | None
    body: type[msgspec.Struct] | None = None
    query: tuple[Query, ...] = ()
    holder: Holder = Holder.NONE
    status: int = 200
    media: str = "text/yaml"
    """Of an answer without a form."""

    @property
    def name(self) -> str:
        """The operation's name in the OpenAPI document."""
        return self.handle.__name__


SERVICE = Query("service", "Only this service or unit.")
AFTER = Query("after", "Only events with a greater id.", 0, 2**62)


def _get(path: str, handle: Handler, answer: type[msgspec.Struct] | None, *query: Query) -> Route:
    return Route(method="GET", path=path, need=Role.OBSERVE, handle=handle, answer=answer, query=query)


def _on_release(word: str, handle: Handler, need: Role, body: type[msgspec.Struct] = bodies.Why) -> Route:
    path = f"/v1/releases/{{target}}/{word}"
    return Route(
        method="POST", path=path, need=need, handle=handle, answer=answers.Changed, body=body, holder=Holder.TARGET
    )


def _freeze(path: str, handle: Handler, body: type[msgspec.Struct]) -> Route:
    return Route(method="POST", path=path, need=Role.OPERATE, handle=handle, answer=freezing.FreezeAnswer, body=body)


def _on_service(word: str, handle: Handler, answer: type[msgspec.Struct], body: type[msgspec.Struct]) -> Route:
    """What the CI of a service may do for its own service only."""
    path = f"/v1/services/{{service}}/{word}"
    return Route(method="POST", path=path, need=Role.GATE, handle=handle, answer=answer, body=body, holder=Holder.PATH)


ROUTES: tuple[Route, ...] = (
    _get("/v1/status", reads.status, answers.Status, SERVICE),
    _get("/v1/charts", reads.charts, Charts, SERVICE),
    Route(
        method="POST",
        path="/v1/plan",
        need=Role.OBSERVE,
        handle=reads.plan,
        answer=plananswers.PlanAnswer,
        body=bodies.PlanBody,
    ),
    Route(
        method="POST",
        path="/v1/services/{service}/adopt",
        need=Role.ADMIN,
        handle=changes.adopt,
        answer=answers.AdoptedAnswer,
        body=bodies.AdoptBody,
        holder=Holder.PATH,
    ),
    _on_service("claim", changes.claim, boardanswers.ClaimAnswer, bodies.ClaimBody),
    _on_service("give-back", changes.give_back, boardanswers.GivenBackAnswer, bodies.GiveBackBody),
    Route(
        method="POST",
        path="/v1/services/{service}/take-over",
        need=Role.OPERATE,
        handle=changes.take_over,
        answer=boardanswers.ClaimAnswer,
        body=bodies.TakeOverBody,
        holder=Holder.PATH,
    ),
    _on_service("ready", changes.ready, boardanswers.ReadyAnswer, bodies.ReadyBody),
    _on_service("stopped", retiring.stopped, answers.Changed, bodies.StoppedBody),
    _on_service("withdraw", changes.withdraw, boardanswers.WithdrawnAnswer, bodies.WithdrawBody),
    _get("/v1/builds", reads.build, boardanswers.BuildAnswer, Query("build", "The build, as it was said to be ready.")),
    Route(
        method="POST",
        path="/v1/maintenance",
        need=Role.ADMIN,
        handle=changes.maintenance,
        answer=answers.MaintenanceAnswer,
        body=bodies.MaintenanceBody,
    ),
    _get("/v1/freezes", freezing.freezes, freezing.Windows, SERVICE),
    _freeze("/v1/freezes", freezing.freeze, bodies.FreezeBody),
    _freeze("/v1/freezes/remove", freezing.unfreeze, bodies.UnfreezeBody),
    Route(
        method="POST",
        path="/v1/releases",
        need=Role.OPERATE,
        handle=changes.switch,
        answer=answers.Started,
        body=bodies.SwitchBody,
        status=201,
    ),
    _get("/v1/releases", reads.releases, answers.Releases, SERVICE),
    _get("/v1/releases/{target}", reads.release, answers.OneRelease),
    _get(
        "/v1/releases/{target}/retired",
        retiring.retired,
        retiring.RetiredAnswer,
        Query("service", "Whose old pool; of a release of one service its own."),
        Query("pool", "Which one, where it is not the old one: after a release that went back, its candidate's."),
    ),
    Route(
        method="POST",
        path="/v1/services/{service}/drain",
        need=Role.OPERATE,
        handle=retiring.drain,
        answer=retiring.DrainAnswer,
        body=bodies.DrainBody,
        holder=Holder.PATH,
    ),
    Route(
        method="POST",
        path="/v1/units/{target}/undo",
        need=Role.OPERATE,
        handle=retiring.undo,
        answer=retiring.UndoneAnswer,
        body=bodies.UndoBody,
        holder=Holder.TARGET,
    ),
    _on_release("approve", changes.approve, Role.OBSERVE),
    _on_release("pause", changes.pause, Role.GATE),
    _on_release("resume", changes.resume, Role.OPERATE),
    _on_release("promote", changes.promote, Role.OPERATE, bodies.PromoteBody),
    _on_release("rollback", changes.rollback, Role.GATE),
    _on_release("cancel", changes.cancel, Role.OPERATE),
    _get("/v1/why/{target}", reads.why, answers.WhyAnswer),
    _get(
        "/v1/history",
        reads.history,
        answers.Releases,
        SERVICE,
        Query("limit", "At most so many releases.", 1, 1_000),
    ),
    _get("/v1/explain/{release}", reads.explain, answers.Explained),
    _get(
        "/v1/events",
        reads.events,
        answers.Events,
        SERVICE,
        AFTER,
        Query("limit", "At most so many events.", 1, 1_000),
        Query("tail", "Instead of `after`: the newest events, so many.", 1, 1_000),
        Query("follow", "1: send events as they come, as text/event-stream.", 0, 1),
    ),
    Route(
        method="POST",
        path="/v1/alerts/{name}/test",
        need=Role.OPERATE,
        handle=changes.test_alert,
        answer=answers.AlertTested,
        body=bodies.Why,
    ),
    _get("/v1/config", reads.config, None),
    Route(
        method="POST",
        path="/v1/config/reload",
        need=Role.ADMIN,
        handle=changes.reload,
        answer=answers.ConfigReloaded,
        body=bodies.Why,
    ),
    Route(
        method="GET", path="/metrics", need=Role.OBSERVE, handle=reads.metrics, answer=None, media=reads.METRICS_MEDIA
    ),
    _get("/v1/version", reads.version, answers.VersionAnswer),
)
