"""What servers, hooks, chats, the kernel, files and people say: everything foreign that is no load balancer's."""

import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from lbctl.cli.counterlines import line_of
from lbctl.config.accounts import Accounts
from lbctl.config.load import load_text
from lbctl.control import bodies, freezing, plans
from lbctl.control.contracts import contract
from lbctl.control.dispatch import _query
from lbctl.control.framing import Framed, Partial, frame
from lbctl.control.routes import ROUTES
from lbctl.core.judge import Account, Learned
from lbctl.gate.attest import _from_json, _from_text
from lbctl.gate.hook import first_line
from lbctl.model.errors import Refused
from lbctl.notify import alertmanager, chat_hook, pagerduty, slack, teams
from lbctl.notify.apprise_child import without
from lbctl.notify.kept import _read as kept_facts
from lbctl.notify.plain import plain, unlinked
from lbctl.notify.post import Reply
from lbctl.probe import frames
from lbctl.probe.answer import length_of, status_of
from lbctl.probe.supervisor import report_of
from lbctl.sim.replay import again
from lbctl.store import codec
from lbctl.store.clock import parsed
from lbctl.store.kept import _parsed
from lbctl.store.recording import line_of as recorded_line
from lbctl.telemetry.sockets.answer import Again, Counts, Unusable, row, walk
from tests.shop import PLAN

BODIES = sorted({route.body for route in ROUTES if route.body is not None}, key=lambda form: form.__name__)
NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOST = Accounts(uid_of=lambda _: 1, gid_of=lambda _: 2)

# ---- the control socket


def control_frames(data: bytes) -> object:
    """One connection's bytes, one request after the other."""
    found = []
    while data and not isinstance(framed := frame(data), Partial):
        found.append(framed)
        if not isinstance(framed, Framed):
            break
        data = data[framed.size :]
    return found


def control_bodies(data: bytes) -> object:
    """A body, for every route that takes one, and what is made of its texts."""
    return [_taken(data, form) for form in BODIES]


def _taken(data: bytes, form: type[Any]) -> object:
    try:
        body = bodies.decode(data, form)
        if isinstance(body, bodies.PlanBody):
            plans.overlaid(PLAN, body)
        if isinstance(body, bodies.ReadyBody | bodies.AdoptBody):
            contract(body.provides, body.requires)
        return body, bodies.folded(getattr(body, "reason", ""))
    except Refused as refused:
        return str(refused)


def contracts(data: bytes) -> object:
    words = data.decode("utf-8", "replace").split("\n")
    return contract(words[::2], words[1::2])


def control_queries(data: bytes) -> object:
    name, _, value = data.decode("utf-8", "replace").partition("=")
    return [_answered({name: value}, route.query) for route in ROUTES]


def _answered(given: dict[str, str], known: Any) -> object:
    try:
        return _query(given, known)
    except Refused as refused:
        return str(refused)


# ---- servers, hooks, chats


def probe_answer(data: bytes) -> object:
    return status_of(data[:13]), length_of(data)


def version_text(data: bytes) -> object:
    return _from_text(data)


def version_json(data: bytes) -> object:
    return _from_json("version.name", data)


def hook_words(data: bytes) -> object:
    line = first_line(data)
    assert line.isprintable()
    return line


def chat_reply(data: bytes) -> object:
    """What a receiver of alerts answers, each of which could be any server."""
    key = "R0123456789ABCDEF"
    reply = Reply((200, 202, 400, 403, 429, 500)[len(data) % 6], data)
    told = [slack._answered(reply), teams._judged(reply), pagerduty._judged(reply, key), alertmanager._judged(reply)]
    assert not [one for one in told if not isinstance(one, dict) and not one.detail.isprintable()]
    return told, chat_hook._says_ok(reply)


def apprise_complaint(data: bytes) -> object:
    url = "tgram://123456:SECRETSECRET/chat-1"
    said = without(url, data.decode("utf-8", "replace"))
    assert "SECRETSECRET" not in said
    return said


def text_for_people(data: bytes) -> object:
    said = plain(data.decode("utf-8", "replace"), 300)
    assert len(said) <= 300
    assert said.isprintable()
    return unlinked(said)


# ---- other processes and the kernel


def prober_report(data: bytes) -> object:
    return report_of(data)


def prober_targets(data: bytes) -> object:
    return [frames.decode_set(line) for line in frames.Lines(4_096).feed(data)]


def netlink(data: bytes) -> object:
    counts, seen = Counts(7, frozenset({1, 2})), []
    for take in (counts.take, lambda part: walk(part, 7, lambda body: seen.append(row(body)))):
        try:
            take(memoryview(data))
        except (Again, Unusable):
            continue
    return counts, seen


# ---- files


def config(data: bytes) -> object:
    return load_text("x", data, uid=0, environ={}, resolve=lambda _: ["10.9.9.9"], accounts=HOST, read_secrets=False)


def journal_record(data: bytes) -> object:
    """Whoever can write the journal can write its checksum."""
    return codec.decode_record(data, codec.checksum(data, 7), 7)


def journal_release(data: bytes) -> object:
    return codec.decode_release(data, codec.checksum(data, 7), 7)


def journal_entry(data: bytes) -> object:
    return codec.encode_entry(codec.decode_entry(data, codec.checksum(data, 7), 7))


def kept_file(data: bytes) -> object:
    found = _parsed(Path("x"), b"%08x\n%s" % (zlib.crc32(data), data)), _parsed(Path("x"), data)
    return found, kept_facts(data.decode("utf-8", "replace")), parsed(data.decode("utf-8", "replace"))


def judges_account(data: bytes) -> object:
    """Raises ValueError for what is no account; the JSON around it is another parser's."""
    document = msgspec.json.decode(data)
    try:
        return Account.from_json(document)
    except ValueError:
        return Learned.from_json(document)


def recording(data: bytes) -> object:
    """The lines of a recorded release, and the judge over them."""
    return again(recorded_line(raw, number) for number, raw in enumerate(data.split(b"\n"), 1) if raw)


def counter_lines(data: bytes) -> object:
    return line_of(data, first=True), line_of(data, first=False)


def freeze_texts(data: bytes) -> object:
    until, _, zone = data.decode("utf-8", "replace").partition("\n")
    raw = json.dumps({"name": "x", "until": until, "zone": zone or "UTC"}).encode()
    body = bodies.decode(raw, bodies.FreezeBody)
    return freezing._end(body, NOW)  # type: ignore[arg-type]
