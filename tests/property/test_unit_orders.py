"""In no order of claim, deploy, ready, withdraw, cancel, newer build, crash, reload and time does a pair talk that
cannot; and what is parked on the board keeps nobody from going who could."""

from dataclasses import dataclass, field

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lbctl.core.claims import claim_granted
from lbctl.core.contracts import fits
from lbctl.core.matrix import UNKNOWN_FOR
from lbctl.model.names import Colour, ServiceName
from lbctl.model.record import Contract
from lbctl.model.request import Cancel, Claim, Rollback
from lbctl.model.units import HOUR, MINUTE, Instant, after
from tests.shop import LB1, LB2, A, B, Shop

Word = tuple[str, int]

WORDS = st.tuples(
    st.sampled_from(
        [
            *("build A", "build B") * 3,
            *("claim A", "claim B", "deploy A", "deploy B", "ready A", "ready B") * 2,
            *("ask A", "ask B", "take A", "take B"),
            *("withdraw A", "withdraw B", "cancel", "back", "wait", "sick A", "sick B", "well", "stranger"),
            *("crash", "reload", "quarter", "hour", "fortnight"),
        ]
    ),
    st.integers(0, 4),
)
OFFERS = ((1,), (2,), (1, 2), (2, 3), (3,))
WANTS = ("1", ">=1", ">=2", "2", ">=3")


@dataclass(slots=True)
class Job:
    """One build of a team, as far as it has come. It does what it was told that it may, however late."""

    build: str
    colour: Colour
    version: int | None = None
    contract: Contract = field(default_factory=Contract)


class Pipelines:
    """Two teams at one shop, each with any number of jobs at once. Contracts say truly who speaks with whom."""

    def __init__(self) -> None:
        self.shop = Shop(users=6)
        self.version = 1
        self.jobs: dict[ServiceName, list[Job]] = {A: [], B: []}
        """Those that were told that they may deploy, and have not said ready."""
        self.offers: dict[int, tuple[int, ...]] = {1: (1,)}
        self.wants: dict[int, str] = {1: "1"}

    def do(self, word: str, number: int) -> None:
        """Carry out one word."""
        shop, verb = self.shop, word.split(maxsplit=1)[0]
        service = A if word.endswith("A") else B
        match verb:
            case "build":
                self._build(service, number)
            case "claim" | "take":
                self._claim(service, take_over=verb == "take")
            case "deploy" | "ready":
                for job in self.jobs[service][-1 - number :][:1]:
                    self._go_on(service, job, number, says=verb == "ready")
            case "ask":
                # A claim that nobody waits for: the next word comes before its grant.
                self.version += 1
                shop.ask(Claim(id=10_000 + self.version, actor="ci", service=service, build=f"asked/{self.version}"))
            case "withdraw":
                shop.withdraw(service)
            case "cancel" | "back":
                self._end(Cancel if verb == "cancel" else Rollback)
            case "sick":
                shop.down.add((service, shop.active(service).other))
            case "well":
                shop.down.clear()
            case "stranger":
                shop.strangers = not shop.strangers
            case _:
                self._befall(verb, number)
        shop.run(number * 2 if verb != "wait" else 5 + number * 8)

    def _befall(self, verb: str, number: int) -> None:
        match verb:
            case "crash":
                self.shop.crash()
            case "reload":
                self.shop.reload(LB1 if number % 2 else LB2)
            case "quarter":  # A release that is not proved by then is over; claims and the board stand.
                self.shop.now = Instant(self.shop.now + 15 * MINUTE)
            case "hour":
                self._out_of_time()
                self.shop.now = Instant(self.shop.now + HOUR)
            case "fortnight":
                self._out_of_time()
                self.shop.now = Instant(self.shop.now + 14 * 24 * HOUR)

    def speak(self, consumer: int, provider: int) -> bool:
        """Whether two versions can talk."""
        return any(fits(self.wants[consumer], one) for one in self.offers[provider])

    def rest(self) -> None:
        """Wait until nothing moves any more."""
        shop, still = self.shop, 0
        shop.down.clear()
        shop.strangers = False
        shop.now = after(shop.now, UNKNOWN_FOR)
        for _ in range(1_500):
            rev = shop.state.record.rev
            shop.tick()
            still = still + 1 if shop.state.record.rev == rev else 0
            if still > 40:
                return
        raise AssertionError(f"it never came to rest: {shop.release}")

    def _build(self, service: ServiceName, number: int) -> None:
        job = self._claim(service)
        if job is not None:
            self._deploy(service, job, number)
            assert self._ready(service, job)

    def _go_on(self, service: ServiceName, job: Job, number: int, *, says: bool) -> None:
        if says:
            self._ready(service, job)
        else:
            self._deploy(service, job, number)

    def _claim(self, service: ServiceName, *, take_over: bool = False) -> Job | None:
        if take_over:  # A person ends the other jobs first.
            self.jobs[service].clear()
        self.version += 1
        build = f"build/{self.version}"
        answer = self.shop.claim(service, build, take_over=take_over)
        if not answer.accepted:
            return None
        self.jobs[service].append(Job(build, Colour(answer.body["colour"])))
        return self.jobs[service][-1]

    def _deploy(self, service: ServiceName, job: Job, number: int) -> None:
        shop = self.shop
        self.version += 1
        job.version = self.version
        if service == A:
            self.offers[self.version] = OFFERS[number]
            job.contract = Contract(provides={"accounts-api": OFFERS[number]})
        else:
            self.wants[self.version] = WANTS[number]
            job.contract = Contract(requires={"accounts-api": WANTS[number]})
        for consumer in self.wants:
            shop.speaks[consumer] = frozenset(one for one in self.offers if self.speak(consumer, one))
        shop.deployed[service, job.colour] = self.version

    def _ready(self, service: ServiceName, job: Job) -> bool:
        if job.version is None:
            return False
        if job in self.jobs[service]:
            self.jobs[service].remove(job)
        return self.shop.ready(service, job.version, job.contract, job.build).accepted

    def _out_of_time(self) -> None:
        """A job lasts no longer than its claim."""
        for jobs in self.jobs.values():
            jobs.clear()

    def _end(self, kind: type[Cancel | Rollback]) -> None:
        release = self.shop.release
        if release is not None and not release.phase.ended:
            self.shop.on_release(kind)


TWO_JOBS = [("claim A", 0), ("claim A", 0), ("deploy A", 2), ("ready A", 1), ("wait", 0), ("deploy A", 4)]
"""The second job deploys when the first one's version has its first traffic."""


@example(TWO_JOBS)
@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS, max_size=10))
def test_a_pair_that_cannot_talk_never_does_and_nothing_that_could_go_is_kept_back(order: list[Word]) -> None:
    played(order)


@pytest.mark.long
@settings(max_examples=2_000, deadline=None)
@given(st.lists(WORDS, max_size=16))
def test_the_same_in_two_thousand_longer_orders(order: list[Word]) -> None:
    played(order)


def played(order: list[Word]) -> None:
    """Play an order of events to its rest, and look at what talked and at what still stands."""
    pipelines = Pipelines()
    shop = pipelines.shop
    for word, number in order:
        pipelines.do(word, number)
    pipelines.rest()
    assert shop.mismatched == []
    assert shop.wronged == set()
    assert shop.failed_users == 0
    record = shop.state.record
    assert all(release.phase.ended for release in record.releases.values())
    now = {name: int(record.services[name].pool(record.services[name].active).version) for name in (A, B)}
    ready = {name: int(one.version) for name, one in record.board.items() if claim_granted(shop.state, name)}
    assert set(ready) == set(record.board)
    for provider in {now[A], ready.get(A, now[A])}:
        for consumer in {now[B], ready.get(B, now[B])}:
            parked = (consumer, provider) != (now[B], now[A])
            assert not (parked and pipelines.speak(consumer, provider)), f"{consumer} and {provider} could go"
