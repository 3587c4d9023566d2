"""Secrets taken out of whatever a receiver said back: an answer that repeats our token must not reach a log."""

from collections.abc import Iterator
from dataclasses import fields
from urllib.parse import quote, urlsplit

from lbctl.config.secret import Secret
from lbctl.notify.port import Channel, WebhookChannel

HIDDEN = "(hidden)"
PART_MIN, SEGMENT_MIN = 6, 12
"""Shorter parts of a URL, and of its path, are words and not secrets."""


def secrets_of(channel: Channel) -> tuple[str, ...]:
    """Return what of a channel's settings must never be shown, the longest first."""
    found = {part for secret in _values(channel) for part in variants(secret)}
    return tuple(sorted(found, key=len, reverse=True))


def masked(text: str, secrets: tuple[str, ...]) -> str:
    """Return `text` without any of the secrets."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _values(channel: Channel) -> Iterator[str]:
    if isinstance(channel, WebhookChannel):
        yield from (channel.url, channel.secret)
    for one in fields(channel):
        value = getattr(channel, one.name)
        if isinstance(value, Secret):
            yield value.value


def variants(secret: str) -> Iterator[str]:
    """Yield a secret as it may come back: whole, encoded, and of a URL what follows its host."""
    if not secret:
        return
    # Of `Bearer TOKEN` the second word alone is the secret, too.
    yield from (secret, quote(secret, safe=""), secret.rsplit(maxsplit=1)[-1])
    if "://" in secret:
        url = urlsplit(secret)
        parts = (url.path, url.query, url.netloc.rpartition("@")[0])
        yield from (part for part in parts if len(part) >= PART_MIN)
        yield from (part for part in url.path.split("/") if len(part) >= SEGMENT_MIN)
