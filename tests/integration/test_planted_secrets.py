"""Secrets planted wherever one can be, in a whole daemon whose receivers are unreachable, echo everything back, or lie;
then a crash. They appear in nothing that the daemon writes, answers, logs or leaves behind."""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lbctl.control.routes import ROUTES
from tests.planted import files_below, forms, leaks

SECRETS = {
    "webhook path": "T0pS3cretHookPath0001",
    "webhook user": "hookUserPassw0rd00002",
    "webhook query": "hookQueryT0ken0000003",
    "webhook key": "hookS1gningKey0000004",
    "slack token": "xoxb-51ackT0ken0000005",
    "slack webhook": "51ackWebh00kPath00006",
    "teams url": "teamsS1gnature0000007",
    "pagerduty key": "pagerDutyKey0000000000000000008A",
    "alertmanager": "alertmanagerBearer009",
    "apprise": "apprise70ken00000010x",
    "unreachable": "unreachab1ePath000011",
}
PLACES = {
    "hook.url": "http://user:{webhook user}@{echo}/hook/{webhook path}?key={webhook query}",
    "hook.key": "{webhook key}",
    "dead.url": "http://127.0.0.1:1/{unreachable}/x?key={webhook query}",
    "slack.token": "{slack token}",
    "slack.url": "http://{echo}/services/T0/B0/{slack webhook}",
    "teams.url": "http://{echo}/workflows/x?sig={teams url}",
    "pager.key": "{pagerduty key}",
    "am.auth": "Bearer {alertmanager}",
    "apprise.url": "json://{echo}/{apprise}",
}
CONFIG = """apiVersion: lbctl/v1
daemon: {{state_dir: {at}/state, runtime_dir: {at}/run, control_socket: {at}/run/control.sock}}
data_planes:
  edge:
    driver: haproxy
    instances: {{lb1: {{socket: {at}/nobody.sock, master_socket: {at}/master.sock, map_dir: {at}/maps}}}}
services:
  web:
    data_plane: edge
    haproxy: {{form: map}}
    pools: {{blue: {{w-1: 127.0.0.1:1}}, green: {{w-2: 127.0.0.1:2}}}}
    listen: 127.0.0.1:17000
alerts:
  - {{name: hook, webhook: {{url: {{file: {at}/s/hook.url}}, secret: {{file: {at}/s/hook.key}}}}, on: {on}}}
  - {{name: dead, webhook: {{url: {{file: {at}/s/dead.url}}, secret: {{file: {at}/s/hook.key}}}}, on: {on}}}
  - {{name: bot, slack: {{token: {{file: {at}/s/slack.token}}, channel: "#d", api: "http://{echo}/api"}}, on: {on}}}
  - {{name: chat, slack: {{webhook: {{file: {at}/s/slack.url}}}}, on: {on}}}
  - {{name: teams, teams: {{url: {{file: {at}/s/teams.url}}}}, on: {on}}}
  - {{name: pager, pagerduty: {{routing_key: {{file: {at}/s/pager.key}}, api: "http://{echo}"}}, on: {on}}}
  - {{name: am, alertmanager: {{url: "http://{echo}", authorization: {{file: {at}/s/am.auth}}}}, on: {on}}}
  - {{name: other, apprise: {{url: {{file: {at}/s/apprise.url}}}}, on: {on}}}
"""
ALERTS = ("hook", "dead", "bot", "chat", "teams", "pager", "am", "other")
STATUSES = ("500 Broken", "302 Found", "401 No", "400 Bad", "200 OK", "429 Slow")


class Echo:
    """A receiver that says everything back, with one status after the other, and sometimes just hangs up."""

    def __init__(self) -> None:
        self.heard = b""
        self._count = 0

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take one request."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or b"0")
            said = head + await reader.readexactly(length)
            self.heard += said
            self._count += 1
            if self._count % 7:
                writer.write(self._reply(said))
                await writer.drain()
        writer.close()

    def _reply(self, said: bytes) -> bytes:
        status = STATUSES[self._count % len(STATUSES)]
        text = " ".join(said.decode("latin-1").split())
        body = json.dumps({"ok": False, "error": text, "errors": [text], "status": text, "message": text}).encode()
        line = said.split(b"\r\n", 1)[0].split(b" ")[1]
        extra = b"Location: http://127.0.0.1:1" + line + b"\r\nWWW-Authenticate: " + line + b"\r\n"
        return b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status.encode(), extra, len(body), body)


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, str]]:
    echo = Echo()
    async with await asyncio.start_server(echo.answer, "127.0.0.1", 0) as server:
        yield echo, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def ask(at: Path, method: str, target: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("lbctl", timeout=60)
    connection.sock = socket.socket(socket.AF_UNIX)
    try:
        connection.sock.connect(str(at / "run" / "control.sock"))
        connection.request(method, target, body)
        answer = connection.getresponse()
        return f"{answer.status} {answer.headers}".encode() + answer.read()
    finally:
        connection.close()


def lbctl(*words: str) -> bytes:
    done = subprocess.run([sys.executable, "-m", "lbctl.cli", *words], capture_output=True, timeout=120, check=False)
    return done.stdout + done.stderr


def prepared(at: Path, echo: str) -> Path:
    (at / "s").mkdir()
    for name, text in PLACES.items():
        path = at / "s" / name
        path.write_text(text.replace("{echo}", echo).format(**SECRETS))
        path.chmod(0o600)
    config = at / "lbctl.yaml"
    config.write_text(CONFIG.format(at=at, echo=echo, on="[rollback, held, page]"))
    return config


async def until_it_answers(at: Path, daemon: "subprocess.Popen[bytes]") -> None:
    for _ in range(1_200):
        with contextlib.suppress(OSError):
            await asyncio.to_thread(ask, at, "GET", "/v1/status")
            return
        assert daemon.poll() is None, (at / "log").read_text()
        await asyncio.sleep(0.05)
    pytest.fail("the daemon does not answer")


async def until_it_tells(at: Path, kind: str) -> None:
    for _ in range(400):
        if kind.encode() in await asyncio.to_thread(ask, at, "GET", "/v1/events?tail=20"):
            return
        await asyncio.sleep(0.05)
    pytest.fail(f"{kind} did not happen")


async def everything_said(at: Path, config: Path) -> dict[str, bytes]:
    """Whatever the daemon tells anybody who asks, after every alert has been tried twice."""
    found = {}
    for number in range(2):
        tried = [asyncio.to_thread(ask, at, "POST", f"/v1/alerts/{name}/test", b"{}") for name in ALERTS]
        for name, answer in zip(ALERTS, await asyncio.gather(*tried), strict=True):
            found[f"test {number} of {name}"] = answer
    for route in ROUTES:
        if route.method == "GET":
            path = route.path.replace("{target}", "web").replace("{release}", "1")
            found[path] = await asyncio.to_thread(ask, at, "GET", path)
    found["/v1/openapi.json"] = await asyncio.to_thread(ask, at, "GET", "/v1/openapi.json")
    sock = ["--socket", str(at / "run" / "control.sock")]
    for words in (["status"], ["events"], ["notify", "test", "hook"]):
        found[f"lbctl {words}"] = await asyncio.to_thread(lbctl, *sock, *words)
    for words in (["config", "show"], ["config", "validate"], ["doctor", "--config"]):
        found[f"lbctl {words}"] = await asyncio.to_thread(lbctl, *sock, *words, str(config))
    return found


def seen_by_neighbours(pid: int) -> dict[str, bytes]:
    """What `ps` shows of the daemon and its children, and its environment."""
    found = {}
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if int(entry.name) == pid or parent == pid:
                for name in ("cmdline", "environ"):
                    found[f"{name} of {entry.name}"] = (entry / name).read_bytes()
    return found


@pytest.mark.timeout(400)
async def test_a_planted_secret_appears_nowhere(tmp_path: Path) -> None:
    async with echoing() as (echo, address):
        config = prepared(tmp_path, address)
        command = [sys.executable, "-m", "lbctl.daemon.main", "--verbose", "--config", str(config)]
        with open(tmp_path / "log", "wb") as log:
            daemon = subprocess.Popen(command, stderr=log, stdout=log, cwd=tmp_path)
        try:
            await until_it_answers(tmp_path, daemon)
            found = await everything_said(tmp_path, config) | seen_by_neighbours(daemon.pid)
            limits = Path(f"/proc/{daemon.pid}/limits").read_text()
            os.kill(daemon.pid, signal.SIGHUP)
            await until_it_tells(tmp_path, "config.reloaded")
            found["after a reload"] = await asyncio.to_thread(ask, tmp_path, "GET", "/v1/config")
            os.kill(daemon.pid, signal.SIGABRT)
            await asyncio.to_thread(daemon.wait)
        finally:
            daemon.kill()
            daemon.wait()
    left = {name: content for name, content in files_below(tmp_path).items() if not name.startswith("s/")}
    assert leaks(SECRETS, found | left) == []
    assert not [name for name in left if "core" in name.rpartition("/")[2]]
    assert limits.partition("Max core file size")[2].split()[0] == "0"
    # The receivers were given them, so the search would have found something.
    assert len(leaks(SECRETS, {"the receivers": echo.heard})) >= 7
    assert b"HTTP status" in left["log"] + b"".join(found.values())


def test_the_search_finds_what_is_hidden() -> None:
    (secret,) = [one for name, one in SECRETS.items() if name == "teams url"]
    for form in forms(secret):
        assert leaks({"teams": secret}, {"x": b"<<" + form + b">>"}) == ["teams in x"]
