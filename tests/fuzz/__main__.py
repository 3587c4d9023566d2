"""`python -m tests.fuzz NAME… [--seconds S] [--runs N]`: look for what breaks a parser; what is found joins its corpus.

With atheris, where it is installed, guided by coverage; else by damage at random. A finding does not end the run: the
first of each kind and place is kept as `corpus/NAME/found-…`, and the exit code is 1.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
import traceback
from importlib.util import find_spec

from tests.fuzz.damage import damaged

SLOWER = 10
"""A parser that is watched takes so much longer."""


class Findings:
    """What a target did that it may not do."""

    def __init__(self, name: str) -> None:
        from tests.fuzz.targets import TARGETS

        self.target = TARGETS[name]
        self.count = 0
        self._seen: set[str] = set()

    def take(self, data: bytes) -> None:
        """Feed the target once."""
        self.count += 1
        began = time.process_time()
        try:
            self.target.fed(data)
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            self._found(data, f"{type(error).__name__} at {_place(error)}: {str(error)[:100]}")
        took_ms = (time.process_time() - began) * 1_000
        if took_ms > self.target.most_ms * SLOWER:
            self._found(data, f"slow at {len(data) >> 12} times 4 KiB: {took_ms:.0f} ms")

    def _found(self, data: bytes, what: str) -> None:
        kind = what.partition(": ")[0]
        if kind in self._seen:
            return
        self._seen.add(kind)
        path = self._path(data)
        path.write_bytes(data)
        print(f"FOUND {self.target.name}: {what} ({path.name})", flush=True)

    def _path(self, data: bytes):
        from tests.fuzz.targets import CORPUS

        return CORPUS / self.target.name / f"found-{hashlib.sha256(data).hexdigest()[:10]}"

    def told(self) -> None:
        """Print how many there were."""
        print(f"{self.target.name}: {self.count} executions, {len(self._seen)} findings", flush=True)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if "/lbctl/" in one.filename] or list(frames)
    return f"{ours[-1].filename.rpartition('/lbctl/')[2]}:{ours[-1].lineno}"


def blind(name: str, seconds: float, runs: int) -> Findings:
    """Damage at random until the time is over."""
    findings = Findings(name)
    samples = findings.target.corpus
    until = time.process_time() + seconds
    seed = int.from_bytes(os.urandom(6))
    while findings.count < runs and time.process_time() < until:
        findings.take(damaged(samples, seed + findings.count))
    return findings


def guided(name: str, seconds: float, runs: int) -> None:
    """Let coverage guide the damage. Never returns: the library ends the process."""
    import atheris

    with atheris.instrument_imports(include=["lbctl"]):
        findings = Findings(name)

    def take(data: bytes) -> None:
        findings.take(data)
        if time.process_time() > until or findings.count >= runs:
            findings.told()
            os._exit(bool(findings._seen))

    from tests.fuzz.targets import CORPUS

    until = time.process_time() + seconds
    fresh = tempfile.mkdtemp(prefix=f"lbctl-fuzz-{name}-")
    atheris.Setup([name, fresh, str(CORPUS / name), "-max_len=65536", "-timeout=60", "-verbosity=0"], take)
    atheris.Fuzz()


def main() -> int:
    """Run every target that is named, each in a process of its own."""
    asked = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    asked.add_argument("names", nargs="*", default=[], metavar="NAME")
    asked.add_argument("--seconds", type=float, default=60.0)
    asked.add_argument("--runs", type=int, default=10**9)
    asked.add_argument("--blind", action="store_true", help="without atheris")
    asked.add_argument("--only", help=argparse.SUPPRESS)
    options = asked.parse_args()
    is_blind = options.blind or find_spec("atheris") is None
    if options.only:
        if not is_blind:
            guided(options.only, options.seconds, options.runs)
        findings = blind(options.only, options.seconds, options.runs)
        findings.told()
        return bool(findings._seen)
    limits = ["--seconds", str(options.seconds), "--runs", str(options.runs), *(["--blind"] if is_blind else [])]
    from tests.fuzz.targets import TARGETS

    command = [sys.executable, "-m", "tests.fuzz", *limits, "--only"]
    return max(subprocess.run([*command, name], check=False).returncode for name in options.names or TARGETS)


if __name__ == "__main__":
    sys.exit(main())
