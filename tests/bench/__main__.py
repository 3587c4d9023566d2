"""`make bench`: every bench, one after the other; fails at the end if one missed a goal. `ARGS=memory`: that one.

Figures are kept in `tests/bench/figures` whatever they are, and shown in docs/reference/promises.md after `make docs`.
"""

import subprocess
import sys

BENCHES = (
    "cli_start",
    "memory",
    "haproxy_thousand",
    "loop_lag",
    "simulator",
    "prober_vs_haproxy",
    "socket_census",
    "request_log",
    "envoy_tunnel",
    "reaction",
)


def main(names: list[str]) -> int:
    """Run them in processes of their own: what one imported is no memory of another."""
    missed = []
    for name in names or BENCHES:
        print(f"-- {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"tests.bench.{name}"], check=False).returncode:
            missed.append(name)
    if missed:
        print(f"missed or broken: {', '.join(missed)}", flush=True)
    return bool(missed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
