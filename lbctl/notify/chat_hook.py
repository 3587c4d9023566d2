"""A chat by an incoming webhook as Slack has it; Mattermost, Rocket.Chat and others speak it too.

It answers `ok` and no more: nothing can be edited and there are no threads, so each alert is a message of its own.
"""

import json

from lbctl.config.settings import ChatHookAlert
from lbctl.notify.card import Line, card
from lbctl.notify.plain import unlinked
from lbctl.notify.port import Delivery, Manner, Message
from lbctl.notify.post import TIMEOUT_S, Poster, Reply
from lbctl.notify.slack import escaped

MANNER = Manner(pace_s=1.0, chat=True)
TEXT_MAX = 3_900
"""Older Mattermosts take 4,000 characters."""
_THIS_MESSAGE = frozenset({400, 413, 415, 422})
_GONE = frozenset({401, 403, 404, 410})
"""The webhook was removed or may not post there any more: a person must act, and then waiting alerts are told."""


class ChatHookSender:
    """POSTs one text. Only the word that the service says on success counts as success."""

    def __init__(self, alert: ChatHookAlert, timeout_s: float = TIMEOUT_S) -> None:
        self._poster = Poster(alert.name, alert.url.value, timeout_s)

    async def send(self, message: Message) -> Delivery:
        """Try once, at most the time-out long."""
        content = json.dumps({"text": text(message), "unfurl_links": False, "unfurl_media": False}).encode()
        reply = await self._poster.post(content, {"Content-Type": "application/json; charset=utf-8"})
        if isinstance(reply, Delivery):
            return reply
        if reply.fine:
            return Delivery(ok=True) if _says_ok(reply) else reply.refusal("it did not say ok", hopeless=False)
        gone = "make a new webhook and put its URL into the file" if reply.status in _GONE else ""
        return reply.refusal(gone, hopeless=reply.status in _THIS_MESSAGE)

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()


def text(message: Message) -> str:
    """Return the alert in what Slack's own markup and Markdown have in common."""
    shown = card(message)
    lines = [f"*{_harmless(shown.title)}*", *map(_line, shown.lines), f"`{escaped(shown.command)}`", shown.footer]
    return "\n".join(lines)[:TEXT_MAX]


def _line(line: Line) -> str:
    return f"*{line.label}:* {_harmless(line.value)}"


def _harmless(value: str) -> str:
    return escaped(unlinked(value))


def _says_ok(reply: Reply) -> bool:
    if reply.body.strip() == b"ok":
        return True
    found = reply.json
    return isinstance(found, dict) and (found.get("success") is True or found.get("ok") is True)
