"""Microsoft Teams by a workflow: an adaptive card for each alert. Nothing can be edited, and there are no threads.

Source: Microsoft's documentation of incoming webhooks by Workflows, and the schema of adaptive cards, 1.4.
"""

import json
import re
from typing import Any

from lbctl.config.settings import TeamsAlert
from lbctl.notify.card import Card, card
from lbctl.notify.plain import unlinked
from lbctl.notify.port import Delivery, Manner, Message
from lbctl.notify.post import TIMEOUT_S, Poster, Reply

MANNER = Manner(pace_s=0.5, chat=True)
CARD_BYTES = 27 << 10
"""Teams takes 28 KB, with what the workflow puts around it."""
VALUES_MAX = (600, 200, 60)
"""How long a value may be; the next one is tried if the card is too large."""
_TYPE = "application/vnd.microsoft.card.adaptive"
_GONE = "the workflow is off, gone or locked: switch it on, or make a new one and put its address into the file"


class TeamsSender:
    """POSTs one card. The address is the secret: it is in no error text."""

    def __init__(self, alert: TeamsAlert, timeout_s: float = TIMEOUT_S) -> None:
        self._poster = Poster(alert.name, alert.url.value, timeout_s)

    async def send(self, message: Message) -> Delivery:
        """Try once, at most the time-out long."""
        reply = await self._poster.post(content(message), {"Content-Type": "application/json"})
        return reply if isinstance(reply, Delivery) else _judged(reply)

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()


def _judged(reply: Reply) -> Delivery:
    if reply.fine:
        # The old connectors answered 200 with a sentence when nothing had come through.
        said_no = b"failed" in reply.body or reply.body.lstrip().startswith(b"<")
        return reply.refusal("it did not take the card", hopeless=False) if said_no else Delivery(ok=True)
    code = _code(reply.json)
    if reply.status in {401, 403, 404, 410} or code.startswith("Workflow"):
        return reply.refusal(f"{code}: {_GONE}" if code else _GONE, hopeless=False)
    return reply.refusal(code)


def _code(found: Any) -> str:
    """Return the word that Power Automate calls the error by, and nothing else of what it says."""
    error = found.get("error") if isinstance(found, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return code if isinstance(code, str) and re.fullmatch(r"[A-Za-z]{1,60}", code) else ""


def content(message: Message) -> bytes:
    """Return the body: a message with one card that is small enough."""
    shown = card(message)
    texts = [_message(shown, value_max) for value_max in VALUES_MAX]
    return next((text for text in texts if len(text) <= CARD_BYTES), texts[-1])


def _message(shown: Card, value_max: int) -> bytes:
    facts = [{"title": line.label, "value": unlinked(_cut(line.value, value_max))} for line in shown.lines]
    links = [line.value for line in shown.lines if line.is_link and len(line.value) <= value_max]
    adaptive: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            _text(_cut(shown.title, value_max), weight="Bolder", size="Medium"),
            {"type": "FactSet", "facts": facts[:20]},
            _text(shown.command, fontType="Monospace"),
            _text(_cut(shown.footer, value_max), isSubtle=True, size="Small"),
        ],
    }
    if links:
        adaptive["actions"] = [{"type": "Action.OpenUrl", "title": "Build", "url": url} for url in links[:4]]
    attachment = {"contentType": _TYPE, "contentUrl": None, "content": adaptive}
    return json.dumps({"type": "message", "attachments": [attachment]}).encode()


def _text(text: str, **style: Any) -> dict[str, Any]:
    return {"type": "TextBlock", "text": unlinked(text), "wrap": True, **style}


def _cut(text: str, length_max: int) -> str:
    return text if len(text) <= length_max else text[: length_max - 1] + "\u2026"
