"""Sticky sessions leave a pool as the policy says: counted by users and servers, not by lbctl."""

import asyncio
import os
import signal
import time
from typing import Any

import pytest

from lbctl.demo.proxy import OwnHaproxy, Proxy
from lbctl.demo.stage import Stage
from lbctl.model.topology import HaproxyForm
from tests.e2e.scene import adopted, ended, envoy, events, haproxy, release, share_is, status, until
from tests.e2e.steady import Steady, steady
from tests.e2e.test_request_log import LoggingHaproxy, udp

PLAN = """steps: [50%, 100%]
hold: {{min: 300ms, max: 5m, then: ask}}
bake: 300ms
retain: {retain}
sessions: {{policy: {policy}, deadline: 10m, at_deadline: keep}}
on_rollback: {{sessions: {back}}}
"""


LEFT_SINCE_S = 30
"""As long as lbctl waits at least before it takes a session for one that has left."""


def plan(policy: str = "wait", *, back: str = "auto", retain: str = "5m") -> str:
    return PLAN.format(policy=policy, back=back, retain=retain)


def logging(form: HaproxyForm = HaproxyForm.MAP) -> Proxy:
    """HAProxy with a request log, from which sessions are known."""
    plain = haproxy()
    assert isinstance(plain, OwnHaproxy)
    return LoggingHaproxy(plain._binary, udp(), form)


PROXIES: list[Any] = [
    pytest.param(logging, id="haproxy", marks=pytest.mark.haproxy),
    pytest.param(lambda: logging(HaproxyForm.WEIGHTS), id="weights", marks=pytest.mark.haproxy),
    pytest.param(envoy, id="envoy", marks=pytest.mark.envoy),
]


def in_the_long_suite(one: Any) -> Any:
    return pytest.param(*one.values, id=one.id, marks=[*one.marks, pytest.mark.long])


async def draining(here: Stage) -> str:
    """Release to 100 % and wait until the new pool is active."""
    number = await release(here)

    async def there() -> bool:
        return bool((await status(here))["phase"] == "draining")

    await until(there, 40)
    return number


async def pool(here: Stage, colour: str) -> Any:
    return (await status(here))["pools"][colour]


async def moved_to(users: Steady, colour: str, seconds: float) -> None:
    async def all_there() -> bool:
        return users.by_colour[colour] == users.count

    await until(all_there, seconds, 0.1)


def fair(users: Steady, per_second: float, window_s: float) -> list[int]:
    """Return the moves in every window, each within a fifth of the rate."""
    windows = users.per_window(window_s)
    assert windows
    wanted = per_second * window_s
    assert all(0.8 * wanted <= one <= 1.2 * wanted for one in windows), " ".join(map(str, windows))
    return windows


@pytest.mark.parametrize("proxy", PROXIES)
async def test_sessions_that_wait_are_not_moved_and_a_rollback_keeps_them(proxy: Any) -> None:
    async with adopted(proxy(), plan(back="keep")) as here, steady(here.port, 40, 0.3) as users:
        number = await release(here)
        await share_is(here, 5_000)
        async with steady(here.port, 20, 0.3) as later:
            assert later.by_colour["green"]
            where = dict(later.colours)
            await share_is(here, 10_000)
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "no fault at all"})
            assert (await ended(here))["phase"] == "rolled_back"
            users.forget()
            await asyncio.sleep(1.5)
            assert (users.changes, later.changes, users.failures, later.failures) == ([], [], [], [])
            assert later.colours == where
            assert users.visitors["green"] == 0


# Half a minute each: beside the first, where the moves are made of other parts, only in the long suite.
@pytest.mark.parametrize("proxy", [PROXIES[0], *map(in_the_long_suite, PROXIES[1:])])
async def test_sessions_move_at_their_rate_each_once_also_over_a_kill(proxy: Any) -> None:
    async with adopted(proxy(), plan("{move: 10/s}")) as here, steady(here.port, 100, 0.5) as users:
        await asyncio.sleep(8)
        await draining(here)
        await until(lambda: fewer(users, 60), 20)
        kept = (await pool(here, "blue"))["keep_bp"]
        assert 0 < kept < 10_000
        await here.daemon.stop(signal.SIGKILL)
        await asyncio.sleep(1.5)
        left = users.by_colour["blue"]
        await asyncio.sleep(0.5)
        assert left - users.by_colour["blue"] <= 2
        await here.daemon.start()
        began = time.monotonic()
        await moved_to(users, "green", 30)
        assert left / 10 * 0.7 < time.monotonic() - began < left / 10 + 10
        assert (users.twice(), users.failures) == ([], [])
        assert {(change.origin, change.to) for change in users.changes} == {("blue", "green")}
        await until(lambda: told(here, "sessions.moved"), 10)


async def fewer(users: Steady, count: int) -> bool:
    return users.by_colour["blue"] < count


async def told(here: Stage, kind: str) -> bool:
    return any(event["kind"] == kind for event in await events(here))


@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_rollback_that_moves_takes_sessions_home_within_a_second_or_at_the_rate(proxy: Any) -> None:
    async with adopted(proxy(), plan("{move: 20/s}", back="move")) as here:
        number = await release(here, steps=["100%"])
        await share_is(here, 10_000)
        async with steady(here.port, 60, 0.2) as users:
            assert users.by_colour == {"green": 60}
            began = time.monotonic()
            await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "enough"})
            await until(lambda: keeps_nothing(here), 5, 0.01)
            assert time.monotonic() - began < 5
            await moved_to(users, "blue", 5)
            assert (users.twice(), users.failures) == ([], [])


async def keeps_nothing(here: Stage) -> bool:
    routes = [route for one in (await status(here))["instances"].values() for route in one["routes"]]
    return bool(routes) and all(route.split(":")[2].split()[0] == "0" for route in routes)


@pytest.mark.long
@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_thousand_sessions_go_over_and_back_with_a_reload_in_between(proxy: Any) -> None:
    made = proxy()
    async with adopted(made, plan("{move: 50/s}", retain="0s")) as here, steady(here.port, 1_000, 2.0) as users:
        await asyncio.sleep(15)
        for origin, to in (("blue", "green"), ("green", "blue")):
            users.forget()
            await draining_or_over(here)
            await asyncio.sleep(8)
            if isinstance(made, OwnHaproxy):
                assert made.pid is not None
                os.kill(made.pid, signal.SIGUSR2)
            await moved_to(users, to, 90)
            print(f"\n{origin} → {to}: {fair(users, 50, 10.0)} in windows of 10 s, {users.answers} answers")
            assert (users.twice(), users.failures) == ([], [])
            assert {(change.origin, change.to) for change in users.changes} == {(origin, to)}
            await until(lambda: told(here, "sessions.moved"), 10)
            await ended(here)


@pytest.mark.parametrize("proxy", PROXIES[:1])
async def test_who_has_left_takes_no_part_of_the_rate(proxy: Any) -> None:
    async with adopted(proxy(), plan("{move: 6/s}")) as here, steady(here.port, 60, 1.0) as users:
        async with steady(here.port, 60, 1.0):
            await asyncio.sleep(5)
        await asyncio.sleep(LEFT_SINCE_S)
        await draining(here)
        await until(lambda: fewer(users, 58), 20)
        left = (await status(here))["sessions"]["blue"]["leaving"]["left"]
        assert users.by_colour["blue"] - 12 <= left <= users.by_colour["blue"] + 15
        await moved_to(users, "green", 30)
        took = users.changes[-1].at_s - users.changes[0].at_s
        assert 8 <= took <= 13, f"60 living sessions at 6/s took {took:.1f} s"
        assert (users.twice(), users.failures) == ([], [])


@pytest.mark.long
@pytest.mark.parametrize("proxy", PROXIES)
async def test_half_of_eight_hundred_left_and_the_others_move_at_the_rate(proxy: Any) -> None:
    async with adopted(proxy(), plan("{move: 20/s}")) as here, steady(here.port, 400, 2.0) as users:
        async with steady(here.port, 400, 2.0):
            await asyncio.sleep(20)
        await asyncio.sleep(LEFT_SINCE_S)
        await draining(here)
        await moved_to(users, "green", 90)
        print(f"\n400 of 800 living, 20/s: {fair(users, 20, 10.0)} in windows of 10 s")
        assert (users.twice(), users.failures) == ([], [])
        assert {(change.origin, change.to) for change in users.changes} == {("blue", "green")}


@pytest.mark.long
@pytest.mark.parametrize("proxy", PROXIES)
async def test_nearly_all_users_are_cut_off_for_a_minute_and_do_not_all_move_when_they_come_back(proxy: Any) -> None:
    async with adopted(proxy(), plan("{move: 20/s}")) as here, steady(here.port, 600, 2.0) as users:
        await asyncio.sleep(15)
        await draining(here)
        await until(lambda: fewer(users, 540), 20)
        users.online.clear()
        await asyncio.sleep(10)
        kept, before = (await pool(here, "blue"))["keep_bp"], len(users.changes)
        await asyncio.sleep(50)
        view = (await status(here))["sessions"]["blue"]["leaving"]
        assert ((await pool(here, "blue"))["keep_bp"], len(users.changes)) == (kept, before), view
        assert "of the usual sessions have come for" in view["hindered"]
        users.online.set()
        await moved_to(users, "green", 90)
        times = [change.at_s for change in users.changes]
        most = max(sum(at <= other < at + 10 for other in times) for at in times)
        print(f"\n600 sessions, 20/s, all but one cut off for 60 s: at most {most} in 10 s")
        assert most <= 320, "those of five seconds, who were passed before the outage was seen, on top"
        assert (users.twice(), users.failures) == ([], [])


async def draining_or_over(here: Stage) -> None:
    number = await release(here)

    async def there() -> bool:
        view = await status(here)
        return view["release"] == number and view["phase"] in {"draining", "finished"}

    await until(there, 40)


@pytest.mark.long
@pytest.mark.parametrize("proxy", PROXIES)
async def test_a_thousand_sessions_wait_or_come_home_as_the_policy_says(proxy: Any) -> None:
    async with adopted(proxy(), plan("wait", back="keep")) as here, steady(here.port, 1_000, 2.0) as users:
        number = await draining(here)
        await asyncio.sleep(20)
        assert (users.changes, users.failures) == ([], [])
        await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "no fault"})
        await ended(here)
    for back, per_second in (("drain", 50), ("move", None)):
        async with adopted(proxy(), plan("{move: 50/s}", back=back)) as here:
            number = await release(here, steps=["100%"])
            await share_is(here, 10_000)
            async with steady(here.port, 1_000, 2.0) as users:
                await asyncio.sleep(12)
                assert users.by_colour == {"green": 1_000}
                began = time.monotonic()
                await here.control.post(f"/v1/releases/{number}/rollback", {"reason": "enough"})
                if per_second is None:
                    await until(lambda: keeps_nothing(here), 5, 0.01)
                    took = time.monotonic() - began
                    await moved_to(users, "blue", 10)
                    print(f"\nrollback `move`: keep 0 read back after {took:.2f} s")
                    assert took <= 1
                else:
                    await moved_to(users, "blue", 90)
                    print(f"\nrollback `drain`: {fair(users, per_second, 10.0)} in windows of 10 s")
                assert (users.twice(), users.failures) == ([], [])
