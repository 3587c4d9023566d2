"""`lbctl support`: asks the daemon if it answers, else its files, and packs what they say. Changes nothing."""

import json
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lbctl.about import VERSION
from lbctl.cli import doctoring
from lbctl.cli.client import Client, quoted
from lbctl.cli.failure import Exit, Failure
from lbctl.config.fault import ConfigError
from lbctl.config.load import load
from lbctl.config.settings import Config
from lbctl.config.show import config_text
from lbctl.support import balancers, host
from lbctl.support.bundle import Bundle, missing
from lbctl.support.hiding import Hider, hider
from lbctl.support.past import Past, past
from lbctl.support.reading import CannotRead, Text, read

Json = dict[str, Any]
CONFIG_BYTES_MAX = 4 << 20
EVENTS_MAX = 5_000
PAGE = 1_000
RELEASES_MAX = 200
EXPLAINED_MAX = 3
LACK_MAX = 100
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class Gathering:
    """Where the parts of one bundle come from. What is asked twice is kept."""

    def __init__(self, client: Client, file: str | None) -> None:
        self._client = client
        self.about, self.silent = _daemon(client)
        self.path = os.path.abspath(file or (self.about or {}).get("config") or doctoring.CONFIG)

    @cached_property
    def config(self) -> Config:
        """The config, without its secrets. Raises ConfigError."""
        return load(self.path, uid=os.getuid(), environ=os.environ, read_secrets=False)

    @cached_property
    def past(self) -> Past:
        """What the files of the journal say, where no daemon does."""
        return past(self.config.daemon.state_dir, RELEASES_MAX, EVENTS_MAX)

    def hider(self) -> Hider:
        """Return what hides secrets: also of a config that is not valid."""
        try:
            raw = read(self.path, CONFIG_BYTES_MAX + 1, follow=True)
        except CannotRead as error:
            return Hider(unread=(f"of the config: {error}",))
        text = raw[:CONFIG_BYTES_MAX].decode("utf-8", "replace")
        found = hider(text, os.path.dirname(self.path), os.environ, host.credentials())
        if len(raw) <= CONFIG_BYTES_MAX:
            return found
        return replace(found, unread=(*found.unread, f"of the config: what follows its first {CONFIG_BYTES_MAX} bytes"))

    def head(self) -> str:
        """Return who and when, in two lines."""
        who = "a daemon answered" if self.about else f"no daemon answered: {self.silent}"
        return f"lbctl {VERSION} on {socket.gethostname()}\nconfig {self.path}; {who}"

    def versions(self) -> str:
        """Return every version."""
        return _json({"lbctl": VERSION, "lbctld": self.about or self.silent, **host.versions()})

    def doctor(self) -> str:
        """Return what doctor finds, for people."""
        return doctoring.screen(doctoring.examined(self._client, self.path, (), (), ())) + "\n"

    def shown_config(self) -> str:
        """Return the whole config with its defaults; where it is not valid only its faults, which show no value."""
        try:
            return config_text(self.config)
        except ConfigError as error:
            return error.render() + "\n"

    def status(self) -> str | Text:
        """Return what the daemon says of all services, else the last record of its journal."""
        if self.about:
            return _json(self._client.get("/v1/status"))
        return Text(_json({"record": self.past.record, "damage": self.past.damage}), self.past.damage)

    def releases(self) -> str | Text:
        """Return releases, newest first."""
        if self.about:
            return _json(self._client.get("/v1/history", limit=RELEASES_MAX))
        return Text(_json({"releases": self.past.releases}), self.past.damage)

    def events(self) -> str | Text:
        """Return the newest events, one a line."""
        events = self._events() if self.about else self.past.events
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in events)
        return text if self.about else Text(text, self.past.damage)

    def explained(self) -> Iterator[tuple[str, Callable[[], str | Text]]]:
        """Yield the numbers of the newest releases and what explains each."""
        if not self.about:
            return
        try:
            found = self._client.get("/v1/history", limit=EXPLAINED_MAX)["releases"]
        except (Failure, KeyError) as error:
            why = f"missing: which releases there are: {error}"
            yield "unknown", lambda: Text("", why)
            return
        for one in found:
            number = str(one["id"])
            yield number, lambda number=number: _json(self._client.get(f"/v1/explain/{quoted(number)}"))  # type: ignore[misc]

    def metrics(self) -> str:
        """Return what Prometheus would read."""
        return self._client.text("/metrics")

    def balancers(self) -> str:
        """Return what load balancers say."""
        topology = self.config.topology
        return _json(balancers.asked(list(topology.planes.values()), list(topology.services.values())))

    def files(self) -> list[tuple[str, Text]]:
        """Return the directories of load balancers; none without a config."""
        try:
            return list(balancers.files(list(self.config.topology.planes.values())))
        except ConfigError:
            return []

    def system(self) -> Text:
        """Return the host, and lbctl's directories where they are known."""
        try:
            daemon = self.config.daemon
        except ConfigError:
            return host.system(())
        tokens = os.path.join(daemon.runtime_dir, "tokens")
        return host.system((daemon.state_dir, daemon.runtime_dir, tokens, os.path.dirname(daemon.control_socket)))

    def _events(self) -> Iterator[Json]:
        newest = self._client.get("/v1/events", tail=1)["events"]
        after = max(0, newest[-1]["id"] - EVENTS_MAX) if newest else 0
        for _ in range(EVENTS_MAX // PAGE + 1):
            page = self._client.get("/v1/events", after=after, limit=PAGE)["events"]
            if not page:
                return
            yield from page
            after = page[-1]["id"]


def _daemon(client: Client) -> tuple[Json | None, str]:
    try:
        return client.get("/v1/version"), ""
    except Failure as failure:
        return None, f"{failure.what}: {failure.why}"


def _json(data: object) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"


def gathered(one: Gathering) -> Bundle:
    """Return the bundle of everything, not written yet."""
    found = Bundle(one.hider())
    found.add("versions.json", "lbctl, its libraries, load balancer, kernel", one.versions)
    found.add("doctor.txt", "what bites on this host, with fixes", one.doctor)
    found.add("config.yaml", "the config with all defaults, or its faults", one.shown_config)
    found.add("status.json", "the daemon's status, or the journal's last record", one.status)
    found.add("releases.json", f"the newest {RELEASES_MAX} releases", one.releases)
    found.add("events.jsonl", f"the newest {EVENTS_MAX} events", one.events, end=True)
    for number, explanation in one.explained():
        about = f"decisions of one of the newest {EXPLAINED_MAX} releases"
        found.add(f"explained/{_UNSAFE.sub('_', number)}.json", about, explanation)
    if one.about:
        found.add("metrics.txt", "as Prometheus reads them", one.metrics)
        pid = int(one.about["pid"])
        found.add("process.txt", "the daemon's process", lambda: host.process(pid))
    found.add("balancers.json", "what load balancers say of themselves", one.balancers)
    for name, text in one.files():
        found.add(f"files/{_UNSAFE.sub('_', name)}.txt", "files a load balancer starts from", lambda text=text: text)  # type: ignore[misc]
    found.add("host.txt", "memory, limits, disks, lbctl's directories", one.system)
    found.add("unit.txt", f"systemd's view of {host.UNIT}", host.unit)
    found.add("journal.txt", f"the newest {host.LINES} lines of the unit's log", host.journal, end=True)
    return found


def written(client: Client, file: str | None, output: str | None) -> Json:
    """Gather and write; return what `lbctl support --json` prints.

    Raises:
        Failure: the file is there already, or cannot be written.
    """
    one = Gathering(client, file)
    at = time.gmtime()
    folder = f"lbctl-support-{_UNSAFE.sub('_', socket.gethostname())}-{time.strftime('%Y%m%dT%H%M%SZ', at)}"
    path = os.path.abspath(output or f"{folder}.tar.gz")
    if os.path.lexists(path):
        raise _taken(path)
    found = gathered(one)
    try:
        size = found.write(path, folder, one.head(), int(time.time()))
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        then = "lbctl support --to FILE, in a directory that you may write to"
        why = error.strerror or str(error)
        raise Failure(f"{path} cannot be written", why=why, then=then, exit_code=Exit.REFUSED) from None
    parts = [{"name": part.name, "bytes": len(part.data), "lack": part.lack} for part in found.parts]
    unread = list(found.hider.unread)
    return {"file": path, "bytes": size, "parts": parts, "left_out": found.left_out, "unread_secrets": unread}


def _taken(path: str) -> Failure:
    why = "it is there already, and is not written over"
    then = f"lbctl support --to {Path(path).parent}/ANOTHER.tar.gz"
    return Failure(f"{path} cannot be written", why=why, then=then, exit_code=Exit.REFUSED)


def screen(found: Json) -> str:
    """Return what was packed, for people."""
    return "\n".join(_lines(found))


def _lines(found: Json) -> Iterator[str]:
    for part in found["parts"]:
        mark, lack = ("!", f"   {_brief(part['lack'])}") if part["lack"] else ("●", "")
        yield f"{mark} {part['name']:<28} {part['bytes']:>9}{lack}"
    for one in missing(found["left_out"]):
        yield f"! left out: {_brief(one)}"
    for one in found["unread_secrets"]:
        yield f"! a secret could not be read, to look for it in the rest: {one}"
    yield f"{found['file']}   {found['bytes']} bytes, only you can read it; its list is CONTENTS.txt"
    yield "It holds names, addresses and versions, and no secret that lbctl knows: look through it before you send it."


def _brief(lack: str) -> str:
    """Return it for a line; CONTENTS.txt has it whole."""
    return lack if len(lack) <= LACK_MAX else f"{lack[:LACK_MAX]} …"
