"""The outbox: every channel's lane, started, woken and stopped together. Nothing in it is awaited by a decision."""

import asyncio
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import structlog

from lbctl import wall
from lbctl.config.settings import (
    AlertmanagerAlert,
    AppriseAlert,
    ChatHookAlert,
    OtlpAlert,
    PagerDutyAlert,
    SlackAlert,
    TeamsAlert,
)
from lbctl.model.entry import Entry
from lbctl.model.record import Record
from lbctl.model.units import Instant, Span
from lbctl.notify import alertmanager, apprise, chat_hook, otlp, pagerduty, slack, teams
from lbctl.notify.backlog import Unstored
from lbctl.notify.command import CommandSender
from lbctl.notify.edits import Edits
from lbctl.notify.lane import Facts, Lane
from lbctl.notify.masking import masked, secrets_of
from lbctl.notify.message import Composer
from lbctl.notify.plain import plain
from lbctl.notify.port import Channel, Delivery, ExecChannel, Manner, Message, Sender, Source, WebhookChannel
from lbctl.notify.webhook import WebhookSender

log = structlog.get_logger()

RESTART_S = 5.0
CLOSE_S = 1.5


class Outbox:
    """Alerts of all channels, derived from the journal by one cursor per channel: at least once, in order.

    Made and used on the event loop. A bad webhook url raises LbctlError here, before anything runs.
    """

    def __init__(
        self,
        journal: Source,
        channels: Sequence[Channel],
        *,
        record: Callable[[], Record | None],
        now: Callable[[], Instant],
        version: str,
        host: str = "",
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`lanes`: one for each channel, by its name."""
        self._composer = Composer(host or socket.gethostname(), version)
        facts = Facts(record, now, wall.now, jitter)
        edits = Edits()
        self.lanes = {
            channel.name: Lane(
                channel, Discreet(channel, sender_of(channel, journal, edits)), journal, self._composer, facts,
                MANNERS.get(type(channel), Manner()),
            )
            for channel in channels
        }  # fmt: skip
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def pending(self) -> int:
        """How many alerts wait, over all channels."""
        return sum(lane.pending for lane in self.lanes.values())

    def counters(self) -> dict[str, dict[str, int]]:
        """Per channel: attempts that were `sent` or `failed`, alerts `dropped` and `pending`."""
        return {
            name: {"sent": lane.sent, "failed": lane.failed, "dropped": lane.backlog.dropped, "pending": lane.pending}
            for name, lane in self.lanes.items()
        }

    def oldest(self, now: Instant) -> Span:
        """How long the oldest alert of all channels has waited; 0: none waits."""
        return max((lane.backlog.oldest(now) for lane in self.lanes.values()), default=Span(0))

    def start(self) -> None:
        """Start the lanes' tasks; they run until `close`."""
        self._tasks = [
            asyncio.create_task(_kept_running(lane), name=f"alert {name}") for name, lane in self.lanes.items()
        ]

    def take_over(self, old: "Outbox") -> None:
        """Go on for an outbox that has ended: each channel by its name."""
        for name, lane in old.lanes.items():
            if name in self.lanes:
                self.lanes[name].take_over(lane)

    def wake(self) -> None:
        """Say that the journal has something new; without it an idle lane looks every half second."""
        for lane in self.lanes.values():
            lane.wake()

    def offer(self, entries: Sequence[Entry], *, wall: str) -> None:
        """Hand over entries that the journal could not take; at most 1,000 wait per channel, the oldest give way."""
        for entry in entries:
            for lane in self.lanes.values():
                lane.offer(Unstored(wall, entry))

    async def test(self, name: str, *, said: str = "") -> tuple[bool, str]:
        """Send a test message now, once; returns whether it was delivered, and the reason if not.

        Raises:
            KeyError: there is no channel of that name.
        """
        delivery = await self.lanes[name].sender.send(self._composer.test(name, said or wall.now()))
        return delivery.ok, delivery.detail

    async def close(self, drain_s: float = 0.0) -> None:
        """Stop; what was not told is told after the next start. `drain_s`: let waiting alerts go out that long."""
        self.wake()
        until_s = time.monotonic() + drain_s
        while self._tasks and time.monotonic() < until_s and self._behind():  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(0.02)
        for _ in range(2):
            # Twice: a fault while a lane is being cancelled makes it start anew instead of ending.
            for task in self._tasks:
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for lane in self.lanes.values():
            await lane.sender.close()

    def _behind(self) -> bool:
        return any(lane.behind for lane in self.lanes.values())


MANNERS: dict[type[Channel], Manner] = {
    SlackAlert: slack.MANNER,
    ChatHookAlert: chat_hook.MANNER,
    PagerDutyAlert: pagerduty.MANNER,
    AlertmanagerAlert: alertmanager.MANNER,
    TeamsAlert: teams.MANNER,
    AppriseAlert: apprise.MANNER,
    OtlpAlert: otlp.MANNER,
}


def sender_of(channel: Channel, memory: Source, edits: Edits) -> Sender:
    """Return the sender for a channel's settings. Raises LbctlError for a url that may not be used."""
    match channel:
        case ExecChannel():
            return CommandSender(channel)
        case WebhookChannel():
            return WebhookSender(channel)
        case SlackAlert():
            return slack.SlackSender(channel, memory, edits=edits)
        case ChatHookAlert():
            return chat_hook.ChatHookSender(channel)
        case PagerDutyAlert():
            return pagerduty.PagerDutySender(channel, memory)
        case AlertmanagerAlert():
            return alertmanager.AlertmanagerSender(channel, memory)
        case TeamsAlert():
            return teams.TeamsSender(channel)
        case AppriseAlert():
            return apprise.AppriseSender(channel)
        case OtlpAlert():
            return otlp.OtlpSender(channel, memory)


class Discreet:
    """A sender whose failures are told without the channel's secrets, whatever the receiver said back."""

    def __init__(self, channel: Channel, sender: Sender) -> None:
        self._secrets = secrets_of(channel)
        self._sender = sender

    async def send(self, message: Message) -> Delivery:
        """Try once."""
        delivery = await self._sender.send(message)
        return delivery if delivery.ok else replace(delivery, detail=plain(masked(delivery.detail, self._secrets)))

    async def close(self) -> None:
        """Give back connections."""
        await self._sender.close()


async def _kept_running(lane: Lane) -> None:
    while True:
        try:
            await lane.run()
        except Exception:
            # A bug in one channel must neither end it silently nor touch another.
            log.exception("alert.lane_failed", alert=lane.channel.name)
            await asyncio.sleep(RESTART_S)
