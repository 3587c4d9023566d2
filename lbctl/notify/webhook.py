"""Alerts by a signed HTTP POST, shaped like a CloudEvent."""

import json
import time
from collections.abc import Callable
from typing import Any

import aiohttp
from yarl import URL

from lbctl.model.errors import LbctlError
from lbctl.notify.port import Delivery, Message, WebhookChannel
from lbctl.notify.reach import CarefulResolver, fault, literal
from lbctl.notify.signature import headers

TIMEOUT_S = 5.0
REPLY_BYTES = 64 << 10
_HOPELESS = {400, 410, 413, 415, 422}
"""Answers that mean this very message; sending the same again changes nothing."""


class WebhookSender:
    """POSTs to the channel's URL: no redirects, no cookies, no proxies, the reply read up to 64 KB and ignored.

    2xx is a delivery. The URL and the secret are in no error text.
    """

    def __init__(
        self, channel: WebhookChannel, timeout_s: float = TIMEOUT_S, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._wall_s = wall_s
        self._url = _checked(channel)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, message: Message) -> Delivery:
        """Try once, at most the time-out long."""
        content = json.dumps(event(message)).encode()
        signed = headers(message.id, content, self._channel.secret, int(self._wall_s()))
        try:
            async with self._opened().post(self._url, data=content, headers=signed, allow_redirects=False) as reply:
                await _drained(reply)
                return _judged(reply)
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
            )
        return self._session


def event(message: Message) -> dict[str, Any]:
    """Return the JSON body."""
    data = message.data
    return {
        "specversion": "1.0",
        "id": message.id,
        "source": f"lbctl://{data['host']}",
        "type": f"lbctl.{message.kind}",
        "time": message.wall,
        "subject": "/".join(str(part) for part in (data.get("service"), data.get("release")) if part),
        "datacontenttype": "application/json",
        "data": {"text": message.text, **data},
    }


def _checked(channel: WebhookChannel) -> URL:
    try:
        url = URL(channel.url)
    except ValueError as error:
        raise LbctlError(f"alert {channel.name}: its url cannot be read: write https://HOST/PATH") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise LbctlError(f"alert {channel.name}: its url must begin with https://HOST or http://HOST")
    says_this_host = literal(url.host)
    if says_this_host is not None and url.host != "localhost" and _looks_numeric(url.host):
        why = fault(url.host, loopback_ok=says_this_host)
        if why:
            raise LbctlError(f"alert {channel.name}: its url names {why}: name the receiver's own address")
    return url


def _looks_numeric(host: str) -> bool:
    return ":" in host or host[-1:].isdigit()


async def _drained(reply: aiohttp.ClientResponse) -> None:
    # Read up to the bound so that the connection can be used again; a longer reply costs the connection instead.
    left = REPLY_BYTES
    while left > 0:
        piece = await reply.content.read(left)
        if not piece:
            return
        left -= len(piece)
    reply.close()


def _judged(reply: aiohttp.ClientResponse) -> Delivery:
    if 200 <= reply.status < 300:
        return Delivery(ok=True)
    asked = reply.headers.get("Retry-After", "")
    retry_after_s = float(asked) if asked.isascii() and asked.isdigit() and len(asked) < 9 else None
    told = " (redirects are not followed: name the final url)" if 300 <= reply.status < 400 else ""
    return Delivery(
        ok=False,
        detail=f"HTTP status {reply.status}{told}",
        retry_after_s=retry_after_s,
        hopeless=reply.status in _HOPELESS,
    )


def _why(error: Exception) -> str:
    # Texts of aiohttp's errors may hold the URL, whose path is a secret.
    inner = getattr(error, "os_error", None) or error
    if isinstance(inner, OSError) and not isinstance(inner, aiohttp.ClientError):
        return inner.strerror or str(inner)
    return type(error).__name__
