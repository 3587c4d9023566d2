"""The cookies of one session user, as far as a browser's rules matter here: replace, expire, path, Secure."""

from email.utils import parsedate_to_datetime
from time import time
from typing import NamedTuple

_COOKIE_LIMIT = 32
_SIZE_LIMIT = 4096


class _Cookie(NamedTuple):
    value: str
    path: str
    secure: bool
    expires: float | None


class Jar:
    """At most 32 cookies of at most 4 KiB. There is one site only, so Domain is not looked at."""

    __slots__ = ("_cookies",)

    def __init__(self) -> None:
        self._cookies: dict[str, _Cookie] = {}

    def store(self, line: str, now: float | None = None) -> None:
        """Take in one Set-Cookie value. What is no cookie, too long or one too many is ignored, as browsers do."""
        now = time() if now is None else now
        pair, *attributes = line.split(";")
        name, sign, value = (part.strip() for part in pair.partition("="))
        if not sign or not name or len(line) > _SIZE_LIMIT:
            return
        given = {key.strip().lower(): text.strip() for key, _, text in (a.partition("=") for a in attributes)}
        path = given.get("path", "/")
        cookie = _Cookie(value, path if path.startswith("/") else "/", "secure" in given, _expiry(given, now))
        self._cookies.pop(name, None)
        if (cookie.expires is None or cookie.expires > now) and len(self._cookies) < _COOKIE_LIMIT:
            self._cookies[name] = cookie

    def header(self, path: str = "/", now: float | None = None) -> str:
        """The Cookie header's value for a plain HTTP request to the path, or an empty text."""
        now = time() if now is None else now
        kept = (
            f"{name}={cookie.value}"
            for name, cookie in self._cookies.items()
            if not cookie.secure and _covers(cookie.path, path) and (cookie.expires is None or cookie.expires > now)
        )
        return "; ".join(kept)


def _covers(cookie_path: str, path: str) -> bool:
    return path == cookie_path or path.startswith(cookie_path.rstrip("/") + "/")


def _expiry(given: dict[str, str], now: float) -> float | None:
    """Max-Age wins over Expires; a value that cannot be read counts as not given."""
    age = given.get("max-age", "")
    if age.lstrip("-").isdecimal() and len(age) <= 12:
        return now + int(age)
    if "expires" not in given:
        return None
    try:
        return parsedate_to_datetime(given["expires"]).timestamp()
    except (ValueError, OverflowError):
        return None
