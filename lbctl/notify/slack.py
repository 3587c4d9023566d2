"""A channel of Slack, told by a bot: one message for each release, edited in place, what changes in its thread.

Source: Slack's documentation of chat.postMessage, chat.update, "Formatting message text" and "Rate limits".
"""

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from lbctl.config.settings import SlackAlert
from lbctl.notify.card import Line, card
from lbctl.notify.edits import Edits
from lbctl.notify.port import Delivery, Manner, Memory, Message
from lbctl.notify.post import TIMEOUT_S, Poster, Reply
from lbctl.notify.threads import Thread, Threads

MANNER = Manner(pace_s=1.2, chat=True)
"""One message a second and channel. Edits count apart, 50 a minute, for all channels of an app: lbctl.notify.edits."""
POST, EDIT = "chat.postMessage", "chat.update"

TITLE_MAX, TEXT_MAX, VALUE_MAX = 150, 3_000, 600
REPLIED_MAX = 100
KEPT_REPLIES_MAX = 20
"""So many of a release are remembered over a restart."""
_LOST = frozenset(
    {"message_not_found", "thread_not_found", "cant_update_message", "edit_window_closed", "cannot_reply_to_message"}
)
"""The message of a release can be neither edited nor answered any more: it gets a new one."""
_THIS_MESSAGE = frozenset({"msg_too_long", "msg_blocks_too_long", "no_text", "invalid_blocks", "invalid_blocks_format"})
_NEXT_STEPS = {
    **dict.fromkeys(
        ("invalid_auth", "not_authed", "token_revoked", "token_expired", "account_inactive"),
        "put a valid Bot User OAuth Token into its file, then reload lbctld (restart it for a credential of systemd)",
    ),
    **dict.fromkeys(("not_in_channel", "channel_not_found"), "invite the bot to the channel, or correct its name"),
    "missing_scope": "give the app the scope chat:write and install it again",
    "is_archived": "name another channel",
}


class SlackSender:
    """Posts as a bot with the scope `chat:write`. What is told is in its thread, and a way back also in the channel."""

    def __init__(
        self, alert: SlackAlert, memory: Memory, timeout_s: float = TIMEOUT_S, edits: Edits | None = None
    ) -> None:
        self._alert = alert
        self._edits = edits or Edits()
        self._poster = Poster(alert.name, alert.api, timeout_s)
        self._threads = Threads(alert.name, memory)
        self._replied: deque[str] = deque(maxlen=REPLIED_MAX)
        """Alerts that are in their thread already, while the message above could not be edited."""

    async def send(self, message: Message) -> Delivery:
        """Bring the channel up to date with one alert."""
        release = message.data.get("release")
        if not release:
            return await self._call(POST, self._new(message))
        thread = self._threads.of(release)
        if thread is None or thread.named != self._alert.channel:
            return await self._begin(release, message)
        return await self._go_on(release, thread, message)

    async def close(self) -> None:
        """Close the connection."""
        await self._poster.close()

    async def _begin(self, release: str, message: Message) -> Delivery:
        reply = await self._asked(POST, self._new(message))
        if isinstance(reply, Delivery):
            return reply
        channel, ts = reply.get("channel"), reply.get("ts")
        if isinstance(channel, str) and isinstance(ts, str) and len(channel) + len(ts) < 100:
            await self._threads.put(release, Thread(channel, ts, self._alert.channel, message.seq))
        return Delivery(ok=True)

    async def _go_on(self, release: str, thread: Thread, message: Message) -> Delivery:
        """Say it in the thread first, then edit the message above: a retry repeats only what was not done."""
        if not message.minor and message.id not in (*self._replied, *thread.replied):
            answer = {**_said(message), "channel": thread.channel, "thread_ts": thread.ts, **_QUIET}
            done = await self._call(POST, answer | {"reply_broadcast": message.urgent})
            if done.detail in _LOST:
                return await self._anew(release, message)
            if not done.ok:
                return done
            self._replied.append(message.id)
        if message.seq and message.seq < thread.seq:
            # What happened later is shown already: this one had to wait.
            return Delivery(ok=True)
        done = await self._edited({**_said(message), "channel": thread.channel, "ts": thread.ts})
        if done.detail in _LOST:
            await self._threads.put(release, None)
            answered = message.id in (*self._replied, *thread.replied)
            return Delivery(ok=True) if answered else await self._begin(release, message)
        if done.ok:
            await self._threads.put(release, replace(thread, seq=message.seq))
        elif message.id in self._replied and message.id not in thread.replied:
            # A restart, or a reload with other alerts, must not say it again meanwhile.
            replied = (*thread.replied, message.id)[-KEPT_REPLIES_MAX:]
            await self._threads.put(release, replace(thread, replied=replied))
        return done

    async def _anew(self, release: str, message: Message) -> Delivery:
        await self._threads.put(release, None)
        return await self._begin(release, message)

    def _new(self, message: Message) -> dict[str, Any]:
        return {**_said(message), "channel": self._alert.channel, **_QUIET}

    async def _edited(self, content: Mapping[str, Any]) -> Delivery:
        app = self._alert.token.value
        resting = self._edits.refused(app)
        if resting is not None:
            return resting
        done = await self._call(EDIT, content)
        self._edits.learn(app, done)
        return replace(done, said=not done.ok)

    async def _call(self, method: str, content: Mapping[str, Any]) -> Delivery:
        reply = await self._asked(method, content)
        return reply if isinstance(reply, Delivery) else Delivery(ok=True)

    async def _asked(self, method: str, content: Mapping[str, Any]) -> dict[str, Any] | Delivery:
        headers = {
            "Authorization": f"Bearer {self._alert.token.value}",
            "Content-Type": "application/json; charset=utf-8",
        }
        reply = await self._poster.post(json.dumps(content).encode(), headers, method)
        return reply if isinstance(reply, Delivery) else _answered(reply)


_QUIET = {"unfurl_links": False, "unfurl_media": False, "link_names": False}
"""No previews of addresses, and no name in a text calls anybody."""


def _answered(reply: Reply) -> dict[str, Any] | Delivery:
    """Return what Slack answered, or the failure. Only the `ok` in the body means success."""
    if not reply.fine:
        return reply.refusal(hopeless=False)
    found = reply.json
    if not isinstance(found, dict) or not isinstance(found.get("ok"), bool):
        return reply.refusal("not an answer of Slack: is `api` right?", hopeless=False)
    if found["ok"]:
        return found
    error = str(found.get("error"))
    # A word and nothing else: whoever answers must not put texts into our log.
    error = error if re.fullmatch(r"[a-z_]{1,60}", error) else "an unknown error"
    if error in _LOST:
        return Delivery(ok=False, detail=error)
    then = f": {_NEXT_STEPS[error]}" if error in _NEXT_STEPS else ""
    hopeless = error in _THIS_MESSAGE
    return Delivery(ok=False, detail=f"Slack says {error}{then}", retry_after_s=reply.retry_after_s, hopeless=hopeless)


def _said(message: Message) -> dict[str, Any]:
    """Return text and blocks. The text is for notifications and screen readers."""
    shown = card(message)
    lines = "\n".join(_line(line) for line in shown.lines)
    foot = f"`{escaped(shown.command)}`  \u00b7  {escaped(shown.footer)}"
    return {
        "text": f"{escaped(shown.title)}: {escaped(message.data['summary'])}"[:TEXT_MAX],
        "blocks": [
            {"type": "header", "text": {"type": "plain_text", "text": shown.title[:TITLE_MAX], "emoji": False}},
            {"type": "section", "text": {"type": "mrkdwn", "text": lines[:TEXT_MAX], "verbatim": True}},
            {"type": "context", "elements": [{"type": "mrkdwn", "text": foot[:TEXT_MAX], "verbatim": True}]},
        ],
    }


def _line(line: Line) -> str:
    value = line.value if len(line.value) <= VALUE_MAX else line.value[: VALUE_MAX - 1] + "\u2026"
    # An address is shown as it is, never under another name.
    return f"*{line.label}:* " + (f"<{escaped(value)}>" if line.is_link and value == line.value else escaped(value))


def escaped(text: str) -> str:
    """Return `text` so that Slack shows it: no mention, no link, no command."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
