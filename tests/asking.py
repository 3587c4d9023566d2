"""Whatever may be asked of a release, in every phase of one of both services, of accounts and of storefront alone; and
what the next step of a refusal is worth: the command that it names, asked in the same state.
"""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache

from lbctl.core import machine
from lbctl.core.state import Reply
from lbctl.model.names import Colour, ReleaseId, ServiceName, UnitName
from lbctl.model.record import Contract, Release
from lbctl.model.request import (
    Adopt,
    Answer,
    Approve,
    Cancel,
    Claim,
    Freeze,
    Maintenance,
    Pause,
    Promote,
    Request,
    Resume,
    Rollback,
    SayReady,
    SayStopped,
    Switch,
    Undo,
    Withdraw,
)
from lbctl.model.topology import Approvals
from tests.shop import PLAN, SHOP, A, B, Shop

GOING = ("both", "accounts", "storefront")
PHASES = (
    "preflight",
    "awaiting_approval",
    "shifting",
    "baking",
    "draining",
    "retiring",
    "rolling_back",
    "finished",
    "rolled_back",
    "cancelled",
)
CELLS = [(going, phase) for going in GOING for phase in PHASES if going == "both" or phase != "retiring"]
"""A service that goes alone is certified and finished within one tick."""
RELEASE = ReleaseId("1")
DEPLOYERS = 77
FROZEN = dict.fromkeys((A, B), "frozen until the end of the sale")


def api(*versions: int) -> Contract:
    """What a version of accounts offers."""
    return Contract(provides={"accounts-api": versions})


def needs(text: str) -> Contract:
    """What a version of storefront wants."""
    return Contract(requires={"accounts-api": text})


def ready(service: ServiceName, version: str, contract: Contract, build: str) -> SayReady:
    """What a pipeline says."""
    return SayReady(id=900, actor="ci", service=service, version=version, build=build, contract=contract, nonce="r")


MINE = {A: api(1, 2), B: needs(">=1")}
"""What the builds of a service that goes alone declare: they fit the other one's active version."""

REQUESTS: dict[str, Callable[[], Request]] = {
    "rollback": lambda: Rollback(id=900, actor="t", release=RELEASE),
    "cancel": lambda: Cancel(id=900, actor="t", release=RELEASE),
    "pause": lambda: Pause(id=900, actor="t", release=RELEASE),
    "resume": lambda: Resume(id=900, actor="t", release=RELEASE, nonce="again"),
    "promote": lambda: Promote(id=900, actor="t", release=RELEASE, full=True),
    "approve": lambda: Approve(id=900, actor="t", uid=2, release=RELEASE, groups=frozenset({DEPLOYERS})),
    "stopped": lambda: SayStopped(id=900, actor="t", release=RELEASE, service=B),
    "undo": lambda: Undo(id=900, actor="t", unit=UnitName("shop"), plan=PLAN, nonce="u"),
    "maintenance A": lambda: Maintenance(id=900, actor="t", service=A, on=True),
    "maintenance B": lambda: Maintenance(id=900, actor="t", service=B, on=True),
    "maintenance off": lambda: Maintenance(id=900, actor="t", service=B, on=False),
    "freeze": lambda: Freeze(id=900, actor="t", name="sale", target=None, until="", zone="UTC"),
    "claim A": lambda: Claim(id=900, actor="ci", service=A, build="b/9"),
    "claim B": lambda: Claim(id=900, actor="ci", service=B, build="b/9"),
    "claim held": lambda: Claim(id=900, actor="ci", service=B, build="b/9"),
    "ready A": lambda: ready(A, "9", api(1, 2), "b/9"),
    "ready B": lambda: ready(B, "9", needs(">=1"), "b/9"),
    "ready held": lambda: ready(B, "9", needs(">=1"), "b/9"),
    "ready again": lambda: ready(B, "2", needs(">=2"), "build/2"),
    "withdraw": lambda: Withdraw(id=900, actor="ci", service=B),
    "switch": lambda: Switch(id=900, actor="t", service=B, to=None, version="9", plan=PLAN, followers={A: "9"}),
    "adopt": lambda: Adopt(id=900, actor="t", service=B, active=Colour.GREEN, version="9"),
}
BEFORE: dict[str, Callable[[], Request]] = {
    "claim held": lambda: Claim(id=899, actor="ci", service=B, build="b/8"),
    "ready held": lambda: Claim(id=899, actor="ci", service=B, build="b/8"),
    "maintenance off": lambda: Maintenance(id=899, actor="t", service=B, on=True),
}
"""What was asked a moment before, by somebody else, whatever came of it."""


def asked(going: str, word: str) -> Request:
    """Return a request. The same build again, and what is stopped, is of whatever goes."""
    if word == "stopped" and going == "accounts":
        return SayStopped(id=900, actor="t", release=RELEASE, service=A)
    if word == "ready again" and going != "both":
        name = A if going == "accounts" else B
        return ready(name, "2", MINE[name], "build/2")
    return REQUESTS[word]()


def at(going: str, phase: str) -> Shop:
    """Return a shop whose first release is in that phase, for the caller to go on with."""
    return as_it_is(going, phase).fork()


@cache
def as_it_is(going: str, phase: str) -> Shop:
    """The same, to look at only: everybody shares it."""
    shop = Shop(users=2)
    if phase == "awaiting_approval":
        shop.reconfigure(plan=replace(PLAN, approvals=Approvals(1, "deployers", DEPLOYERS)))
    if phase == "retiring":
        shop.drain(quiet_ms=200, limit_ms=60_000)
    if phase in {"preflight", "cancelled"}:
        shop.down |= {(A, Colour.GREEN), (B, Colour.GREEN)}
    _deploy(shop, going)
    if phase in {"rolling_back", "rolled_back"}:
        shop.until("shifting")
        shop.run(4)
        shop.on_release(Rollback)
    if phase == "cancelled":
        shop.until("preflight")
        shop.on_release(Cancel)
    shop.until(phase)
    return shop


def _deploy(shop: Shop, going: str) -> None:
    match going:
        case "accounts":
            shop.speaks[1] = frozenset({1, 2})
            shop.deploy(A, 2, MINE[A])
        case "storefront":
            shop.speaks[2] = frozenset({1})
            shop.deploy(B, 2, MINE[B])
        case _:
            shop.deploy(A, 2, api(2))
            shop.deploy(B, 2, needs(">=2"))


def tried(shop: Shop, request: Request) -> Answer | None:
    """Return the answer to a request as it would be now, None if it would be taken; nothing is changed."""
    _, effects = machine.ask(shop.state, request, shop.now)
    refused = [one.answer for one in effects if isinstance(one, Reply) and not one.answer.accepted]
    return refused[0] if refused else None


# ---- next steps

COMMAND = re.compile(r"lbctl [^|;,]+")
LOOKS = {"why", "explain", "status", "history"}
READS = {"wait", "show", "list"}


def commands(then: str) -> Iterator[list[str]]:
    """Yield the commands that the next step of a refusal names, as words."""
    for text in COMMAND.findall(then):
        words = shlex.split(text.split(" first:")[0].replace(" and deploy again", ""))
        yield [word for word in words[1:] if word not in {"first", "works", "without", "it"}]


def named(shop: Shop, going: str, words: list[str]) -> Request | str:
    """Return the request that a command makes, or whose state it only shows or waits for."""
    match words:
        case [verb, *rest] if verb in LOOKS:
            return next(iter(rest), "")
        case ["release", verb, *rest] if verb in READS:
            return next(iter(rest), "")
        case ["retired", target, *_]:
            return target
        case ["rollback" | "resume", target] | ["release", "cancel" | "approve", target]:
            about = {"id": 901, "actor": "t", "release": _of(shop, target).id, "nonce": "n"}
            return replace(asked(going, words[-2]), **about)  # type: ignore[type-var, arg-type]
        case ["undo", unit]:
            return Undo(id=901, actor="t", unit=UnitName(unit), plan=PLAN, nonce="n")
        case ["maintenance", "off", *names]:
            return Maintenance(id=901, actor="t", service=ServiceName(names[0]) if names else None, on=False)
        case ["claim", name, *options]:
            build = options[options.index("--build") + 1] if "--build" in options else "b/9"
            return Claim(id=901, actor="ci", service=ServiceName(name), build=build, take_over="--take-over" in options)
        case ["adopt", name, "--active", colour, *options]:
            settle = "--settle" in options
            return Adopt(
                id=901, actor="t", service=ServiceName(name), active=Colour(colour), version="9", settle=settle
            )
        case ["switch", unit, *_]:
            assert unit == SHOP
            return replace(asked(going, "switch"), unchecked=True)  # type: ignore[type-var]
    raise AssertionError(f"no test knows the next step {words}")


def _of(shop: Shop, target: str) -> Release:
    found = [one for one in shop.state.record.releases.values() if target in {one.id, one.unit_name, *one.members}]
    assert found, f"there is no release {target}"
    return found[-1]
