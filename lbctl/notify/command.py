"""Alerts by a program of the operator's: JSON on its stdin, and the main facts in its environment."""

import json

from lbctl.notify.port import Delivery, ExecChannel, Message
from lbctl.notify.program import inherited, run

TIMEOUT_S = 5.0
_FACTS = (
    "severity", "service", "unit", "release", "phase", "summary", "next", "command", "version_from", "version_to",
    "host",
)  # fmt: skip


class CommandSender:
    """Runs the channel's program once per attempt, in a process group of its own. Exit 0 is a delivery."""

    def __init__(self, channel: ExecChannel, timeout_s: float = TIMEOUT_S) -> None:
        self._channel = channel
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> Delivery:
        """Run it; after the time-out its whole process group is killed."""
        content = json.dumps(body(message)).encode()
        return await run(self._channel.argv, content, environment(message), self._timeout_s)

    async def close(self) -> None:
        """Nothing is kept between alerts."""


def body(message: Message) -> dict[str, object]:
    """Return what the program reads from stdin."""
    return {"id": message.id, "kind": message.kind, "time": message.wall, "text": message.text, **message.data}


def environment(message: Message) -> dict[str, str]:
    """Return the program's environment: a few names of ours, nothing secret, and the message's main facts."""
    facts = {f"LBCTL_{name.upper()}": str(message.data.get(name) or "") for name in _FACTS}
    return inherited() | facts | {"LBCTL_ID": message.id, "LBCTL_KIND": message.kind, "LBCTL_TEXT": message.text}
