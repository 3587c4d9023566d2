"""Load balancers as they are now: what each can do, what it says, and the files that it starts from."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from lbctl.dataplane.envoy import attached, embedded
from lbctl.dataplane.haproxy.driver import HaproxyInstance
from lbctl.model.errors import LbctlError
from lbctl.model.topology import Driver, EnvoyMode, Instance, Plane, Service
from lbctl.model.units import Instant
from lbctl.support.reading import CannotRead, Text, listed, text_of

Json = dict[str, Any]
ASK_S = 10.0
FILE_MAX = 64 << 10
FILES_MAX = 50


def asked(planes: Sequence[Plane], services: Sequence[Service]) -> Json:
    """Return what every instance says of itself, or why it says nothing. Only reads."""
    return asyncio.run(_all(planes, services))


async def _all(planes: Sequence[Plane], services: Sequence[Service]) -> Json:
    found: Json = {}
    for plane in planes:
        mine = [one for one in services if one.plane == plane.name]
        for instance in plane.instances:
            try:
                async with asyncio.timeout(ASK_S):
                    found[instance.name] = await _one(plane, instance, mine)
            except (LbctlError, OSError) as error:  # A time-out is an OSError.
                found[instance.name] = {"cannot_be_asked": str(error) or f"no answer within {ASK_S:g} s"}
    return found


async def _one(plane: Plane, instance: Instance, services: Sequence[Service]) -> Json:
    if plane.driver is Driver.ENVOY:
        by_others = plane.envoy_mode is EnvoyMode.ATTACHED
        said = await (attached.status(instance, services) if by_others else embedded.status(instance))
        return {"status": _plain(said)}
    driver = HaproxyInstance(instance, services, lambda: Instant(0))
    try:
        return {"able": _plain(await driver.probe()), "reading": _plain(await driver.observe())}
    finally:
        await driver.close()


def _plain(value: object) -> Any:
    return msgspec.to_builtins(value, str_keys=True)


def files(planes: Sequence[Plane]) -> Iterator[tuple[str, Text]]:
    """Yield every instance and its directory: the names in it, and the maps and answers that route, as text."""
    for plane in planes:
        for instance in plane.instances:
            if instance.directory:
                yield instance.name, _directory(instance.directory)


def _directory(directory: str) -> Text:
    found, names = [listed(directory)], sorted(_names(directory))
    for name in names[:FILES_MAX]:
        path = os.path.join(directory, name)
        try:
            one = text_of(path, FILE_MAX)
            found.append(Text(f"== {path}\n{one.text.rstrip()}", one.lack))
        except CannotRead as error:
            found.append(Text(f"== {error}"))
    if (more := len(names) - FILES_MAX) > 0:
        found.append(Text(f"… {more} more files", f"{more} of {len(names)} files of {directory} are left out"))
    return Text("\n".join(one.text for one in found), "; ".join(one.lack for one in found if one.lack))


def _names(directory: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.endswith((".map", ".state", ".yaml", ".json"))]
    except OSError:
        return []
