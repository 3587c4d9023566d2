"""The client of the control socket: plain HTTP over a unix socket, problems turned into failures."""

import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPResponse, RemoteDisconnected
from typing import Any
from urllib.parse import quote, urlencode

from lbctl.cli.failure import Exit, Failure, Problem

Json = dict[str, Any]
CONNECT_TIMEOUT_S = 3.0
ANSWER_TIMEOUT_S = 20.0
SILENCE_MAX_S = 60.0
"""A stream says at least a heartbeat every 15 s."""
ANSWER_MAX = 64 * 1_024 * 1_024
LINE_MAX = 1_024 * 1_024
_SHOWN_MAX = 80
ELSE_DOCTOR = "; what is amiss here: lbctl doctor"
_BY_SYSTEMD = " (as a service: systemctl enable --now lbctl.socket lbctl)"


class _UnixConnection(HTTPConnection):
    """HTTP to a path instead of a host."""

    def __init__(self, path: str, timeout_s: float) -> None:
        super().__init__("lbctl", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        """Connect to the unix socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CONNECT_TIMEOUT_S)
        self.sock.connect(self._path)
        self.sock.settimeout(self._timeout_s)


class Client:
    """Speaks to the first of `sockets` that answers. Each call is a connection of its own.

    `skipped` tells which one was left out and why; it is repeated where none answers.

    Every method raises `Failure`: `Exit.UNREACHABLE` if nothing answers, `Exit.NOT_AUTHORISED` if a socket is there
    and not open to the caller, else the exit code the daemon says.
    """

    def __init__(self, sockets: list[str], skipped: str = "") -> None:
        self._sockets = sockets
        self._skipped = skipped

    def get(self, path: str, **query: str | int | None) -> Json:
        """Return the JSON at `path`."""
        return self._json("GET", _with_query(path, query), None)

    def post(self, path: str, body: Mapping[str, object]) -> Json:
        """Return the JSON answer; keys of `body` that are None are left out."""
        return self._json("POST", path, {key: value for key, value in body.items() if value is not None})

    def text(self, path: str) -> str:
        """Return the text at `path`."""
        return self._read("GET", path, None).decode(errors="replace")

    def follow(self, path: str, **query: str | int | None) -> Iterator[tuple[str, Json]]:
        """Yield (kind, event) as they come, until the daemon goes."""
        connection, response = self._ask("GET", _with_query(path, query), None, SILENCE_MAX_S)
        try:
            yield from _events(response)
        except (OSError, HTTPException) as error:
            raise Failure("the daemon went away", why=str(error), exit_code=Exit.UNREACHABLE) from None
        finally:
            connection.close()

    def _json(self, method: str, path: str, body: Mapping[str, object] | None) -> Json:
        raw = self._read(method, path, body)
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise Failure("the answer is not what lbctld says", then="lbctl version", exit_code=Exit.BUG)
        return found

    def _read(self, method: str, path: str, body: Mapping[str, object] | None) -> bytes:
        connection, response = self._ask(method, path, body, ANSWER_TIMEOUT_S)
        try:
            return response.read(ANSWER_MAX)
        except (OSError, HTTPException) as error:
            raise _broken(method, error) from None
        finally:
            connection.close()

    def _ask(
        self, method: str, path: str, body: Mapping[str, object] | None, timeout_s: float
    ) -> tuple[HTTPConnection, HTTPResponse]:
        connection = self._connected(timeout_s)
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        try:
            with suppress(BrokenPipeError):  # Who closed before it heard all may have said why.
                connection.request(method, path, data, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise _problem(response.status, response.read(ANSWER_MAX))
        except (OSError, HTTPException) as error:
            connection.close()
            raise _broken(method, error) from None
        except Failure:
            connection.close()
            raise
        return connection, response

    def _connected(self, timeout_s: float) -> HTTPConnection:
        tried, forbidden = [], ""
        for path in self._sockets:
            connection = _UnixConnection(path, timeout_s)
            try:
                connection.connect()
            except (OSError, ValueError) as error:
                connection.close()
                forbidden = forbidden or (path if isinstance(error, PermissionError) else "")
                tried.append(f"{path} ({getattr(error, 'strerror', None) or error})")
            else:
                return connection
        why = "tried " + ", ".join(tried) + (f"; not tried: {self._skipped}" if self._skipped else "")
        if forbidden:
            then = f"be in the group of {forbidden} and of its directory (`access` in the config), or try with sudo"
            raise Failure("lbctl's socket is not open to you", why=why, then=then, code="not_authorised",
                          exit_code=Exit.NOT_AUTHORISED)  # fmt: skip
        then = f"start lbctld{_BY_SYSTEMD}, or name its socket: lbctl --socket PATH{ELSE_DOCTOR}"
        raise Failure("no lbctl daemon answers", why=why, then=then, code="unreachable", exit_code=Exit.UNREACHABLE)


def quoted(part: str) -> str:
    """Return a name as one part of a path."""
    return quote(part, safe="")


def _with_query(path: str, query: Mapping[str, str | int | None]) -> str:
    given = {key: value for key, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _broken(method: str, error: Exception) -> Failure:
    if isinstance(error, BadStatusLine) and not isinstance(error, RemoteDisconnected):
        why = f"what answers does not speak HTTP: {str(error)[:_SHOWN_MAX]}"
        then = "name lbctld's socket: lbctl --socket PATH (`daemon.control_socket` of its config)"
        return Failure("this is not lbctl's socket", why=why, then=then, code="broken", exit_code=Exit.UNREACHABLE)
    what = "the daemon did not answer" if isinstance(error, TimeoutError) else "the daemon's answer broke off"
    then = "lbctl status tells whether it was taken" if method == "POST" else "try again"
    return Failure(what, why=str(error), then=then, code="broken", exit_code=Exit.UNREACHABLE)


def _problem(status: int, raw: bytes) -> Failure:
    try:
        found = json.loads(raw)
        return Problem(
            str(found["title"]),
            why=str(found.get("detail", "")),
            then=str(found.get("then", "")),
            code=str(found.get("code", "")),
            exit_code=int(found.get("exit_code", Exit.BUG)),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Failure(f"HTTP {status}, and no reason that can be read", then="is this lbctl's socket?")


def _events(response: HTTPResponse) -> Iterator[tuple[str, Json]]:
    kind = "message"
    while line := response.readline(LINE_MAX):
        word, _, value = line.decode(errors="replace").rstrip("\r\n").partition(": ")
        if word == "event":
            kind = value
        elif word == "data":
            yield kind, json.loads(value)
            kind = "message"
