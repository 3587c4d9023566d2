"""`lbctl config import`: HAProxy's files read, a config proposed, and everything said that it does not know."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from lbctl.cli.failure import Exit, Failure
from lbctl.cli.screens.findings import glyph, plain
from lbctl.config.fault import ConfigError, did_you_mean
from lbctl.config.load import load_text
from lbctl.dataplane.haproxy.existing import yamltext
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.dataplane.haproxy.existing.mapfiles import file_of, values
from lbctl.dataplane.haproxy.existing.proposal import Proposal, Proposed, propose
from lbctl.dataplane.haproxy.existing.routing import choices
from lbctl.dataplane.haproxy.existing.sections import Document, read

Json = dict[str, Any]
SIZE_MAX = 16 * 1_024 * 1_024
PROPOSED = "lbctl.yaml"


def document_of(files: Sequence[str], env: Sequence[str], assumed: Sequence[str]) -> Document:
    """Read HAProxy's files, in its order; a directory stands for its `*.cfg`, as for HAProxy.

    Raises:
        Failure: one of them cannot be read.
        UsageError: an option is not NAME=VALUE.
    """
    variables = dict(_pair(one, "--env") for one in env)
    holds = {name: _truth(value) for name, value in (_pair(one, "--assume") for one in assumed)}
    paths = [path for file in files for path in _paths(Path(file))]
    return with_maps(read([(_shown(path), text_of(path)) for path in paths], variables, holds))


def with_maps(document: Document) -> Document:
    """Add what the map files say that its backends are chosen from; one that cannot be read is not known. Nobody named
    them here: a pipe among them must not be waited for."""
    for path in filter(os.path.isfile, {file_of(choice.target) for choice in choices(document)}):
        with suppress(Failure):
            document.maps[path] = values(text_of(Path(path)))
    return document


def proposed(document: Document, only: Sequence[str], files: str, master_socket: str, map_dir: str) -> Json:
    """Return the proposal as data: the text, what a person must fill in, what bites, what was not understood."""
    made = propose(document, only)
    if only and not made.services:
        named = [section.name for section in document.of("backend", "listen")]
        what = f"there is no backend with servers called {' or '.join(only)}"
        raise Failure(what, then=did_you_mean(only[0], named), exit_code=Exit.NO_SUCH)
    text = yamltext.text(made, files, master_socket, map_dir)
    faults = _faults(text)
    return {
        "config": text,
        "complete": not faults,
        "services": [_service(one) for one in made.services],
        "fill_in": [*_fill_in(made), *faults],
        "findings": [plain(one) for one in _findings(made, master_socket)],
        "left_out": [yamltext.remark_line(one) for one in made.left_out],
        "not_understood": [yamltext.remark_line(one) for one in made.not_understood],
    }


def _faults(text: str) -> list[str]:
    """What `config validate` would say of the proposal; people and groups of this host are not in it."""
    try:
        load_text(PROPOSED, text.encode(), uid=0, environ=os.environ, read_secrets=False)
    except ConfigError as error:
        return error.render().splitlines()
    return []


def _fill_in(made: Proposal) -> Iterator[str]:
    if not made.socket:
        yield "data_planes.edge.instances.lb1.socket: HAProxy has no admin socket yet"
    for one in made.services:
        yield from (yamltext.remark_line(remark) for remark in one.fill_in)


def _findings(made: Proposal, master_socket: str) -> list[Finding]:
    every = [*made.findings, *_master(master_socket), *(finding for one in made.services for finding in one.findings)]
    return list(dict.fromkeys(every))


def _master(path: str) -> Iterator[Finding]:
    """Yield Debian's way of starting HAProxy: nobody but root may open its master socket."""
    if path and os.path.exists(path) and os.stat(path).st_gid == 0:
        fix = f'`EXTRAOPTS="-S {path},mode,660,group,lbctl"` in /etc/default/haproxy, and a restart of HAProxy'
        yield Finding("SOCKET_GROUP", Weight.WARNING, path, "only root may open the master socket", fix)


def _service(one: Proposed) -> Json:
    return {
        "name": one.name,
        "form": one.form.value,
        "protocol": one.protocol.value,
        "why": yamltext.remark_line(one.form_why),
        "backends": {colour.value: name for colour, name in one.backends.items()},
        "missing": one.missing,
        "active": None if one.active is None else one.active.value,
        "active_why": one.active_why,
        "servers": {colour.value: len(pool) for colour, pool in one.found.pools.items()},
        "cookie": one.cookie,
        "chosen_at": [str(choice.line.place) for choice in one.choices],
    }


def report(found: Json) -> str:
    """Return what people read beside the text: reasons, gaps, what bites, what is next."""
    return "\n".join(_report(found))


def _report(found: Json) -> Iterator[str]:
    for one in found["services"]:
        servers = " + ".join(f"{count} {colour}" for colour, count in one["servers"].items())
        yield f"● {one['name']}: form {one['form']}, {one['protocol']}, {servers}: {one['why']}"
        yield f"  active {one['active'] or 'not known'}{': ' + one['active_why'] if one['active_why'] else ''}"
        if one["missing"]:
            yield f"  HAProxy's config does not have {', '.join(one['missing'])} yet"
    if not found["services"]:
        yield "✖ no backend was found that lbctl could drive"
    for title, key in (("fill in", "fill_in"), ("left out", "left_out"), ("not understood", "not_understood")):
        if found[key]:
            yield f"{title}:"
            yield from (f"  {line}" for line in found[key])
    if found["findings"]:
        yield "to add or change in HAProxy's config:"
        for one in found["findings"]:
            yield f"  {glyph(one)} {one['code']} {one['where']}: {one['what']}{'; ' + one['fix'] if one['fix'] else ''}"
    yield f"next: {_next(found)}"
    if found["complete"]:
        yield f"then: {_then(found)}"


def _then(found: Json) -> str:
    """The command of docs/how-to/existing-haproxy.md that differs from host to host, whole."""
    actives = " ".join(f"--active {one['name']}={one['active'] or 'blue|green'}" for one in found["services"])
    merge = f"lbctl config render haproxy --config FILE --into HAPROXY.CFG --write-maps {actives}"
    return f"FILE to /etc/lbctl/lbctl.yaml, and as lbctl's user: {merge} > new.cfg"


def _next(found: Json) -> str:
    if not found["complete"]:
        return "fill in what is marked FILL IN, then lbctl config validate FILE"
    return "read the file, then lbctl config validate FILE and lbctl doctor --config FILE"


def found_master_socket() -> str:
    """Return Debian's master socket where this host has one; nothing is assumed elsewhere."""
    usual = "/run/haproxy-master.sock"
    return usual if os.path.exists(usual) else ""


def _paths(path: Path) -> list[Path]:
    return sorted(path.glob("*.cfg")) if path.is_dir() else [path]


def _shown(path: Path) -> str:
    return path.name


def text_of(path: Path) -> str:
    """Return the text of a file that is not too large. Raises Failure."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(SIZE_MAX + 1)
    except OSError as error:
        raise Failure(f"{path} cannot be read: {error.strerror}", then="run it as root, or as a user who may read it",
                      exit_code=Exit.CONFIG) from None  # fmt: skip
    if len(raw) > SIZE_MAX:
        raise Failure(f"{path} is larger than {SIZE_MAX >> 20} MB", exit_code=Exit.CONFIG)
    return raw.decode("utf-8", "replace")


def _pair(text: str, option: str) -> tuple[str, str]:
    name, equals, value = text.rpartition("=") if option == "--assume" else text.partition("=")
    if not equals or not name:
        raise click.BadParameter("write it as NAME=VALUE", param_hint=option)
    return name.strip(), value


def _truth(value: str) -> bool:
    if value not in {"yes", "no"}:
        raise click.BadParameter("write =yes or =no behind the condition", param_hint="--assume")
    return value == "yes"
