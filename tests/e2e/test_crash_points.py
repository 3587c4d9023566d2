"""lbctld ended at every effect on a real load balancer under load: nobody notices, nothing that was decided is lost."""

from collections.abc import Callable

import pytest

from lbctl.crash import Point
from lbctl.demo.proxy import Proxy
from lbctl.demo.stage import Stage
from tests.e2e.lives import ALERTS, PLAN, Lives, told
from tests.e2e.scene import adopted, crowd, one_of, proxies_and_forms

RECOVERY_S = 2.0
OFTEN = (1, 3)
HOT = (
    "journal.",
    "slot.",
    "apply.",
    "haproxy.",
    "envoy.between",
    "envoy.written",
    "kept.",
    "answer.",
    "token.",
    "alert.",
)
WEIGHED = ("apply.", "haproxy.", "slot.")
"""What differs in HAProxy's other form."""
ONCE = {Point.JOURNAL_TIDIED, Point.TOKEN_BETWEEN}
ELSEWHERE = {Point.CLOSE_BEFORE, Point.CLOSE_AFTER}
"""Need a pool whose connections are closed by force."""
BEFORE_USERS = {Point.ENVOY_LAUNCH_BEFORE, Point.ENVOY_LAUNCH_AFTER}
HANDFUL = [(Point.JOURNAL_COMMITTED, 2), (Point.HAPROXY_SENT, 1), (Point.SLOT_REPLACED, 1)]


def deaths(driver: str, form: str) -> list[tuple[Point, int]]:
    """Return at which passing of which point a daemon of this load balancer can end while users come."""
    absent = {one for one in Point if one.startswith("envoy." if driver == "haproxy" else "haproxy.")}
    absent |= ELSEWHERE | BEFORE_USERS | (set() if form == "weights" else {Point.HAPROXY_RAISED})
    here = [one for one in Point if one not in absent and (form != "weights" or one.startswith(WEIGHED))]
    return [(one, n) for one in here for n in (OFTEN if one.startswith(HOT) and one not in ONCE else (1,))]


async def died(here: Stage, plan: list[tuple[Point, int]]) -> Lives:
    """Let lbctld die as planned, under load."""
    lives = Lives(here)

    async def without_ballast() -> None:
        (here.directory / "state" / "journal.ballast").unlink(missing_ok=True)

    async with await crowd(here, rate=120) as users:
        failed = 0
        for point, passings in plan:
            await lives.end_at(point, passings, without_ballast if point.startswith("ballast.") else None)
            now = await users.snapshot()
            if now.failed_requests > failed:
                lives.problems.append(
                    f"{point}:{passings}: {now.failed_requests - failed} failed: {now.first_failures}"
                )
            failed = now.failed_requests
        report = await users.stop()
        print(f"\n{report.requests} requests, {report.failed_requests} failed, {report.colour_changes} sessions moved")
    assert report.colour_changes == 0
    return lives


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_nobody_notices_a_death_between_effects_and_nothing_is_lost(proxy: Callable[[], Proxy]) -> None:
    async with adopted(proxy(), PLAN, alerts=ALERTS) as here:
        plan = [one for one in HANDFUL if one in deaths(here.proxy.driver, "map")]
        lives = await died(here, plan)
    assert not lives.problems
    assert max(lives.recoveries) <= 5 * RECOVERY_S


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("proxy", proxies_and_forms())
async def test_nobody_notices_a_death_at_any_effect_and_nothing_is_lost(
    proxy: Callable[[], Proxy], request: pytest.FixtureRequest
) -> None:
    form = request.node.callspec.id
    async with adopted(proxy(), PLAN, alerts=ALERTS) as here:
        before = Lives(here)
        for point in sorted(BEFORE_USERS) if here.proxy.driver == "envoy" else []:
            await before.end_at(point, 1, lambda: here.proxy.end(here.directory))
        plan = deaths(here.proxy.driver, form)
        lives = await died(here, plan)
    print(told(plan, lives))
    assert not before.problems + lives.problems
    assert max(lives.recoveries) <= RECOVERY_S
