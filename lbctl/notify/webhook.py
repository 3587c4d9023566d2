"""Alerts by a signed HTTP POST, shaped like a CloudEvent."""

import json
import time
from collections.abc import Callable
from typing import Any

from lbctl.notify.port import Delivery, Message, WebhookChannel
from lbctl.notify.post import TIMEOUT_S, Poster
from lbctl.notify.signature import headers


class WebhookSender:
    """POSTs to the channel's URL. 2xx is a delivery, whatever the reply says."""

    def __init__(
        self, channel: WebhookChannel, timeout_s: float = TIMEOUT_S, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._channel = channel
        self._wall_s = wall_s
        self._poster = Poster(channel.name, channel.url, timeout_s)

    async def send(self, message: Message) -> Delivery:
        """Try once, at most the time-out long."""
        content = json.dumps(event(message)).encode()
        reply = await self._poster.post(
            content, headers(message.id, content, self._channel.secret, int(self._wall_s()))
        )
        if isinstance(reply, Delivery):
            return reply
        return Delivery(ok=True) if reply.fine else reply.refusal()

    async def close(self) -> None:
        """Close the connections."""
        await self._poster.close()


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
