"""Chats dead, disk full, hooks hung, health checks gone, all at once: a rollback is answered and brings users back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from lbctl.demo.proxy import Proxy
from tests.e2e.scene import crowd, one_of, proxies
from tests.e2e.worst_day import ANSWER_S, BACK_S, PHASES, Figures, go_back, worst_day

ROUNDS = 13
"""With four phases that have traffic: 52 ways back."""


async def gone_back(proxy: Proxy, directory: Path, phases: list[str]) -> Figures:
    """Go back from each of these phases, under load. Nobody may fail."""
    figures = Figures()
    async with worst_day(proxy, directory) as day, await crowd(day.here, rate=300) as users:
        for phase in phases:
            await go_back(day, phase, figures)
        assert (await users.stop()).failed_requests == 0
    return figures


@pytest.mark.parametrize("proxy", one_of("haproxy"))
async def test_whatever_is_broken_a_rollback_is_answered_and_users_are_back(
    proxy: Callable[[], Proxy], tmp_path: Path
) -> None:
    answer, back = (await gone_back(proxy(), tmp_path, ["preflight", "shifting", "draining"])).worst()
    assert answer <= 5 * ANSWER_S
    assert back <= 5 * BACK_S


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("proxy", proxies())
async def test_whatever_is_broken_a_rollback_is_as_fast_as_promised_in_every_phase(
    proxy: Callable[[], Proxy], tmp_path: Path
) -> None:
    figures = await gone_back(proxy(), tmp_path, [*PHASES] * ROUNDS)
    print(figures.told())
    answer, back = figures.worst()
    assert answer <= ANSWER_S
    assert back <= BACK_S
