"""Whatever servers, people and load balancers say: every receiver gets something within its limits, and nothing of it
calls somebody, hides an address or commands a terminal."""

import json
import re
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ReleaseId
from lbctl.model.units import Instant
from lbctl.notify import alertmanager, chat_hook, pagerduty, slack, teams
from lbctl.notify.backlog import Unstored
from lbctl.notify.message import Composer
from lbctl.notify.port import Message
from tests.shop import B, Shop

PIECES = (
    "<!channel>", "@everyone", "](https://evil.example)", "<https://evil.example|x>", "\x1b[2J", "\u202e", "`*_~", "&",
)  # fmt: skip
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=200)), max_size=20).map("".join)
SHOP = Shop()
SHOP.switch(B, version=2)
SHOP.until("shifting")
LINK = re.compile(r"<https?://[!-;=?-~]+>")


@given(texts, texts, texts, texts, st.sampled_from(Kind), st.sampled_from(Severity))
@settings(max_examples=60, deadline=None)
def test_no_text_escapes_its_place_in_any_message(
    text: str, actor: str, version: str, build: str, kind: Kind, severity: Severity
) -> None:
    message = hostile(text, actor, version, build, kind, severity)
    said = slack._said(message)
    parts = [said["text"], *(one["text"] for block in said["blocks"][1:] for one in listed(block))]
    assert not [part for part in parts if "<" in LINK.sub("", part) or not 0 < len(part) <= slack.TEXT_MAX]
    assert 0 < len(said["blocks"][0]["text"]["text"]) <= slack.TITLE_MAX
    hook = chat_hook.text(message)
    assert "<" not in hook
    assert len(hook) <= chat_hook.TEXT_MAX
    card = teams.content(message)
    assert len(card) <= teams.CARD_BYTES
    told = [json.dumps(one, ensure_ascii=False) for one in (said, hook, json.loads(card), *machines(message))]
    everything = "".join([*told, hook])
    for part in ("@everyone", "\x1b", "\\u001b", "\u202e"):
        assert part not in everything
    for markdown in (hook, told[2]):
        assert "](" not in markdown
    "".join(told).encode()


def machines(message: Message) -> list[Any]:
    payload = pagerduty._payload(message)
    assert 0 < len(payload["summary"]) <= pagerduty.SUMMARY_MAX
    labels = alertmanager._labels(message)
    assert all(labels.values())
    return [payload, labels, alertmanager._annotations(message)]


def listed(block: dict[str, Any]) -> list[Any]:
    return [block["text"]] if "text" in block else block["elements"]


def hostile(text: str, actor: str, version: str, build: str, kind: Kind, severity: Severity) -> Message:
    """An alert in which every foreign text is hostile."""
    release = next(iter(SHOP.disk.releases.values()))
    release = replace(release, version=version, build=build, reason=text, initiator=actor, outcome=text)
    data = {"from": "blue", "to": "green", "blamed": text, "next": actor, "candidate_total": 3, "candidate_bad": 1,
            "active_total": 0, "active_bad": 0, "code": text}  # fmt: skip
    told = Entry(
        kind=kind, at=Instant(1), text=text, severity=severity, service=B, release=ReleaseId("1"), actor=actor,
        data=data,
    )  # fmt: skip
    return Composer("lb1", "1").alert(Unstored("2026-01-01T00:00:00Z", told, 1), release)
