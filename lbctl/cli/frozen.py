"""`config render --freeze DIR`: the split as it is now, as files that nobody moves, to go on without lbctl.

Root runs it on a directory of lbctl's user. So only files that the printed configuration names are copied, and none
that is a link or belongs to somebody else: nobody gets at a file through root that he may not read himself.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from lbctl.cli.failure import Exit, Failure
from lbctl.cli.rendering import chosen, merged_into, way_out
from lbctl.config.settings import Config
from lbctl.model.errors import Garbled
from lbctl.model.topology import EnvoyMode, Instance, Service

FILE_BYTES_MAX = 16 << 20
_NAME = r"((?:eds/|rds/)?[A-Za-z0-9][A-Za-z0-9._-]*\.(?:map|callers|state|json))"
MAKES = {
    "haproxy": "lbctl config render haproxy --config FILE --write-maps --active SERVICE=COLOUR",
    "envoy": "lbctl envoy prepare --config FILE --active SERVICE=COLOUR",
}
"""What writes boot values where there are none."""


def frozen(
    config: Config, driver: str, instance: str | None, directory: Path, into: str | None = None
) -> tuple[str, Sequence[str]]:
    """Copy the boot values of one load balancer to a new `directory`, and return the configuration that reads them
    there, and what was copied; `into`: HAProxy's own config, to be printed with that in it. Needs no daemon: boot
    values are what the load balancer would start with.

    Raises:
        Failure: no such instance, an embedded Envoy, nothing was ever written, the copy is not possible, or `into`
            would read the originals all the same.
    """
    plane, found, services = chosen(config, driver, instance)
    if plane.envoy_mode is EnvoyMode.EMBEDDED and driver == "envoy":
        why = "an embedded Envoy is lbctl's own child, with a configuration of its own"
        then = "write `mode: attached`, see docs/how-to/envoy.md"
        raise Failure(f"{found.name} cannot be frozen", why=why, then=then, exit_code=Exit.REFUSED)
    there = replace(found, directory=os.path.abspath(directory))
    try:
        text, told = _rendered(driver, there, services) if into is None else merged_into(into, there, services, None)
    except Garbled as error:
        raise Failure(str(error), then=way_out(config.path, into, str(error)), exit_code=Exit.CONFIG) from None
    if into is not None and f"{found.directory}/" in text.replace(f"{there.directory}/", ""):
        what = f"{into} reads files of {found.directory} outside of lbctl's marks"
        raise Failure(what, then=f"take these lines out: grep -n {found.directory} {into}", exit_code=Exit.REFUSED)
    names = dict.fromkeys(re.findall(re.escape(f"{there.directory}/") + _NAME, text))
    return text, [*told, *_copied(driver, [*names], Path(found.directory), Path(there.directory))]


def _rendered(driver: str, instance: Instance, services: Sequence[Service]) -> tuple[str, Sequence[str]]:
    if driver == "haproxy":
        from lbctl.dataplane.haproxy.render import render

        return render(instance, services, None), ()
    from lbctl.dataplane.envoy.layout import layout_of
    from lbctl.dataplane.envoy.proposal import FROZEN, proposal

    return proposal(instance.name, layout_of(instance), services, FROZEN), ()


def _copied(driver: str, names: Sequence[str], source: Path, target: Path) -> list[str]:
    """Copy all files that the load balancer reads; all are read before anything is written."""
    try:
        texts = dict(_texts(names, source))
        missing = [name for name in names if name not in texts and not name.endswith(".state")]
        if missing:
            what = f"{source} holds no boot values: {', '.join(missing)} is not there"
            raise Failure(what, then=MAKES[driver], exit_code=Exit.REFUSED)
        target.mkdir(mode=0o755, parents=True)
        for name, text in texts.items():
            _write(target / name, text)
    except FileExistsError:
        what = f"{target} is there already"
        raise Failure(what, then="name a new directory, or remove that one", exit_code=Exit.REFUSED) from None
    except OSError as error:
        what = f"{error.filename or target} cannot be copied: {error.strerror or error}"
        raise Failure(
            what, then="run it as a user who may read the one and write the other", exit_code=Exit.REFUSED
        ) from None
    return [f"copied {source / name} to {target / name}" for name in texts]


def _texts(names: Sequence[str], source: Path) -> Iterator[tuple[str, bytes]]:
    """Yield what is in each file that is there."""
    try:
        directory = os.open(source, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        owner = os.fstat(directory).st_uid
        for name in names:
            try:
                yield name, _text(directory, name, owner, source / name)
            except FileNotFoundError:
                continue
    finally:
        os.close(directory)


def _text(directory: int, name: str, owner: int, path: Path) -> bytes:
    """Return the content of a plain file of `owner`, reached without following any link below the directory."""
    folder, _, file = name.rpartition("/")
    above = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    try:
        # Not blocking: a pipe in the place of a file must not keep root waiting.
        opened = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from None
    finally:
        os.close(above)
    about = os.fstat(opened)
    if not stat.S_ISREG(about.st_mode) or about.st_uid != owner or about.st_size > FILE_BYTES_MAX:
        os.close(opened)
        what = f"{path} is no plain file of uid {owner}, whose directory it is in"
        raise Failure(what, then=f"look at it: ls -ln {path}", exit_code=Exit.REFUSED)
    with os.fdopen(opened, "rb") as stream:
        return stream.read(FILE_BYTES_MAX)


def _write(path: Path, text: bytes) -> None:
    path.parent.mkdir(mode=0o755, exist_ok=True)
    path.write_bytes(text)
    path.chmod(0o644)
