"""Attempts that HAProxy hid by trying again: what is counted is what the servers themselves saw."""

import pytest

from lbctl.core.counting import Books, PoolCounts, count
from lbctl.core.judge import Counts
from lbctl.dataplane.haproxy.render import render
from lbctl.model.names import Colour, ServerName
from lbctl.model.reading import InstanceReading
from lbctl.model.route import Route
from lbctl.model.topology import HaproxyForm
from lbctl.model.units import Span
from tests.conformance.haproxy_harness import HaproxyWorld, haproxy_world
from tests.conformance.harness import SHOP, Operator

pytestmark = pytest.mark.haproxy

NAMES = tuple(f"{colour}-{number}" for colour in Colour for number in (1, 2, 3))
BAD = "blue-1"


def counted(world: HaproxyWorld, before: InstanceReading, after: InstanceReading) -> PoolCounts:
    """What blue did between two readings, as the judge is told."""
    name, limit = world.instance.name, Span(5_000)
    books, _ = count(Books(), {name: before}, {}, SHOP, limit, before.taken_at)
    _, found = count(books, {name: after}, {}, SHOP, limit, after.taken_at)
    assert found is not None
    seen = found.pools[Colour.BLUE]
    assert seen is not None
    return seen


@pytest.mark.parametrize("mode", ["error", "reset", "refused"])
@pytest.mark.parametrize("retry_on", ["conn-failure", "all-retryable-errors"])
@pytest.mark.parametrize("form", HaproxyForm)
async def test_an_attempt_that_failed_counts_once_whether_users_saw_it_or_not(
    form: HaproxyForm, retry_on: str, mode: str
) -> None:
    async with haproxy_world(form=form, names=NAMES, begin=False) as world:
        text = render(world.instance, world.services, None)
        assert "retry-on conn-failure" in text
        world.write_config(text.replace("retry-on conn-failure", f"retry-on {retry_on}"))
        await world.begin()
        here = Operator(world)
        for service in (one.name for one in world.services):
            await here.bring(service, Route(0))
        before = await world.driver.observe()
        world.servers[BAD].mode = mode
        if mode == "refused":
            world.servers[BAD].close()
        # One after the other: HAProxy 2.6 under many at once was seen to count a repeat that it then did not make.
        answers = [await world.client().get() for _ in range(30)]
        after = await world.driver.observe()
        seen = counted(world, before, after)
        # A refused connection is one that the server never saw: HAProxy's row is the only witness of it.
        attempts = {name: len(world.servers[name].seen) for name in NAMES if name.startswith("blue")}
        tried = seen.servers[ServerName(BAD)].total if mode == "refused" else attempts[BAD]
        attempts[BAD] = tried
        # Fewer than half of them where the machine is slow: HAProxy's checks take the bad server out meanwhile.
        assert tried >= 2
        assert seen.counts == Counts(sum(attempts.values()), tried)
        assert seen.servers == {
            ServerName(name): Counts(number, number if name == BAD else 0) for name, number in attempts.items()
        }
        hidden = mode == "refused" or retry_on != "conn-failure"
        assert sum(answer.status >= 500 for answer in answers) == (0 if hidden else tried)
