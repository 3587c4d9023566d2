"""`config render --freeze DIR`: the split as it is now, as files that nobody moves, to go on without lbctl."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lbctl.cli.failure import Exit, Failure
from lbctl.cli.rendering import chosen
from lbctl.config.settings import Config
from lbctl.model.errors import Garbled
from lbctl.model.topology import EnvoyMode, Instance, Service

READ = {"haproxy": ("**/*",), "envoy": ("eds/*", "rds/*")}
"""What a load balancer that others run reads of its directory."""
MAKES = {
    "haproxy": "lbctl config render haproxy --write-maps",
    "envoy": "lbctl envoy prepare --config FILE --active SERVICE=COLOUR",
}
"""What writes boot values where there are none."""


def frozen(config: Config, driver: str, instance: str | None, directory: Path) -> tuple[str, Sequence[str]]:
    """Copy the boot values of one load balancer to a new `directory`, and return the configuration that reads them
    there, and what was copied. Needs no daemon: boot values are what the load balancer would start with.

    Raises:
        Failure: no such instance, an embedded Envoy, nothing was ever written, or the copy is not possible.
    """
    plane, found, services = chosen(config, driver, instance)
    if plane.envoy_mode is EnvoyMode.EMBEDDED and driver == "envoy":
        why = "an embedded Envoy is lbctl's own child, with a configuration of its own"
        then = "write `mode: attached`, see docs/how-to/envoy.md"
        raise Failure(f"{found.name} cannot be frozen", why=why, then=then, exit_code=Exit.REFUSED)
    there = replace(found, directory=os.path.abspath(directory))
    try:
        text = _rendered(driver, there, services)
    except Garbled as error:
        raise Failure(str(error), then=f"lbctl config validate {config.path}", exit_code=Exit.CONFIG) from None
    return text, _copied(driver, Path(found.directory), Path(there.directory))


def _rendered(driver: str, instance: Instance, services: Sequence[Service]) -> str:
    if driver == "haproxy":
        from lbctl.dataplane.haproxy.render import render

        return render(instance, services, None)
    from lbctl.dataplane.envoy.layout import layout_of
    from lbctl.dataplane.envoy.proposal import FROZEN, proposal

    return proposal(instance.name, layout_of(instance), services, FROZEN)


def _copied(driver: str, source: Path, target: Path) -> list[str]:
    """Copy all files that the load balancer reads; what lbctl keeps beside them (locks, spare files) is left out."""
    try:
        read = (path for pattern in READ[driver] for path in source.glob(pattern))
        files = sorted(path for path in read if _is_own(path, source) and not _private(path.relative_to(source)))
        if not files:
            raise Failure(f"{source} holds no boot values", then=MAKES[driver], exit_code=Exit.REFUSED)
        target.mkdir(mode=0o755, parents=True)
        for path in files:
            copy = target / path.relative_to(source)
            copy.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            _copy(path, copy)
    except FileExistsError:
        what = f"{target} is there already"
        raise Failure(what, then="name a new directory, or remove that one", exit_code=Exit.REFUSED) from None
    except OSError as error:
        what = f"{error.filename or target} cannot be copied: {error.strerror or error}"
        raise Failure(
            what, then="run it as a user who may read the one and write the other", exit_code=Exit.REFUSED
        ) from None
    return [f"copied {path} to {target / path.relative_to(source)}" for path in files]


def _is_own(path: Path, source: Path) -> bool:
    """Whether it is a file of this directory, and not one that a link in it leads to: root may be asked to copy what
    another user wrote, and everybody may read the copy."""
    return path.is_file() and path.resolve() == source.resolve() / path.relative_to(source)


def _copy(path: Path, copy: Path) -> None:
    """Copy a file for everybody to read. Raises OSError, also if it has become a link meanwhile."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as held, open(copy, "xb") as made:
        shutil.copyfileobj(held, made)
        os.fchmod(made.fileno(), 0o644)


def _private(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts) or path.suffix in {".lock", ".pid", ".log", ".sock", ".1"}
