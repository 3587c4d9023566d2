"""What an alert says: what happened with its numbers, what happens next, and the command that stops it."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from lbctl.model.entry import Entry, Kind, Severity
from lbctl.model.names import ServiceName
from lbctl.model.record import Member, Phase, Release
from lbctl.model.units import percent, seconds
from lbctl.notify.figures import action, evidence
from lbctl.notify.incident import LOST_ALERTS, ONE_OFF, closes, lasts, name_of, opens
from lbctl.notify.plain import plain
from lbctl.notify.port import Message, Told
from lbctl.notify.words import minor, urgent

_NEXT = {
    Phase.PREFLIGHT: "the first step when all checks hold",
    Phase.AWAITING_APPROVAL: "the first step when it is approved",
    Phase.SHIFTING: "the next step when its hold is over and nothing speaks against it",
    Phase.BAKING: "the old pool is let go when the bake is over",
    Phase.DRAINING: "the old pool is certified when it was kept long enough and nobody uses it",
    Phase.RETIRING: "finished when every old pool is certified and its consumers are stopped",
    Phase.ROLLING_BACK: "rolled back when every instance reads back 0 %",
    Phase.FINISHED: "nothing: it has ended",
    Phase.ROLLED_BACK: "nothing: it has ended and is not tried again by itself",
    Phase.CANCELLED: "nothing: it has ended and is not tried again by itself",
}
_NEXT_BY_KIND = {
    Kind.HOLD_STARTED: "it stays at this share until the reason is gone",
    Kind.HOLD_PAGED: "it stays at this share until a person decides",
    Kind.RELEASE_PAUSED: "it stays at this share until `lbctl resume`",
    Kind.ROLLBACK_BLOCKED: "traffic stays until the active pool is well again or a person decides",
    Kind.CERTIFICATE_VOID: "it is certified again after a much longer quiet time; `lbctl retired` says which",
    Kind.JOURNAL_FAILED: "nothing moves forward until the journal can be written; going back still works",
}


@dataclass(frozen=True, slots=True)
class Composer:
    """Makes messages in the name of this host and version of lbctl."""

    host: str
    version: str

    def alert(self, told: Told, release: Release | None) -> Message:
        """Return the message for one entry, with what is known about its release. What it says is as it was then: by
        the time it is told the release may have gone on, or ended."""
        entry = told.entry
        release = None if release is None else _then(release, entry)
        about = _about(release) if release is not None else {}
        data: dict[str, Any] = {
            "severity": entry.severity.value, "service": entry.service, "release": entry.release,
            "summary": plain(entry.text), "actor": plain(entry.actor), **about,
            "next": plain(entry.data.get("next") or _next(entry.kind, release)),
            "command": _command(told, release), "action": action(entry, release), "evidence": evidence(entry.data),
            "after": _after(entry.data),
            "host": self.host, "lbctl": self.version, "numbers": _numbers(entry.data),
        }  # fmt: skip
        return Message(
            _id(told), entry.kind.value, told.wall, _line(data), data, told.id, minor(entry), urgent(entry),
            incident=name_of(entry), opens=opens(entry), closes=closes(entry), lasts_ms=lasts(name_of(entry)),
        )  # fmt: skip

    def summary(self, count: int, since_wall: str, last_id: int) -> Message:
        """Return the message that stands for `count` alerts that could not be delivered in time."""
        what = f"{count} alert{'s' if count > 1 else ''} not delivered since {plain(since_wall) or 'the start'}"
        data = self._of_lbctl(what, Severity.WARNING, "newer alerts follow", "lbctl events") | {"count": count}
        name = f"summary-{last_id}-{count}"
        return Message(
            name, "alert.summary", since_wall, _line(data), data, incident=LOST_ALERTS, opens=True, lasts_ms=ONE_OFF
        )

    def over(self, incident: str, wall: str) -> Message:
        """Return the message that an incident is over because nothing else ends it. Only pagers are told."""
        what = f"over by itself, {seconds(ONE_OFF)} after it was told"
        data = self._of_lbctl(what, Severity.INFO, "nothing", "lbctl events")
        return Message(
            f"over-{incident}", "alert.over", wall, _line(data), data, incident=incident, closes=(incident,),
            wanted=False,
        )  # fmt: skip

    def test(self, name: str, wall: str) -> Message:
        """Return the message of `lbctl notify test NAME`."""
        what = f"test of the alert channel {plain(name)}: it works"
        data = self._of_lbctl(what, Severity.INFO, "nothing", "lbctl status")
        return Message(
            f"test-{hashlib.sha256(wall.encode()).hexdigest()[:16]}", "alert.tested", wall, _line(data), data
        )

    def _of_lbctl(self, summary: str, severity: Severity, then: str, command: str) -> dict[str, Any]:
        """Return what a message says that is about no release."""
        return {
            "severity": severity.value, "service": None, "release": None, "summary": summary, "next": then,
            "command": command, "host": self.host, "lbctl": self.version,
        }  # fmt: skip


def _then(release: Release, entry: Entry) -> Release:
    """Return the release in the phase and at the share that its entry names."""
    phase, share_bp = entry.data.get("phase"), entry.data.get("share_bp")
    return replace(
        release,
        phase=Phase(phase) if phase in set(Phase) else release.phase,
        share_bp=share_bp if isinstance(share_bp, int) else release.share_bp,
    )


def _about(release: Release) -> dict[str, Any]:
    members = [_member(name, one) for name, one in release.members.items()]
    own = members[0]
    return {
        **{key: own[key] for key in ("from", "to", "version_from", "version_to")},
        "unit": release.unit,
        "members": members,
        "phase": release.phase.value,
        "share_bp": release.share_bp,
        "reached_bp": release.reached_bp,
        "reason": plain(release.outcome or release.reason),
        "initiator": plain(release.initiator),
    }


def _member(name: ServiceName, member: Member) -> dict[str, Any]:
    """Return one service of a release and its versions, for a chat in which nobody knows which services go together."""
    return {
        "service": name,
        "from": member.origin.value,
        "to": member.to.value,
        "version_from": plain(member.version_was or "unknown", 100),
        "version_to": plain(member.version, 100),
        "build": plain(member.build, 500),
    }


def _next(kind: Kind, release: Release | None) -> str:
    if kind in _NEXT_BY_KIND:
        return _NEXT_BY_KIND[kind]
    return _NEXT[release.phase] if release is not None else ""


def _command(told: Told, release: Release | None) -> str:
    """The command that stops what goes on; once it goes back or has ended, the one that explains it."""
    number = told.entry.release
    if number is None:
        return "lbctl status"
    over = release is not None and (release.phase.ended or release.phase is Phase.ROLLING_BACK)
    ended = told.entry.kind in {Kind.RELEASE_FINISHED, Kind.RELEASE_CANCELLED, Kind.ROLLBACK_FINISHED}
    back = told.entry.kind is Kind.ROLLBACK_STARTED
    if not over and release is not None and release.phase is Phase.RETIRING:
        return f"lbctl undo {plain(release.unit_name, 100)}"
    return f"lbctl explain {plain(number, 20)}" if over or ended or back else f"lbctl rollback {plain(number, 20)}"


def _after(data: dict[str, Any]) -> str:
    """How long the release had run."""
    spent_ms = data.get("duration_ms")
    return seconds(spent_ms) if isinstance(spent_ms, int) else ""


def _numbers(data: dict[str, Any]) -> dict[str, Any]:
    return {plain(key, 100): plain(value) if isinstance(value, str) else value for key, value in data.items()}


def _line(data: dict[str, Any]) -> str:
    whose = data.get("unit") or data["service"]
    place = " ".join(part for part in (whose, data["release"] and f"release {data['release']}") if part)
    parts = [f"[{data['severity']}] {place}: {data['summary']}" if place else f"[{data['severity']}] {data['summary']}"]
    if "members" in data:
        parts.append(", ".join(_way(one, data) for one in data["members"]))
        parts.append(f"at {percent(data['share_bp'])}")
    parts += [data[key] for key in ("evidence", "action") if data.get(key)]
    if data.get("after"):
        parts.append(f"after {data['after']}")
    if data["next"]:
        parts.append(f"next: {data['next']}")
    parts.append(f"`{data['command']}`")
    parts.append(f"{data['host']}, lbctl {data['lbctl']}")
    return plain(" | ".join(parts), 1_500)


def _way(member: dict[str, Any], data: dict[str, Any]) -> str:
    name = f"{member['service']} " if data["unit"] else ""
    return f"{name}{member['version_from']} ({member['from']}) -> {member['version_to']} ({member['to']})"


def _id(told: Told) -> str:
    if told.id:
        return f"entry-{told.id}"
    entry = told.entry
    content = f"{told.wall}|{entry.at}|{entry.kind}|{entry.text}"
    return f"memory-{hashlib.sha256(content.encode('utf-8', 'replace')).hexdigest()[:24]}"
