"""A pytest plugin: in which test a mutant would make a difference, and then every mutant in a fork with those tests.

Everything is imported and collected once. A mutant costs a fork; its tests run in the order of what they cost, until
the first one fails. Only that a test failed is heard, never why. One that differs in no test costs nothing.
"""

import gc
import os
import pickle
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from tests import shop
from tests.mutation.damage import Mutant
from tests.mutation.differing import Watching
from tests.mutation.patching import patch

TESTS_S = 60.0
"""So long, by what they took while they were watched, the tests of one mutant are."""
STUCK_FACTOR, STUCK_LEAST_S = 8, 20
"""A mutant whose tests take so many times what they should runs in a circle: that is noticed, too."""


def forget() -> None:
    """Make tests build anew what they keep for each other: it was built by the sound core."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tests."):
            for one in vars(module).values():
                if hasattr(one, "cache_clear"):
                    one.cache_clear()
    shop.OPENED.clear()


@dataclass
class Trial:
    """The plugin. `survived`, `killed` and `untested` (it differs in no test) are filled while pytest runs."""

    mutants: Sequence[Mutant]
    jobs: int = 1
    tests_s: float = TESTS_S
    killed: list[Mutant] = field(default_factory=list)
    survived: list[Mutant] = field(default_factory=list)
    untested: list[Mutant] = field(default_factory=list)
    _differ: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    _took_s: list[float] = field(default_factory=list)
    _running: dict[int, tuple[Mutant, int]] = field(default_factory=dict)
    _failed: bool = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        broken = [session.items[number].nodeid for number in sorted(self._watched(session.items))]
        if broken:
            print(f"left out, they fail with the sound core: {broken}", flush=True)
        # What is here already is looked through by no collection: a fork then copies only what it changes.
        gc.collect()
        gc.freeze()
        for number, mutant in enumerate(self.mutants):
            self._try(mutant, session.items, list(self._chosen(self._differ[number])))
        while self._running:
            self._heard()
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear whether a test failed."""
        self._failed |= report.failed

    def _watched(self, items: Sequence[pytest.Item]) -> Iterator[int]:
        """Run every test with the sound core, in as many processes as there may be; yield those that fail."""
        watching = Watching(self.mutants)
        sys.stdout.flush()
        parts = [self._forked(part, items, watching) for part in range(self.jobs)]
        self._took_s = [0.0] * len(items)
        for pid, source in parts:
            with os.fdopen(source, "rb") as told:
                found = pickle.load(told)
            os.waitpid(pid, 0)
            for number, took_s, differing in found:
                self._took_s[number] = took_s
                if differing is None:
                    yield number
                for mutant in differing or ():
                    self._differ[mutant].append(number)

    def _forked(self, part: int, items: Sequence[pytest.Item], watching: Watching) -> tuple[int, int]:
        source, sink = os.pipe()
        pid = os.fork()
        if not pid:
            watching.begin()
            numbers = range(part, len(items), self.jobs)
            with os.fdopen(sink, "wb") as told:
                pickle.dump([(number, *self._runs(items[number], watching)) for number in numbers], told)
            os._exit(0)
        os.close(sink)
        return pid, source

    def _runs(self, item: pytest.Item, watching: Watching) -> tuple[float, set[int] | None]:
        """Return how long a test took, and which mutants would differ in it; None: it failed."""
        self._failed = False
        watching.taken()
        began = time.process_time()
        self._run(item)
        return time.process_time() - began, None if self._failed else watching.taken()

    @staticmethod
    def _run(item: pytest.Item) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def _chosen(self, tests: Sequence[int]) -> Iterator[int]:
        total = 0.0
        for at, number in enumerate(sorted(tests, key=lambda number: self._took_s[number])):
            total += self._took_s[number]
            if total > self.tests_s and at:
                return
            yield number

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item], tests: Sequence[int]) -> None:
        if not tests:
            self._say("differs in no test", mutant, self.untested)
            return
        while len(self._running) >= self.jobs:
            self._heard()
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            expected_s = sum(self._took_s[number] for number in tests)
            os._exit(self._in_child(mutant, [items[number] for number in tests], expected_s))
        self._running[pid] = mutant, len(tests)

    def _heard(self) -> None:
        """Wait for the end of one that runs."""
        pid, status = os.wait()
        mutant, tests = self._running.pop(pid)
        if os.WIFSIGNALED(status):
            self._say("it runs in a circle", mutant, self.killed)
        elif os.WEXITSTATUS(status):
            self._say("a test failed", mutant, self.killed)
        else:
            self._say(f"survived {tests} tests", mutant, self.survived)

    @staticmethod
    def _say(what: str, mutant: Mutant, group: list[Mutant]) -> None:
        group.append(mutant)
        print(f"{what}: {mutant.name} (line {mutant.line})", flush=True)

    def _in_child(self, mutant: Mutant, items: Sequence[pytest.Item], expected_s: float) -> int:
        limit_s = int(max(STUCK_LEAST_S, STUCK_FACTOR * expected_s))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        try:
            patch(mutant)
            forget()
            self._failed = False
            for item in items:
                self._run(item)
                if self._failed:
                    return 1
        except BaseException:  # noqa: BLE001
            return 1
        return 0
