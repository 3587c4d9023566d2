"""A pytest plugin: which test calls which function of the core, and then every mutant in a fork with those tests.

Everything is imported and collected once. A mutant costs a fork; its tests run in the order of what they cost, until
the first one fails. Only that a test failed is heard, never why.
"""

import cProfile
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import CodeType

import pytest

from tests.mutation.damage import Mutant
from tests.mutation.patching import function_of, patch

TESTS_S = 60.0
"""So long, by what they took with the sound core, the tests of one mutant are."""
STUCK_FACTOR, STUCK_LEAST_S = 8, 20
"""A mutant whose tests take so many times what they should runs in a circle: that is noticed, too."""


@dataclass
class Trial:
    """The plugin. `survived` and `killed` are filled while pytest runs."""

    mutants: Sequence[Mutant]
    killed: dict[str, str] = field(default_factory=dict)
    survived: list[Mutant] = field(default_factory=list)
    untested: list[Mutant] = field(default_factory=list)
    _calls: dict[CodeType, set[int]] = field(default_factory=lambda: defaultdict(set))
    _took_s: list[float] = field(default_factory=list)
    _failed: bool = False

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        sound = [number for number, item in enumerate(session.items) if self._runs(item, number)]
        if len(sound) < len(session.items):
            broken = [one.nodeid for number, one in enumerate(session.items) if number not in sound]
            print(f"left out, they fail with the sound core: {broken}", flush=True)
        for mutant in self.mutants:
            self._try(mutant, session.items, set(sound))
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Hear whether a test failed."""
        self._failed |= report.failed

    def _runs(self, item: pytest.Item, number: int) -> bool:
        """Run a test with the sound core and take down what it calls."""
        self._failed = False
        profile = cProfile.Profile(subcalls=False, builtins=False)
        began = time.process_time()
        profile.enable()
        try:
            self._run(item)
        finally:
            profile.disable()
        self._took_s.append(time.process_time() - began)
        for entry in profile.getstats():
            self._calls[entry.code].add(number)
        return not self._failed

    @staticmethod
    def _run(item: pytest.Item) -> None:
        item.ihook.pytest_runtest_protocol(item=item, nextitem=None)

    def _try(self, mutant: Mutant, items: Sequence[pytest.Item], sound: set[int]) -> None:
        code = function_of(mutant.module, mutant.function).__code__
        tests = self._chosen(sorted(self._calls[code] & sound, key=lambda number: self._took_s[number]))
        if not tests:
            self.untested.append(mutant)
            self._say("untested", mutant)
            return
        fate = self._forked(mutant, [items[number] for number in tests], sum(self._took_s[number] for number in tests))
        if fate:
            self.killed[mutant.name] = fate
            self._say(fate, mutant)
        else:
            self.survived.append(mutant)
            self._say(f"survived {len(tests)} tests", mutant)

    def _chosen(self, tests: Sequence[int]) -> list[int]:
        found, total = [], 0.0
        for number in tests:
            total += self._took_s[number]
            if total > TESTS_S and found:
                break
            found.append(number)
        return found

    def _say(self, what: str, mutant: Mutant) -> None:
        print(f"{what}: {mutant.name} (line {mutant.line})", flush=True)

    def _forked(self, mutant: Mutant, items: Sequence[pytest.Item], expected_s: float) -> str:
        """Return how it was noticed; empty if it was not."""
        sys.stdout.flush()
        pid = os.fork()
        if not pid:
            os._exit(self._in_child(mutant, items, expected_s))
        _, status = os.waitpid(pid, 0)
        if os.WIFSIGNALED(status):
            return "it runs in a circle"
        return "a test failed" if os.WEXITSTATUS(status) else ""

    def _in_child(self, mutant: Mutant, items: Sequence[pytest.Item], expected_s: float) -> int:
        limit_s = int(max(STUCK_LEAST_S, STUCK_FACTOR * expected_s))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, limit_s)
        try:
            patch(mutant)
            self._failed = False
            for item in items:
                self._run(item)
                if self._failed:
                    return 1
        except BaseException:  # noqa: BLE001
            return 1
        return 0
