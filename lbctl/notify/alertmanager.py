"""Alertmanager by its API v2: what needs a person fires until it is over; all else fires for some minutes.

Source: Alertmanager's OpenAPI document, and "Client best practices" of its documentation.
"""

import json
import time
from collections.abc import Callable

from lbctl import wall
from lbctl.config.settings import AlertmanagerAlert
from lbctl.notify.card import card
from lbctl.notify.incident import OPEN_OF, meant
from lbctl.notify.kept import OPEN_MAX, Kept
from lbctl.notify.plain import plain
from lbctl.notify.port import Delivery, Manner, Memory, Message
from lbctl.notify.post import TIMEOUT_S, Poster, Reply

MANNER = Manner(pages=True)
FIRES_S = 7 * 86_400.0
"""How long an incident fires at most, should nobody live to say that it is over."""
TOLD_S = 300.0
"""How long an alert fires that only tells: long enough to be grouped and sent on."""
VALUE_MAX = 1_500
_SEVERITIES = {"page": "critical", "warning": "warning", "info": "info"}


class AlertmanagerSender:
    """Posts one alert at a time. The same labels are the same alert there, so that a repetition changes nothing."""

    def __init__(
        self,
        alert: AlertmanagerAlert,
        memory: Memory,
        timeout_s: float = TIMEOUT_S,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._authorization = None if alert.authorization is None else alert.authorization.value
        self._poster = Poster(alert.name, alert.url, timeout_s)
        self._open = Kept(OPEN_OF.format(alert.name), memory, OPEN_MAX)
        self._wall_s = wall_s

    async def send(self, message: Message) -> Delivery:
        """Let it fire, or end what fires. What nobody asked for and closes nothing is not sent."""
        labels, opened = _labels(message), self._open.of(message.incident)
        if message.opens:
            # An incident that is open already is told under the labels that opened it: it is one alert there.
            labels = (opened or {}).get("labels") or labels
            done = await self._post(message, labels, FIRES_S if message.lasts_ms is None else message.lasts_ms / 1_000)
            if done.ok:
                await self._open.put(message.incident, {"labels": labels, "seq": message.seq})
            return done
        ended = False
        for name in meant(message.closes, self._open.names):
            if (fires := self._open.after(name, message.seq)) is None:
                continue
            done, ended = await self._post(message, fires.get("labels") or labels, 0.0), True
            if not done.ok:
                return done
            await self._open.put(name, None)
        return await self._post(message, labels, TOLD_S) if message.wanted and not ended else Delivery(ok=True)

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    async def _post(self, message: Message, labels: dict[str, str], for_s: float) -> Delivery:
        now_s = self._wall_s()
        alert = {
            "labels": labels,
            "annotations": _annotations(message),
            "startsAt": wall.of_unix(now_s),
            "endsAt": wall.of_unix(now_s + for_s),
        }
        headers = {"Content-Type": "application/json"}
        if self._authorization is not None:
            headers["Authorization"] = self._authorization
        reply = await self._poster.post(json.dumps([alert]).encode(), headers, "api/v2/alerts")
        return reply if isinstance(reply, Delivery) else _judged(reply)


def _judged(reply: Reply) -> Delivery:
    if reply.fine:
        # It answers with nothing at all; a page for people comes from somebody else.
        return reply.refusal("not an answer of Alertmanager", hopeless=False) if b"<" in reply.body else _TAKEN
    if reply.status in {401, 403}:
        return reply.refusal("put the right Authorization header into the file", hopeless=False)
    if reply.status in {404, 405, 410}:
        return reply.refusal("no Alertmanager API v2 below this url", hopeless=False)
    return reply.refusal(plain(reply.body.decode("utf-8", "replace"), 200))


_TAKEN = Delivery(ok=True)


def _labels(message: Message) -> dict[str, str]:
    """Return who it is about. The alert of an incident is called the same whatever opened it."""
    data = message.data
    labels = {
        "alertname": "LbctlNeedsPerson" if message.opens else f"Lbctl{_camel(message.kind)}",
        "severity": _SEVERITIES[data["severity"]],
        "service": data.get("service"),
        "unit": data.get("unit"),
        "release": data.get("release"),
        "incident": message.incident if message.opens else None,
        "instance": data["host"],
    }
    return {name: str(value) for name, value in labels.items() if value}


def _annotations(message: Message) -> dict[str, str]:
    shown = card(message)
    description = "\n".join(f"{line.label}: {line.value}" for line in shown.lines)
    found = {
        "summary": f"{shown.title}: {message.data['summary']}",
        "description": description,
        "numbers": message.data.get("evidence"),
        "next": message.data["next"],
        "command": shown.command,
    }
    return {name: str(value)[:VALUE_MAX] for name, value in found.items() if value}


def _camel(kind: str) -> str:
    return "".join(word.capitalize() for word in kind.replace("_", ".").split("."))
