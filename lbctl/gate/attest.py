"""Asks servers what version they run. What they answer is foreign: bounded, cleaned, and never more than a text."""

import asyncio
import os
import ssl
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from lbctl.model.attested import VersionCheck, VersionIn
from lbctl.model.topology import Address, ServerTls
from lbctl.model.visible import printable
from lbctl.notjson import NOT_JSON

TIMEOUT_S = 2.0
BODY_MAX = 64 << 10
VERSION_MAX = 128
SHOWN_MAX = 80


@dataclass(frozen=True, slots=True)
class Question:
    """One server, and how it is asked."""

    check: VersionCheck
    address: Address
    tls: ServerTls | None

    @property
    def url(self) -> URL:
        """Where the server is asked, by its own address."""
        scheme = "https" if self.check.tls else "http"
        place = Address(self.address.host, self.check.port or self.address.port)
        return URL(f"{scheme}://{place}{self.check.path}", encoded=True)


@dataclass(frozen=True, slots=True)
class Said:
    """An answer. `version` None: none was named, for the reason in `why`."""

    version: str | None
    why: str = ""


class NoVersion(Exception):
    """An answer without a version; the text is for people."""


class Asker:
    """Asks one server at a time, each on a connection of its own: no redirects, no cookies, no proxies."""

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: Question) -> Said:
        """Ask once, at most the time-out long. Never raises for what a server does."""
        try:
            return Said(await self._version(question))
        except NoVersion as error:
            return Said(None, str(error))
        except TimeoutError:
            return Said(None, f"no answer within {self._timeout_s:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Said(None, _why(error))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _version(self, question: Question) -> str:
        check, tls = question.check, question.tls
        headers = {"User-Agent": "lbctl", "Accept-Encoding": "identity"} | ({"Host": check.host} if check.host else {})
        context = await asyncio.to_thread(_context, tls.ca if tls else "") if check.tls else True
        name = tls.name if check.tls and tls else None
        async with self._opened().get(
            question.url, headers=headers, ssl=context, server_hostname=name, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise NoVersion(f"HTTP {answer.status}")
            if check.where is VersionIn.HEADER:
                return _from_header(check.name, answer)
            body = await _read(answer)
        return _from_json(check.name, body) if check.where is VersionIn.JSON else _from_text(body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
            )
        return self._session


@lru_cache(maxsize=64)
def _context(ca: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca or None)
    except OSError as error:
        raise NoVersion(f"lbctl cannot read the CA file {ca}: {error.strerror or error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


async def _read(answer: aiohttp.ClientResponse) -> bytes:
    body = b""
    while piece := await answer.content.read(BODY_MAX + 1 - len(body)):
        body += piece
        if len(body) > BODY_MAX:
            raise NoVersion(f"its answer is longer than {BODY_MAX >> 10} KiB")
    return body


def _from_header(name: str, answer: aiohttp.ClientResponse) -> str:
    found = answer.headers.get(name)
    if found is None:
        raise NoVersion(f"no header {name}")
    return _checked(found)


def _from_text(body: bytes) -> str:
    try:
        return _checked(body.decode())
    except UnicodeDecodeError:
        raise NoVersion("its answer is not text") from None


def _from_json(name: str, body: bytes) -> str:
    try:
        found: Any = msgspec.json.decode(body)
    except NOT_JSON:
        raise NoVersion("its answer is not JSON") from None
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    if isinstance(found, int) and not isinstance(found, bool):
        return _checked(str(found))
    if not isinstance(found, str):
        # A number with a point is no version either: 1.10 would be read as 1.1.
        raise NoVersion(f"no text in field {name} of its JSON")
    return _checked(found)


def _checked(found: str) -> str:
    version = found.strip()
    if not version:
        raise NoVersion("its version is empty")
    if len(version) > VERSION_MAX or not version.isprintable():
        raise NoVersion(f"what it says is no version: {_shown(version)}")
    return version


def _shown(text: str) -> str:
    return printable(text[:SHOWN_MAX])


def _why(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    inner = getattr(error, "os_error", None) or error
    if isinstance(inner, ssl.SSLError):
        return f"TLS: {(inner.reason or 'failed').replace('_', ' ').lower()}"
    if isinstance(inner, OSError) and inner.errno:
        return os.strerror(inner.errno).lower()
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "closed without an answer"
    if isinstance(error, aiohttp.ClientResponseError):
        return "its answer is not HTTP"
    return "its answer was cut off"
