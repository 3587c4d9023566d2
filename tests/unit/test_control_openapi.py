"""The OpenAPI document and the answers' forms fit what the desk says."""

import asyncio
import re

import msgspec
import pytest

from lbctl.control import answers, plananswers
from lbctl.control.openapi import document
from lbctl.control.rights import Role
from lbctl.control.routes import ROUTES
from lbctl.control.tail import last_id, tail
from lbctl.model.topology import Plan
from tests.fake_desk import FakeDesk, event


def test_every_route_is_in_the_document_with_its_role_and_forms() -> None:
    found = document("0.1.0")
    for route in ROUTES:
        operation = found["paths"][route.path][route.method.lower()]
        assert route.need.name.lower() in operation["description"]
        assert operation["summary"]
        assert ("requestBody" in operation) == (route.body is not None)
        assert "application/problem+json" in operation["responses"]["default"]["content"]


def test_every_reference_in_the_document_has_its_schema() -> None:
    text = msgspec.json.encode(document("0.1.0")).decode()
    schemas = document("0.1.0")["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", text)) == set(schemas)


def test_operation_names_are_unique() -> None:
    names = [route.name for route in ROUTES]
    assert len(names) == len(set(names))


def test_nothing_that_changes_something_is_open_to_observers() -> None:
    # Who may approve is said by the plan of the release: a group of its own, asked by the core.
    harmless = {"/v1/plan", "/v1/releases/{target}/approve"}
    for route in ROUTES:
        if route.method == "POST" and route.path not in harmless:
            assert route.need >= Role.GATE


async def test_the_fake_desk_says_what_the_forms_promise() -> None:
    desk = FakeDesk()
    desk.journal = [event(1)]
    for found, form in (
        (desk.status(None), answers.Status),
        (desk.plan("web", None, Plan(), "2.0.0", {}), plananswers.PlanAnswer),
        (desk.releases(None), answers.Releases),
        (await desk.release("7"), answers.OneRelease),
        (await desk.why("web"), answers.WhyAnswer),
        (await desk.explain("7"), answers.Explained),
        ({"events": desk.journal}, answers.Events),
        (desk.version(), answers.VersionAnswer),
    ):
        msgspec.convert(found, form)


@pytest.mark.parametrize("ids", [[], [1], [5], [1, 2, 3], list(range(1, 1000)), [3, 900, 70_000], [2**40]])
async def test_the_newest_event_is_found_in_few_reads_however_large_the_gaps(ids: list[int]) -> None:
    reads = 0

    async def read(after: int, limit: int) -> list[dict[str, int]]:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0)
        return [{"id": one} for one in ids if one > after][:limit]

    assert await last_id(read) == (ids[-1] if ids else 0)
    assert reads <= 90
    assert await tail(read, read, 2) == [{"id": one} for one in ids if one > (ids[-1] if ids else 0) - 1000][-2:]
