"""One careful HTTP POST, shared by every receiver that is reached that way.

No redirects, no cookies, no proxies, no forbidden addresses, bounded in time and in what is read. URLs, whose paths are
secrets, are in no error text.
"""

import json
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
from yarl import URL

from lbctl.model.errors import LbctlError
from lbctl.notify.port import Delivery
from lbctl.notify.reach import CarefulResolver, fault, literal
from lbctl.notjson import NOT_JSON

TIMEOUT_S = 5.0
REPLY_BYTES = 64 << 10
HOPELESS = frozenset({400, 410, 413, 415, 422})
"""Answers that mean this very message; sending the same again changes nothing."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server answered: at most 64 KB of the body, and how long it asks us to wait."""

    status: int
    body: bytes
    retry_after_s: float | None = None

    @property
    def fine(self) -> bool:
        """Whether the status says success."""
        return 200 <= self.status < 300

    @property
    def json(self) -> Any:
        """The body as JSON; None where it is none, however that is meant."""
        try:
            return json.loads(self.body)
        except NOT_JSON:
            return None

    def refusal(self, said: str = "", hopeless: bool | None = None) -> Delivery:
        """Return the failure that this is. `hopeless`: whether this very message is meant; None: by the status."""
        told = " (redirects are not followed: name the final url)" if 300 <= self.status < 400 else ""
        return Delivery(
            ok=False,
            detail=f"HTTP status {self.status}{told}" + (f": {said}" if said else ""),
            retry_after_s=self.retry_after_s,
            hopeless=self.status in HOPELESS if hopeless is None else hopeless,
        )


class Poster:
    """POSTs for one alert, over one connection that is kept. A bad url raises LbctlError when it is made."""

    def __init__(self, alert: str, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._url = _checked(alert, url)
        self._session: aiohttp.ClientSession | None = None

    async def post(self, content: bytes, headers: dict[str, str], path: str = "") -> Reply | Delivery:
        """POST to the url, or to `path` below it. Returns the reply, or the failure when there was none."""
        url = self._url.joinpath(path) if path else self._url
        try:
            async with self._opened().post(url, data=content, headers=headers, allow_redirects=False) as reply:
                return Reply(reply.status, await _read(reply), _asked(reply))
        except TimeoutError:
            return Delivery(ok=False, detail=f"{self._url.host}: no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Delivery(ok=False, detail=f"{self._url.host}: {_why(error)}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = CarefulResolver(loopback_ok=bool(literal(self._url.host or "")))
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, limit=1, use_dns_cache=False),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "User-Agent": "lbctl"},
            )
        return self._session


def _checked(alert: str, text: str) -> URL:
    try:
        url = URL(text)
    except ValueError as error:
        raise LbctlError(f"alert {alert}: its url cannot be read: write https://HOST/PATH") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise LbctlError(f"alert {alert}: its url must begin with https://HOST or http://HOST")
    says_this_host = literal(url.host)
    if says_this_host is not None and url.host != "localhost" and _looks_numeric(url.host):
        why = fault(url.host, loopback_ok=says_this_host)
        if why:
            raise LbctlError(f"alert {alert}: its url names {why}: name the receiver's own address")
    return url


def _looks_numeric(host: str) -> bool:
    return ":" in host or host[-1:].isdigit()


async def _read(reply: aiohttp.ClientResponse) -> bytes:
    # Read up to the bound so that the connection can be used again; a longer reply costs the connection instead.
    found = bytearray()
    while len(found) < REPLY_BYTES:
        piece = await reply.content.read(REPLY_BYTES - len(found))
        if not piece:
            return bytes(found)
        found += piece
    reply.close()
    return bytes(found)


def _asked(reply: aiohttp.ClientResponse) -> float | None:
    """Return the seconds of `Retry-After`. A time there is taken against the server's own clock, never ours."""
    asked = reply.headers.get("Retry-After", "").strip()[:64]
    if asked.isascii() and asked.isdigit():
        return float(asked[:9])
    try:
        until, now = parsedate_to_datetime(asked), parsedate_to_datetime(reply.headers.get("Date", ""))
        return max(0.0, (until - now).total_seconds())
    except (ValueError, TypeError):
        return None


def _why(error: Exception) -> str:
    # Texts of aiohttp's errors may hold the URL, whose path is a secret.
    inner = getattr(error, "os_error", None) or error
    if isinstance(inner, OSError) and not isinstance(inner, aiohttp.ClientError):
        return inner.strerror or str(inner)
    return type(error).__name__
