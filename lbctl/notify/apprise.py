"""All other services by apprise, an extra: a message for each alert, sent by a child process."""

import json
import sys
from importlib.util import find_spec

from lbctl.config.settings import AppriseAlert
from lbctl.model.errors import LbctlError
from lbctl.notify.card import card
from lbctl.notify.port import Delivery, Manner, Message
from lbctl.notify.program import inherited, run

MANNER = Manner(pace_s=1.0, chat=True)
TIMEOUT_S = 15.0
"""It starts an interpreter, and some services are asked several times."""
BODY_MAX = 3_000
_TYPES = {"page": "failure", "warning": "warning", "info": "info"}


class AppriseSender:
    """Runs the child once per attempt. The url goes by its stdin and is in no error text."""

    def __init__(self, alert: AppriseAlert, timeout_s: float = TIMEOUT_S) -> None:
        if find_spec("apprise") is None:
            raise LbctlError(f"alert {alert.name}: {MISSING}")
        self._url = alert.url.value
        self._timeout_s = timeout_s

    async def send(self, message: Message) -> Delivery:
        """Try once; after the time-out the child is killed."""
        shown = card(message)
        lines = [*(f"{line.label}: {line.value}" for line in shown.lines), shown.command, shown.footer]
        asked = {
            "url": self._url,
            "title": shown.title,
            "body": "\n".join(lines)[:BODY_MAX],
            "type": _TYPES[message.data["severity"]],
        }
        argv = (sys.executable, "-I", "-m", "lbctl.notify.apprise_child")
        return await run(argv, json.dumps(asked).encode(), inherited(), self._timeout_s)

    async def close(self) -> None:
        """Nothing is kept between alerts."""


MISSING = "apprise is not installed: install lbctl[notify] where lbctld runs, or delete the alert"
