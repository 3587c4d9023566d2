"""PagerDuty by its Events API v2: what needs a person is an incident until it is over, all else a change event.

Source: PagerDuty's developer documentation, "Send an alert event" and "Send a change event".
"""

import json
from collections.abc import Mapping
from typing import Any

from lbctl.config.settings import PagerDutyAlert
from lbctl.notify.card import card
from lbctl.notify.incident import OPEN_OF, meant
from lbctl.notify.kept import OPEN_MAX, Kept
from lbctl.notify.masking import masked
from lbctl.notify.plain import plain
from lbctl.notify.port import Delivery, Manner, Memory, Message
from lbctl.notify.post import TIMEOUT_S, Poster, Reply

MANNER = Manner(pace_s=0.5, pages=True)
"""120 events a minute and key."""
SUMMARY_MAX, KEY_MAX = 1_024, 255
TRIGGER, CHANGE = "v2/enqueue", "v2/change/enqueue"
_SEVERITIES = {"page": "critical", "warning": "warning", "info": "info"}
_DETAILS = ("summary", "evidence", "action", "reason", "actor", "after", "next", "command", "phase", "lbctl")


class PagerDutySender:
    """Triggers and resolves by the incident's name, so that a repetition changes nothing."""

    def __init__(self, alert: PagerDutyAlert, memory: Memory, timeout_s: float = TIMEOUT_S) -> None:
        self._key = alert.routing_key.value
        self._poster = Poster(alert.name, alert.api, timeout_s)
        self._open = Kept(OPEN_OF.format(alert.name), memory, OPEN_MAX)

    async def send(self, message: Message) -> Delivery:
        """Open, close or tell. What nobody asked for and closes nothing is not sent."""
        if message.opens:
            done = await self._post(TRIGGER, self._event(message, "trigger", message.incident))
            return await self._kept(done, message.incident, {"seq": message.seq})
        over = [
            name for name in meant(message.closes, self._open.names) if self._open.after(name, message.seq) is not None
        ]
        for name in over:
            done = await self._kept(await self._post(TRIGGER, self._event(message, "resolve", name)), name, None)
            if not done.ok:
                return done
        if over or not message.wanted:
            return Delivery(ok=True)
        return await self._post(CHANGE, {"payload": _payload(message, change=True), "links": _links(message)})

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    async def _kept(self, delivery: Delivery, incident: str, facts: dict[str, Any] | None) -> Delivery:
        if delivery.ok:
            await self._open.put(incident, facts)
        return delivery

    def _event(self, message: Message, action: str, incident: str) -> dict[str, Any]:
        about = {"event_action": action, "dedup_key": f"lbctl/{message.data['host']}/{incident}"[:KEY_MAX]}
        if action == "resolve":
            return about
        return {**about, "client": "lbctl", "payload": _payload(message), "links": _links(message)}

    async def _post(self, path: str, content: Mapping[str, Any]) -> Delivery:
        text = json.dumps({"routing_key": self._key, **content}).encode()
        reply = await self._poster.post(text, {"Content-Type": "application/json"}, path)
        return reply if isinstance(reply, Delivery) else _judged(reply, self._key)


def _judged(reply: Reply, key: str) -> Delivery:
    found = _read(reply)
    if reply.status == 202 and found.get("status") == "success":
        return Delivery(ok=True)
    if reply.fine:
        return reply.refusal("not an answer of PagerDuty: is `api` right?", hopeless=False)
    errors = found.get("errors")
    words = [one for one in errors if isinstance(one, str)] if isinstance(errors, list) else []
    # Masked before it is cut: half a key would be recognised no more.
    said = plain(masked("; ".join(words), (key,)), 300)
    about_key = "key" in said.lower()
    then = ": put the integration key of an Events API v2 integration into the file" if about_key else ""
    return reply.refusal(said + then, hopeless=False if about_key else None)


def _read(reply: Reply) -> dict[str, Any]:
    found = reply.json
    return found if isinstance(found, dict) else {}


def _payload(message: Message, *, change: bool = False) -> dict[str, Any]:
    data = message.data
    payload = {
        "summary": f"{card(message).title}: {data['summary']}"[:SUMMARY_MAX],
        "source": data["host"],
        "timestamp": message.wall,
        "custom_details": _details(message),
    }
    if change:
        return payload
    names = {"component": data.get("service"), "group": data.get("unit"), "class": message.kind}
    return {**payload, "severity": _SEVERITIES[data["severity"]], **{key: one for key, one in names.items() if one}}


def _details(message: Message) -> dict[str, Any]:
    shown = {key: message.data[key] for key in _DETAILS if message.data.get(key)}
    versions = [line.value for line in card(message).lines if line.label == "Versions"]
    return {**shown, "versions": "; ".join(versions)} if versions else shown


def _links(message: Message) -> list[dict[str, str]]:
    return [{"href": line.value, "text": "build"} for line in card(message).lines if line.is_link]
