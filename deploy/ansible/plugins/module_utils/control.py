# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""The control socket of lbctl: HTTP and JSON on a unix socket, by the standard library alone."""

from __future__ import annotations

import json
import socket
import time
from http.client import HTTPConnection, HTTPException
from urllib.parse import quote, urlencode

CONNECT_S = 3.0
ANSWER_S = 20.0
ANSWER_MAX = 64 * 1024 * 1024
POLL_S = 0.5
AWAY_MAX_S = 30.0
"""How long the daemon may be gone while something is waited for: it is started again within seconds."""
UNREACHABLE = 3
TIMED_OUT = 22
OPTIONS = {"socket": {"type": "path", "default": "/run/lbctl/control.sock"}}
ENDED = ("finished", "rolled_back", "cancelled")


class Problem(Exception):
    """The daemon said no, or nothing. `exit_code` is what lbctl would exit with."""

    def __init__(self, what, why="", then="", code="", exit_code=1):
        super().__init__(what)
        self.what, self.why, self.then, self.code, self.exit_code = what, why, then, code, exit_code

    def fail(self, module, **more):
        """End the module with what, why and the next step."""
        parts = [self.what, self.why, f"next: {self.then}" if self.then else ""]
        text = "; ".join(part for part in parts if part)
        module.fail_json(msg=text, code=self.code, exit_code=self.exit_code, **more)


class _Connection(HTTPConnection):
    """HTTP to a path instead of a host."""

    def __init__(self, path):
        super().__init__("lbctl", timeout=ANSWER_S)
        self._path = path

    def connect(self):
        """Connect to the unix socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_S)
        self.sock.connect(self._path)
        self.sock.settimeout(ANSWER_S)


class Daemon:
    """The lbctld behind one socket. Every method raises `Problem`."""

    def __init__(self, path):
        self._path = path

    def get(self, *parts, **query):
        """Return the JSON at a path of names."""
        given = {key: value for key, value in query.items() if value is not None}
        return self._ask("GET", _path(parts) + ("?" + urlencode(given) if given else ""), None)

    def post(self, *parts, **body):
        """Return the JSON answer to what is asked for."""
        given = {key: value for key, value in body.items() if value is not None}
        return self._ask("POST", _path(parts), json.dumps(given).encode())

    def service(self, name):
        """Return the status of one service."""
        found = self.get("status", service=name)["services"]
        if name not in found:
            raise Problem(
                f"{name} is a unit", then="name one of its services: {}".format(", ".join(found)), exit_code=7
            )
        return found[name]

    def fate(self, build):
        """Return what became of a build, None if nobody said that it is ready."""
        try:
            return self.get("builds", build=build)
        except Problem as problem:
            if problem.code != "no_such_build":
                raise
            return None

    def release(self, target):
        """Return the running or last release of a target, None if there was none."""
        try:
            return self.get("releases", target)["release"]
        except Problem as problem:
            if problem.code != "no_such_release":
                raise
            return None

    def _ask(self, method, path, body):
        connection = _Connection(self._path)
        headers = {} if body is None else {"Content-Type": "application/json"}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            status, raw = answer.status, answer.read(ANSWER_MAX)
        except (OSError, HTTPException) as error:
            why = "{}: {}".format(self._path, getattr(error, "strerror", None) or error)
            then = "is lbctld running on this host? `systemctl status lbctl`; its socket is the option `socket`"
            raise Problem("no lbctl daemon answers", why, then, "unreachable", UNREACHABLE) from None
        finally:
            connection.close()
        return _read(status, raw)


def _path(parts):
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _read(status, raw):
    try:
        found = json.loads(raw)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Problem(f"the answer (HTTP {status}) is not what lbctld says", then="look at the option `socket`")
    if status >= 400:
        raise Problem(
            str(found.get("title", f"HTTP {status}")),
            str(found.get("detail", "")),
            str(found.get("then", "")),
            str(found.get("code", "")),
            int(found.get("exit_code", 1)),
        )
    return found


def wait_until(look, seconds, what):
    """Call `look` until it returns something; a daemon that is away for a moment is borne.

    Raises `Problem` with exit code 22 when the time is over; `what` says what was waited for.
    """
    began = seen = time.monotonic()
    while True:
        try:
            found = look()
            seen = time.monotonic()
        except Problem as problem:
            if problem.exit_code != UNREACHABLE or time.monotonic() - seen > AWAY_MAX_S:
                raise
            found = None
        if found is not None:
            return found
        if time.monotonic() - began >= seconds:
            raise Problem(f"after {seconds} s {what}", exit_code=TIMED_OUT, code="timed_out")
        time.sleep(POLL_S)


def shown(before, after):
    """Return a diff of two small dictionaries, as Ansible shows it."""
    return {"before": before, "after": after}
