"""A new config and the loop: it is looked at by the record as it is in the turn in which it is taken."""

import asyncio
from collections.abc import Callable
from typing import Any

from lbctl.core.state import Effect
from lbctl.daemon.loop import Loop
from lbctl.model.names import ServiceName
from lbctl.model.reading import Observed
from lbctl.model.record import Record
from lbctl.model.request import Switch
from tests.shop import PLAN, TOPOLOGY, A, B, Shop, replace

CART = ServiceName("cart")
WIDER = replace(TOPOLOGY, services={**TOPOLOGY.services, CART: replace(TOPOLOGY.services[B], name=CART)})


class Around:
    """What is around the loop, with nothing to do: its eyes, its hands, its files."""

    def carry_out(self, effects: tuple[Effect, ...]) -> None:
        """Do nothing."""

    def observed(self, record: Record) -> Observed:
        """See nothing."""
        del record
        return Observed(instances={})

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


async def proposed(*, cut_before: bool) -> tuple[str, list[str], Loop]:
    """Propose a config, right behind a request that starts a release of storefront, or alone."""
    shop = Shop(users=1)
    around: Any = Around()
    loop = Loop(shop.state, around, lambda: shop.now)
    loop.connect(around, around, ticked=lambda: None)
    shop.claim(A)
    shop.claim(B)
    loop.state = shop.state
    cut = Switch(
        id=7, actor="t", service=B, to=None, version="2", plan=PLAN, nonce="n", followers={A: "2"}, unchecked=True
    )
    asking = asyncio.create_task(loop.submit(cut)) if cut_before else None
    await asyncio.sleep(0)
    taken: list[str] = []
    proposing = asyncio.create_task(
        loop.reconfigure(
            WIDER,
            refused=lambda record: "in release" if record.running(B) is not None else "",
            take=lambda: taken.append("taken"),
        )
    )
    await asyncio.sleep(0)
    running = asyncio.create_task(loop.run())
    why = await proposing
    for task in (running, asking):
        if task is not None:
            task.cancel()
    return why, taken, loop


async def test_a_set_that_is_cut_before_the_config_is_taken_is_seen_by_its_check() -> None:
    why, taken, loop = await proposed(cut_before=True)
    assert loop.state.record.running(B) is not None
    assert (why, taken) == ("in release", [])
    assert CART not in loop.state.topology.services


async def test_a_config_that_nothing_forbids_is_taken_whole_in_one_turn() -> None:
    why, taken, loop = await proposed(cut_before=False)
    assert (why, taken) == ("", ["taken"])
    assert CART in loop.state.topology.services
