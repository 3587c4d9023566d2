"""What must never happen in the world, whatever goes wrong. Checked at every decision, sending and landing.

The watch trusts nothing that the core says of itself: it looks at what reached the disk, the tokens and the load
balancers, and at what the process had seen when it sent.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from lbctl.core.invariants import check
from lbctl.core.targets import target
from lbctl.model.certificate import Certificate
from lbctl.model.hook import HookAnswer, Point, Word
from lbctl.model.names import Colour, InstanceName, ReleaseId, ServiceName
from lbctl.model.operation import Place
from lbctl.model.reading import InstanceReading, Token, Unreadable
from lbctl.model.record import Phase, PoolState, Record, Release
from lbctl.model.route import Route
from lbctl.model.topology import Topology
from lbctl.model.units import BP_FULL, Instant
from lbctl.sim.balancer import Balancer, Landed, Pending

STALE_MS = 3_000
PATIENCE_MS = 1_300


class ViolationError(AssertionError):
    """Something happened that must never happen."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was true, and what the process had seen, when it sent an operation."""

    at: Instant
    durable: Record
    ordered: Record
    readings: dict[InstanceName, InstanceReading | Unreadable]
    up: dict[Colour, int]
    down: dict[Colour, int]
    servers: int
    """Servers of each pool."""
    token: Token
    forbidden: frozenset[ReleaseId]
    durable_at: Instant
    """When `durable` reached the disk."""
    unknown: bool
    """An earlier operation to this instance, of whatever process, may still land."""


@dataclass(slots=True)
class Watch:
    """Everything that must be remembered to judge the next event."""

    topology: Topology
    service: ServiceName
    instances: tuple[InstanceName, ...]
    forbidden: dict[ReleaseId, str] = field(default_factory=dict)
    """Releases that were told to go back, and the nonce they had: nothing may raise them again."""
    full_promoted: set[ReleaseId] = field(default_factory=set)
    born_low: dict[InstanceName, tuple[ReleaseId, int]] = field(default_factory=dict)
    """Instances whose newest generation came up below the target of this release and epoch."""
    ways_back: set[int] = field(default_factory=set)
    """Requests for a rollback of traffic: no journal is needed for them."""
    ended: set[ReleaseId] = field(default_factory=set)
    told_certified: set[ReleaseId] = field(default_factory=set)
    """Releases whose first certificate CI was told of: the old pool may be stopped."""
    parked_since: dict[int, Instant] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    words: dict[tuple[ReleaseId, Point, int], Word] = field(default_factory=dict)
    """What hooks said last, by release, point and epoch."""

    def count(self, what: str) -> None:
        """Count an event for the report."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def heard(self, answer: HookAnswer) -> None:
        """A hook said something."""
        self.words[answer.key.release, answer.key.point, answer.key.epoch] = answer.word

    # ---- decisions

    def mark(self, mark: Any) -> None:
        """A token is about to be marked."""
        if mark.token is Token.BACK:
            self.forbidden[mark.release] = mark.nonce

    def durable(self, record: Record) -> None:
        """A record reached the disk. A new nonce is a person's `resume`: the only way out of a lost way back."""
        release = record.latest(self.service)
        if release is not None:
            if release.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK}:
                self.forbidden[release.id] = release.nonce
            elif self.forbidden.get(release.id, release.nonce) != release.nonce:
                del self.forbidden[release.id]
        if release is not None and release.phase.ended and release.id not in self.ended:
            self.ended.add(release.id)
            self.count(release.phase.value)
            if release.claims:
                self.count("job's release ends")

    def save(
        self, before: Record, record: Record, readings: dict[InstanceName, Any], durable: Record, token: Token
    ) -> None:
        """A decision was taken and is about to be written."""
        if record.rev == before.rev:
            return
        check(before, record)
        old, new = before.latest(self.service), record.latest(self.service)
        self._keeps(record)
        self._roles(before, record)
        if old is None or new is None or old.id != new.id:
            return
        if new.phase is Phase.ROLLING_BACK:
            self.forbidden[new.id] = new.nonce
        if new.share_bp < old.share_bp and new.phase is Phase.SHIFTING:
            self._claim(token is not Token.GO, "lowered by drift without holding the token")
        if new.share_bp > old.share_bp:
            self._advance(before, old, new, readings, durable, token)
        if new.phase is Phase.ROLLING_BACK:
            self._claim(new.id not in self.told_certified, "going back after a certificate that CI was told of")
            latest = durable.latest(self.service)
            written = latest is not None and latest.id == new.id and latest.phase is Phase.RETIRING
            self._claim(old.phase is new.phase or not written, "going back after a certificate that is on disk")
        if new.phase is Phase.RETIRING and old.phase is not Phase.RETIRING:
            self.count("certified")
            self._claim(durable.rev == before.rev, "a certificate on a decision that is not durable")
        if new.phase is Phase.ROLLED_BACK and old.phase is not Phase.ROLLED_BACK:
            self._everywhere(before, readings, "rolled_back", old.phase_since)
            self._claim(durable.rev == before.rev, "rolled_back before its own decision was durable")
        if new.phase is Phase.FINISHED and old.phase is not Phase.FINISHED:
            self._everywhere(before, readings, "finished", Instant(-1))
            self._claim(durable.rev == before.rev, "finished on a decision that is not durable")
        if new.phase is Phase.DRAINING and old.phase is not Phase.DRAINING:
            self._claim(durable.rev == before.rev, "the roles swap on a decision that is not durable")

    def _roles(self, before: Record, record: Record) -> None:
        """A pool becomes active by an adoption, at the end of a bake, or at the end of a rollback."""
        old, new = before.services.get(self.service), record.services.get(self.service)
        release = record.latest(self.service)
        if old is None or new is None or old.active is new.active or before.running(self.service) is None:
            return
        swaps = release is not None and release.phase in {Phase.DRAINING, Phase.ROLLED_BACK}
        self._claim(swaps, "the roles swap in the middle of a release")

    def _advance(
        self,
        before: Record,
        old: Release,
        new: Release,
        readings: dict[InstanceName, Any],
        durable: Record,
        token: Token,
    ) -> None:
        """The share rises by one step, or to where a retreat came from, from a share that was read back everywhere,
        with nothing in the way."""
        steps = [step for step in old.plan.steps_bp if step > old.share_bp]
        skipped = steps and new.share_bp not in {steps[0], old.retreated_from_bp}
        self._claim(not skipped or old.id in self.full_promoted, f"a step was skipped: {old.share_bp}→{new.share_bp}")
        self._claim(durable.rev == before.rev, "a step on a decision that is not durable")
        self._claim(not old.latched and old.paused_by is None, "a step of a release that was paused or held by hand")
        self._claim(token is Token.GO, f"a step with the token {token}")
        self._claim(old.id not in self.forbidden, "a step after a way back")
        # At share 0, after a reload that lost everything, there is no step that anybody could look at.
        stands = old.phase is Phase.SHIFTING and old.share_bp > 0
        for hook in self.topology.services[self.service].hooks if stands else ():
            word = self.words.get((old.id, hook.at, old.epoch))
            self._claim(word is Word.YES, f"a step, and the hook {hook.at} said {word}")
        self._everywhere(before, readings, f"the step to {new.share_bp}", Instant(-1))

    def _everywhere(self, record: Record, readings: dict[InstanceName, Any], what: str, after: int) -> None:
        want = target(self.topology, record, self.service)
        for name in self.instances:
            reading = readings.get(name)
            if not isinstance(reading, InstanceReading):
                raise ViolationError(f"{what}, but {name} could not be read")
            seen = reading.services[self.service]
            agree = all(route == want for route in seen.runtime.values()) and seen.boot == want
            self._claim(agree, f"{what}, but {name} read {[str(one) for one in seen.runtime.values()]}/{seen.boot}")
            self._claim(reading.taken_at > after, f"{what} by a reading from before the decision")

    def _keeps(self, record: Record) -> None:
        adopted, release = record.services.get(self.service), record.latest(self.service)
        if adopted is None:
            return
        moves = release is not None and not release.phase.ended and not release.phase.swapped
        home = release.origin if release is not None and moves else adopted.active
        self._claim(adopted.pool(home).keep_bp == BP_FULL, f"the sessions of {home} are not honoured")
        away = adopted.pool(home.other)
        self._claim(away.keep_bp == BP_FULL or away.state is not PoolState.ACTIVE, f"{away} is active without sessions")

    def ending(self, name: str, balancer: Balancer, readings: dict[InstanceName, Any], colour: Colour) -> None:
        """A release was decided to be rolled back: the load balancers themselves must agree."""
        if balancer.disturbed_at >= readings[InstanceName(name)].taken_at:
            return
        shares = [route.share_bp(colour) for route in (*balancer.runtime.values(), balancer.boot)]
        self._claim(max(shares) == 0, f"rolled_back while {name} routes {shares} to {colour}")

    def certified(self, name: str, balancer: Balancer, reading: Any, colour: Colour, found: Certificate) -> None:
        """A pool was decided to be unused: the load balancers themselves must agree, and so must its users."""
        if not isinstance(reading, InstanceReading):
            raise ViolationError(f"certified while {name} could not be read")
        quiet = self.topology.services[self.service].drain.quiet
        self._claim(reading.taken_at - found.since >= quiet, "certified before it was quiet for long enough")
        late = found.since < balancer.served_at[colour] <= reading.taken_at
        self._claim(
            not late, f"certified as unused since {found.since}, and {name} served {balancer.served_at[colour]}"
        )
        was_open = found.since < balancer.open_at[colour] <= reading.taken_at
        self._claim(not was_open, f"certified as unused since {found.since}, when {name} still honoured sessions")
        if balancer.served_at[colour] <= reading.taken_at:
            self._claim(not balancer.held[colour], f"certified with {balancer.held[colour]} in flight on {name}")
        if balancer.disturbed_at < reading.taken_at:
            for route in (*balancer.runtime.values(), balancer.boot):
                open_to = route.share_bp(colour) or route.keep_bp(colour)
                self._claim(not open_to, f"certified while {name} routes {route}")

    def patient(self, parked: list[int], durable: Record, record: Record, now: Instant) -> None:
        """A way back waits for the journal at most a second. A certificate that is on disk, and that nothing newer has
        taken back, is told from now on."""
        self.parked_since = {one: self.parked_since.get(one, now) for one in parked}
        for since_ms in self.parked_since.values():
            self._claim(now - since_ms <= PATIENCE_MS, "a way back waits for the journal for more than a second")
        known, new = durable.latest(self.service), record.latest(self.service)
        if known is not None and known == new and known.phase is Phase.RETIRING:
            self.told_certified.add(known.id)

    def refused(self, answer: Any, durable: Record) -> None:
        """Nobody is told that it is too late before that is on disk."""
        if not answer.accepted and answer.body["code"] == "retiring":
            release = durable.latest(self.service)
            written = release is not None and release.phase in {Phase.RETIRING, Phase.FINISHED}
            self._claim(written, "refused as too late before the certificate was on disk")

    # ---- operations

    def landed(self, landed: Landed, now_durable: Record) -> None:
        """An operation changed a route."""
        sent = landed.pending.context
        assert isinstance(sent, Sent)
        before, after = landed.before, landed.after
        adopted = sent.durable.services.get(self.service)
        if adopted is None:
            raise ViolationError("a service that was never adopted was written")
        self._claim(not self._maintained(sent), "written in maintenance")
        release = sent.durable.running(self.service)
        home = adopted.active if release is None or release.phase.swapped else release.origin
        if release is not None and release.id in sent.forbidden:
            home = release.origin
        away = home.other
        if after.share_bp(away) > before.share_bp(away):
            self._raise(landed, sent, release, away)
            self._ended_since(release, now_durable, away)
        if any(_moves(one, after, home) for one in self._known(landed, sent)):
            dead = sent.down[home] == sent.servers and sent.down[away] < sent.servers
            self._claim(not dead, f"users moved to {home}, which has no server, while {away} lives")
        ordered = sent.ordered.running(self.service)
        climbs = ordered is not None and ordered.phase is Phase.SHIFTING and ordered.share_bp > 0
        if climbs and not after.share_bp(away):
            reading = sent.readings.get(landed.instance)
            seen = reading.services[self.service].runtime.values() if isinstance(reading, InstanceReading) else ()
            early = any(after.keep_bp(away) > one.keep_bp(away) for one in seen)
            self._claim(not early, f"the sessions of {away} are honoured again before its share rises")
        self._claim(after.keep_bp(home) == BP_FULL, f"the sessions of {home} were taken away")
        if after.share_bp(away) and after.share_bp(away) >= before.share_bp(away):
            kept = after.keep_bp(away) == BP_FULL or after.keep_bp(away) >= before.keep_bp(away)
            self._claim(kept, f"{away} gets new users, but its sessions are not honoured")

    def _known(self, landed: Landed, sent: Sent) -> Collection[Route]:
        """What was read where this landed when it was sent: what somebody changed there since, nobody could know."""
        reading = sent.readings.get(landed.instance)
        if not isinstance(reading, InstanceReading):
            return [landed.before]
        seen = reading.services[self.service]
        known = seen.runtime.values() if landed.place is Place.RUNTIME else [seen.boot]
        return [one for one in known if one is not None] or [landed.before]

    def _maintained(self, sent: Sent) -> bool:
        release = sent.ordered.running(self.service)
        going_back = release is not None and release.phase is Phase.ROLLING_BACK
        return (sent.durable.maintenance or sent.durable.services[self.service].maintenance) and not going_back

    def _raise(self, landed: Landed, sent: Sent, release: Release | None, away: Colour) -> None:
        what = f"{landed.before}→{landed.after} ({landed.place.value})"
        if release is None or release.phase.ended:
            raise ViolationError(f"raised at rest: {what}")
        operation = landed.pending.operation
        reading = sent.readings.get(landed.instance)
        if isinstance(reading, InstanceReading):
            self._claim(reading.taken_at > sent.durable_at, f"raised by a reading from before the decision: {what}")
        self._claim(not self._climbed_over(landed, release), f"climbed over a reload: {what}")
        self._claim(release.id not in sent.forbidden, f"raised after a way back: {what}")
        self._claim(release.phase in {Phase.SHIFTING, Phase.BAKING}, f"raised in {release.phase}: {what}")
        self._claim(landed.after.share_bp(away) <= release.share_bp, f"raised above the durable record: {what}")
        self._claim(operation.fence == sent.durable.rev, f"raised before the decision was durable: {what}")
        self._claim(sent.token is Token.GO, f"raised with the token {sent.token}: {what}")
        self._claim(sent.up[away] == sent.servers, f"raised while the candidate was not healthy: {what}")
        self._claim(not sent.unknown, f"raised while an earlier operation might still land: {what}")
        for name in self.instances:
            reading = sent.readings.get(name)
            readable = isinstance(reading, InstanceReading) and sent.at - reading.taken_at <= STALE_MS
            self._claim(readable, f"raised while {name} could not be read: {what}")

    def _climbed_over(self, landed: Landed, release: Release) -> bool:
        """Whether this generation came up below the target that is still in force: it had to be taken as a step."""
        born = self.born_low.get(landed.instance)
        return born == (release.id, release.epoch)

    def reloaded(self, balancer: Balancer, durable: Record) -> None:
        """A generation came up."""
        release = durable.running(self.service)
        self.born_low.pop(balancer.name, None)
        if release is not None and balancer.routes.share_bp(release.to) < release.share_bp:
            self.born_low[balancer.name] = (release.id, release.epoch)

    def edited(self, balancer: Balancer) -> None:
        """A person changed a route: what a generation came up with is no longer seen."""
        self.born_low.pop(balancer.name, None)

    def overwrote(self, pending: Pending, balancer: Balancer, routes: Route, place: Place) -> None:
        """A raise is bound to what was read: whatever somebody else did since then is not undone unseen."""
        sent = pending.context
        assert isinstance(sent, Sent)
        reading = sent.readings[balancer.name]
        assert isinstance(reading, InstanceReading)
        seen = reading.services[self.service]
        unseen = reading.generation != balancer.newest or seen.runtime.get(reading.generation) != routes
        self._claim(not unseen, f"a raise ({place.value}) landed on what was not read before: {routes}")

    def _ended_since(self, release: Release | None, durable: Record, away: Colour) -> None:
        now = durable.latest(self.service)
        if release is None or now is None:
            return
        over = now.phase.ended or now.id != release.id
        self._claim(not over or now.to is not away, f"an operation of release {release.id} raised after its end")

    def reply(self, answer: Any, durable: Record, ordered: Record, *, failing: bool) -> None:
        """Somebody is told that something was accepted, or refused."""
        if answer.request_id in self.ways_back and not answer.accepted:
            self._claim(answer.body["code"] != "journal", "a rollback waits for the journal")
        if answer.request_id in self.ways_back and answer.accepted:
            release = ordered.latest(self.service)
            assert release is not None
            goes_back = release.phase in {Phase.ROLLING_BACK, Phase.ROLLED_BACK} or release.id != answer.body["release"]
            self._claim(goes_back, "told as going back, and it does not")
        if answer.accepted and answer.after_rev > durable.rev:
            silent = answer.goes_back  # Its token is marked: it waits for no disk for long.
            self._claim(failing or silent, f"told as accepted before it was durable: {answer.body}")
            self._claim(answer.body.get("phase") == Phase.ROLLING_BACK.value, f"told without a journal: {answer.body}")

    def _claim(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise ViolationError(otherwise)


def _moves(before: Route, after: Route, home: Colour) -> bool:
    """Whether this sends new users or sessions home."""
    return after.share_bp(home) > before.share_bp(home) or after.keep_bp(home.other) < before.keep_bp(home.other)
