"""`lbctl doctor`: asks whoever can be asked, and puts together what they say. Changes nothing."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from lbctl.about import VERSION
from lbctl.cli.client import ELSE_DOCTOR, Client
from lbctl.cli.failure import Exit, Failure
from lbctl.cli.importing import document_of
from lbctl.cli.screens.findings import glyph, plain
from lbctl.config.fault import ConfigError, Fault
from lbctl.config.live import look
from lbctl.config.load import load
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight
from lbctl.doctor import balancers, haproxycfg, host, sockets
from lbctl.doctor.told import of_daemon, of_service, once
from lbctl.model.topology import Driver

Json = dict[str, Any]
CONFIG = "/etc/lbctl/lbctl.yaml"
PAGES = "/usr/share/doc/lbctl/docs"
"""Where the package puts the pages that fixes name."""
HAPROXY = ("/etc/haproxy/haproxy.cfg", "/etc/haproxy/conf.d")


def examined(client: Client, file: str | None, cfg: Sequence[str], env: Sequence[str], assume: Sequence[str]) -> Json:
    """Return every finding as data, the heaviest first. `file` None: the daemon's config, else the usual one."""
    status, found = _of_daemon(client)
    path = file or (status or {}).get("config") or CONFIG
    config, faults = _config(str(path))
    found += faults
    if config is not None:
        found += _of_config(config, cfg, env, assume, live=status is None)
    else:
        found += [*host.clock(freezing=False), *host.other_balancers(Path("/"))]
    kept = once(found)
    counts = {weight.value: sum(one.weight is weight for one in kept) for weight in Weight}
    return {
        "config": path,
        "daemon": status is not None,
        "findings": [plain(one) for one in kept],
        "counts": counts,
    }


def _of_daemon(client: Client) -> tuple[Json | None, list[Finding]]:
    """Return who runs, None for nobody, and what it says."""
    try:
        about = client.get("/v1/version")
        status = client.get("/v1/status")
    except Failure as failure:
        if failure.exit_code not in {Exit.UNREACHABLE, Exit.NOT_AUTHORISED}:
            raise
        what = f"{failure.what}: {failure.why}; load balancers are asked directly"
        return None, [
            Finding("DAEMON_UNREACHABLE", Weight.WARNING, "lbctld", what, failure.then.removesuffix(ELSE_DOCTOR))
        ]
    found = [*of_daemon(status, about, VERSION)]
    for name, view in status["services"].items():
        found += of_service(name, view, _plan(client, name))
    return about, found


def _plan(client: Client, service: str) -> Json | str:
    try:
        return client.post("/v1/plan", {"service": service})
    except Failure as failure:
        return f"{failure.what}: {failure.why}" if failure.why else failure.what


def _config(path: str) -> tuple[Any, list[Finding]]:
    if not os.path.exists(path):
        return None, [_no_config(path)]
    try:
        config = load(path, uid=os.getuid(), environ=os.environ, read_secrets=False)
    except ConfigError as error:
        return None, [_fault("CONFIG_INVALID", Weight.FAULT, one, path) for one in error.faults]
    return config, [
        Finding("CONFIG_WARNED", Weight.WARNING, path, text, f"lbctl config validate {path}")
        for text in config.warnings
    ]


def _no_config(path: str) -> Finding:
    cfg = next((one for one in HAPROXY if os.path.exists(one)), "")
    fix = f"lbctl config import {cfg} > lbctl.yaml" if cfg else "begin with one of /usr/share/doc/lbctl/examples"
    return Finding("NO_CONFIG", Weight.FAULT, path, "there is no config of lbctl's yet", fix)


def _fault(code: str, weight: Weight, one: Fault, path: str = "") -> Finding:
    where = f"{path}:{one.mark.line}:{one.mark.column}" if path else f"{one.path} (line {one.mark.line})"
    what = f"{one.path}: {one.what}" if path and one.path else one.what
    return Finding(code, weight, where, what, one.then)


def _of_config(
    config: Any, cfg: Sequence[str], env: Sequence[str], assume: Sequence[str], *, live: bool
) -> list[Finding]:
    topology = config.topology
    planes, services = list(topology.planes.values()), list(topology.services.values())
    found = [_fault("MISSING_HERE", Weight.WARNING, one) for one in look(config)]
    found += balancers.of_config(topology)
    if live:
        found += asyncio.run(balancers.asked(planes, services))
        found += sockets.closed([one for plane in planes for one in plane.instances], config.daemon.state_dir)
    root = Path("/")
    freezing = any(one.freeze for one in (*services, *topology.units.values()))
    found += [*host.clock(freezing=freezing), *host.queues(planes, root), *host.other_balancers(root)]
    haproxies = [plane for plane in planes if plane.driver is Driver.HAPROXY]
    directories = [instance.directory for plane in haproxies for instance in plane.instances]
    found += host.map_rights(directories, config.daemon.state_dir)
    files = list(cfg) or [one for one in HAPROXY if os.path.exists(one)]
    if haproxies and not files:
        what = f"none of {', '.join(HAPROXY)} is there: HAProxy's config was not looked at"
        found.append(Finding("CONFIG_NOT_FOUND", Weight.NOTE, "", what, "lbctl doctor --haproxy-cfg FILE"))
    found += host.management(directories, dict(_texts(files)), root)
    if haproxies and files:
        try:
            document = document_of(files, env, assume)
        except Failure as failure:
            return [*found, Finding("CONFIG_NOT_FOUND", Weight.NOTE, files[0], failure.what, failure.then)]
        for plane in haproxies:
            found += haproxycfg.compared(document, plane, [one for one in services if one.plane == plane.name])
    return found


def _texts(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    for file in files:
        path = Path(file)
        if path.is_file() and os.access(path, os.R_OK):
            yield file, path.read_text(encoding="utf-8", errors="replace")[:4_096]


def screen(found: Json) -> str:
    """Return the findings for people."""
    return "\n".join(_lines(found))


def _lines(found: Json) -> Iterator[str]:
    who = "its running daemon" if found["daemon"] else "no daemon: load balancers were asked directly"
    yield f"{found['config']}   {who}"
    for one in found["findings"]:
        yield f"{glyph(one)} {one['code']}   {one['where']}".rstrip()
        yield f"    {one['what']}"
        if one["fix"]:
            yield f"    fix  {one['fix']}"
    counts = found["counts"]
    word = "✖" if counts["fault"] else "●"
    yield f"{word} {', '.join(_counted(counts[one], one) for one in ('fault', 'warning', 'note'))}"
    if os.path.isdir(PAGES) and any(one["fix"].startswith("docs/") for one in found["findings"]):
        yield f"docs/ is {PAGES}"


def _counted(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"
