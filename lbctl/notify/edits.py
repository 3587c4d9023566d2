"""When a chat takes edits again. It counts them by app and method, over all channels: what is new is counted apart."""

import time
from collections.abc import Callable

from lbctl.notify.port import Delivery

RESTS_MAX_S = 60.0
"""A receiver does not decide for longer than this what is shown: then it is asked again."""


class Edits:
    """Until when each app may edit nothing. Shared by the channels of an outbox, which may be of one app."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._until_s: dict[str, float] = {}

    def refused(self, app: str) -> Delivery | None:
        """Return how an edit of this app would end now without asking; None: it may be asked for."""
        left_s = self._until_s.get(app, 0.0) - self._now_s()
        if left_s <= 0:
            return None
        return Delivery(ok=False, detail="edits are to wait", retry_after_s=left_s, said=True)

    def learn(self, app: str, delivery: Delivery) -> None:
        """Take note of how an edit ended."""
        if delivery.retry_after_s:
            self._until_s[app] = self._now_s() + min(delivery.retry_after_s, RESTS_MAX_S)
