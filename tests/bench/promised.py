"""The numbers that lbctl promises, and where each was last measured: the second table of docs/reference/promises.md."""

from dataclasses import dataclass

LONG = "make test-long ARGS='-k {}'"
BENCH = "make bench ARGS={}"


@dataclass(frozen=True, slots=True)
class Number:
    """One promise in figures. `kept` are files of `tests/bench/figures`, each with the keys that belong to it (none:
    all); `run` measures it anew."""

    what: str
    goal: str
    kept: tuple[tuple[str, ...], ...]
    run: str


def _each(stem: str, *names: str, keys: tuple[str, ...] = ()) -> tuple[tuple[str, ...], ...]:
    return tuple((f"{stem}-{name}", *keys) for name in names)


NUMBERS = (
    Number(
        "failed requests in full releases under load, with cookies, keep-alive, WebSockets and 10 s transactions",
        "0 of ≥ 100,000",
        _each("releases", "envoy", "haproxy", "weights", keys=("failed", "cut"))
        + _each("pairs", "envoy", "haproxy", keys=("failed",)),
        LONG.format("hundred_thousand_requests"),
    ),
    Number(
        "mismatched calls between services of a unit, background calls of idle pools too",
        "0",
        _each("pairs", "envoy", "haproxy", keys=("mismatched",)),
        LONG.format("pair_after_pair"),
    ),
    Number(
        "sessions that change colour against policy",
        "0",
        _each("releases", "envoy", "haproxy", "weights", keys=("moved",)),
        LONG.format("release_after_release"),
    ),
    Number(
        "candidate 100 % bad at 10 %, 1,000 requests/s: first bad answer to the later of the last user request it got "
        "and share and keep read back at 0",
        "p50 ≤ 0.6 s, max of 50 ≤ 1 s",
        _each("back", "envoy", "haproxy", "weights"),
        LONG.format("as_fast_as_promised"),
    ),
    Number(
        "false rollbacks and detection, 18,000 healthy releases of nine kinds, 40 faults",
        "[every line](judge-figures.md) holds",
        (("judge",),),
        "make bench-judge ARGS=--write",
    ),
    Number(
        "`kill -9` of lbctld under load: right again after the start, nothing lost, nobody harmed",
        "≤ 2 s",
        _each("kills", "envoy", "haproxy"),
        LONG.format("sixty_kills"),
    ),
    Number(
        "attached Envoy restarted in mid-step until read back equals the record",
        "≤ 1 s",
        (("restarts-envoy",),),
        LONG.format("forty_restarts"),
    ),
    Number(
        "prober: CPU of a fresh HTTP check against HAProxy's own; false failures; memory",
        "≤ 1.5 x at 1,000/s, ≤ 1.75 x at 5,000/s; 0 at twice the load; ≤ 24 MB, ≤ 2 KB an endpoint",
        (("prober_vs_haproxy",),),
        BENCH.format("prober_vs_haproxy"),
    ),
    Number(
        "lateness of decisions beside a load balancer, a hook, names or a disk that hang",
        "p99 ≤ 20 ms",
        _each("beside", "balancer", "hook", "names", "disk"),
        LONG.format("beside_what_hangs"),
    ),
    Number("lateness of decisions with 5,000 endpoints", "p99 ≤ 20 ms", (("loop_lag",),), BENCH.format("loop_lag")),
    Number(
        "`show stat` of 1,000 servers read; 1,000 weights set",
        "≤ 3 ms CPU where `csv.reader` takes 7; ≤ 20 ms",
        (("haproxy_thousand",),),
        BENCH.format("haproxy_thousand"),
    ),
    Number(
        "census of sockets against `ss` with the same filter",
        "≤ 0.5 x its CPU",
        (("socket_census",),),
        BENCH.format("socket_census"),
    ),
    Number(
        "request log: CPU of a line, lines lost, lateness in a flood",
        "≤ 2.5 x receiving alone; 0; ≤ 20 ms",
        (("request_log",),),
        BENCH.format("request_log"),
    ),
    Number(
        "memory of lbctld at rest, its prober besides, one more endpoint",
        "≤ 64 MB, ≤ 24 MB, ≤ 2 KB",
        (("memory",),),
        BENCH.format("memory"),
    ),
    Number(
        "simulator: ticks of the core with faults and invariants",
        "1 M a run, 0 violations",
        (("million_ticks",), ("simulator",)),
        LONG.format("million_ticks"),
    ),
    Number(
        "start of the command line, CPU against a bare interpreter",
        "≤ 12 x",
        (("cli_start",),),
        BENCH.format("cli_start"),
    ),
    Number(
        "reaction in a coffee break: the same as above, 10 runs",
        "p50 ≤ 0.6 s, max ≤ 1 s",
        (("reaction",),),
        BENCH.format("reaction"),
    ),
    Number(
        "soak: a release every 30 s, each with a trouble",
        "0 failed requests, ≥ 1,000 flips an hour, memory, files and disk flat",
        (("soak-haproxy",),),
        "make soak",
    ),
    Number(
        "mutants of the decision core that a test notices",
        "≥ 90 %",
        (("mutants",),),
        "make mutants ARGS=--keep",
    ),
)
