"""Draws the reference pages that come from the code: `python docs/generate.py` writes them anew.

`tests/house/test_docs.py` fails when a committed page and its table in the code differ, or when a new phase, edge or
event has no words here.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from lbctl.core.transitions import EDGES
from lbctl.daemon.message_ids import MESSAGE_IDS
from lbctl.daemon.metrics.catalogue import METRICS, Metric
from lbctl.doctor.catalogue import CODES
from lbctl.model.entry import Kind
from lbctl.model.record import Phase, PoolState
from lbctl.notify.words import WORDS

REFERENCE = Path(__file__).parent / "reference"
CATALOG = Path(__file__).parents[1] / "systemd" / "lbctl.catalog"

PHASES: dict[Phase, str] = {
    Phase.PREFLIGHT: "No traffic yet. Every instance must answer, every candidate server must be healthy.",
    Phase.AWAITING_APPROVAL: "Everything is proved; people of `approvals.group` must say yes before first traffic.",
    Phase.SHIFTING: "The candidate has a share of new traffic. It climbs step by step.",
    Phase.BAKING: "All new traffic is on the candidate. The old pool is full and warm.",
    Phase.DRAINING: "The candidate has become active. The old pool is the way back until it is certified.",
    Phase.RETIRING: "An old pool is certified: no way back by rollback (`lbctl undo`). The next ones are being proved.",
    Phase.FINISHED: "Ended. Every old pool is certified; or `unproven`, and what is not certified stays `draining`.",
    Phase.ROLLING_BACK: "Latched. The candidate's share is set to 0; nothing leads back up.",
    Phase.ROLLED_BACK: "Ended. All new traffic is on the pool that was active before.",
    Phase.CANCELLED: "Ended before first traffic. Nothing was moved.",
}

ARROWS: dict[tuple[Phase, Phase], str] = {
    (Phase.PREFLIGHT, Phase.SHIFTING): "everything is proved on every instance",
    (Phase.PREFLIGHT, Phase.AWAITING_APPROVAL): "everything is proved, approvals are missing",
    (Phase.PREFLIGHT, Phase.CANCELLED): "a person; a newer build is claimed; `deadlines.preflight` is over",
    (Phase.AWAITING_APPROVAL, Phase.SHIFTING): "approved, and everything is proved still",
    (Phase.AWAITING_APPROVAL, Phase.CANCELLED): "a person; a newer build is claimed; `deadlines.approval` is over",
    (Phase.SHIFTING, Phase.SHIFTING): "next step; `promote`; a lower share after a reload or a change by hand",
    (Phase.SHIFTING, Phase.BAKING): "100 % is read back everywhere",
    (Phase.SHIFTING, Phase.ROLLING_BACK): "a person; the judge; all candidate servers down; `hold.max` with rollback",
    (Phase.BAKING, Phase.SHIFTING): "a reload or a change by hand lowered the share",
    (Phase.BAKING, Phase.DRAINING): "`bake` is over and nothing holds; `promote`",
    (Phase.BAKING, Phase.ROLLING_BACK): "a person; the judge; all candidate servers down",
    (
        Phase.DRAINING,
        Phase.RETIRING,
    ): "`retain` is over, the carrier's old pool proved unused: no way back",
    (Phase.DRAINING, Phase.FINISHED): "not proved by the later of `retain` and `drain.limit`: outcome `unproven`",
    (Phase.RETIRING, Phase.RETIRING): "the next certificate: consumers first, providers when those are stopped",
    (Phase.RETIRING, Phase.FINISHED): "every old pool is certified; or no further certificate within `drain.limit`",
    (Phase.DRAINING, Phase.ROLLING_BACK): "a person; all servers of the new pool down while the old pool lives",
    (Phase.ROLLING_BACK, Phase.ROLLED_BACK): "every instance reads back share 0, runtime and boot value",
}

POOLS: dict[PoolState, str] = {
    PoolState.ACTIVE: "Takes the traffic of its service.",
    PoolState.CANDIDATE: "The pool a running release goes to.",
    PoolState.DRAINING: "Takes no new traffic, but may still serve sessions. Nobody proved that it is unused.",
    PoolState.IDLE: "Apart: no share, no session honoured; what it calls by a pin is refused at rest. It was "
    "certified, or claimed. Whether it is proved unused now is another question, which `certified` answers: a "
    "late request, a caller past the load balancers, or a load balancer that cannot speak for it any more, makes that "
    "void and leaves the state.",
}

EVENTS: dict[Kind, str] = {
    Kind.SERVICE_ADOPTED: "A person said which pool is active. From now on lbctl writes.",
    Kind.VERSION_READY: "A version is deployed, and goes as soon as its unit has a set that fits.",
    Kind.VERSION_WITHDRAWN: "A version left the board: by CI, by `deadlines.board`, or because its plan refuses it.",
    Kind.VERSION_WAITS: "A version has been ready for another day and could not go; what it waits for.",
    Kind.POOL_CLAIMED: "An idle pool is held to be deployed to.",
    Kind.POOL_EMPTIED: "A claimed pool serves nobody any more: what its servers call is refused from now on.",
    Kind.POOL_GRANTED: "A claimed pool is proved to be apart everywhere: it may be deployed to.",
    Kind.CLAIM_ENDED: "A claim was given back, or nothing was ready within `deadlines.claim`: it is held no more.",
    Kind.MAINTENANCE_CHANGED: "Maintenance was switched on or off.",
    Kind.FREEZE_CHANGED: "A person made, changed or removed a freeze window.",
    Kind.RELEASE_STARTED: "A release was accepted and recorded. No traffic has moved.",
    Kind.APPROVAL_AWAITED: "Everything is proved; what is missing is approval.",
    Kind.APPROVAL_GIVEN: "Somebody of the group approved the release.",
    Kind.REASON_GIVEN: "Somebody said why a release went back, after it did.",
    Kind.STEP_STARTED: "The target share was raised; the text carries the numbers that allowed it.",
    Kind.STEP_RETREATED: "Worse than active was before and too little of active to compare with: the share goes down.",
    Kind.STEP_RETURNED: "After a retreat active turned out to be the worse pool: the retreat is taken back, and held.",
    Kind.STEP_REACHED: "The target share is read back from every instance.",
    Kind.BAKE_STARTED: "100 % is reached; the proving time at 100 % begins.",
    Kind.SESSIONS_MOVED: "The last sessions of a draining pool were moved, or move with their next request.",
    Kind.SESSIONS_KEPT: "The deadline of sessions is over: those that are left stay where they are.",
    Kind.SESSIONS_CLOSING: "The deadline of sessions is over: those that are left are moved, and then cut off.",
    Kind.CONNECTIONS_CLOSED: "What was left of an old pool after the deadline was closed by force; the text counts it.",
    Kind.CONNECTIONS_STAY: "What is left of an old pool is to be closed by force, and a load balancer does not; why.",
    Kind.DRAIN_STARTED: "The candidate has become the active pool.",
    Kind.SESSIONS_CLOSED: "No request came to an old pool for `drain.idle`: its sessions are not honoured any more.",
    Kind.POOL_CERTIFIED: "An old pool is proved unused: who looked, what was counted, since when. It may be stopped.",
    Kind.POOL_STOPPED: "Somebody says that a certified pool is stopped: it calls nobody any more.",
    Kind.CERTIFICATE_VOID: (
        "A certified pool got a late request, or a program of lbctl's host calls it past its load balancers (`page`): "
        "do not stop it, find who still uses it. As a `warning`: a load balancer cannot speak for "
        "it any more, or it was not written in time; it is proved anew."
    ),
    Kind.SERVER_DRAINED: "A person drains a server: it keeps its sessions and gets no new ones.",
    Kind.SERVER_UNDRAINED: "A person lets a drained server be ready again.",
    Kind.RELEASE_CUT_SHORT: "Somebody undoes a release that retires: it ends without further certificates.",
    Kind.RELEASE_FINISHED: (
        "The release ended with the new pool active. As a `warning`: outcome `unproven`, an old pool may be in use."
    ),
    Kind.RELEASE_CANCELLED: "The release ended before first traffic.",
    Kind.ROLLBACK_STARTED: "The way back was taken; `by` says whether by itself or by a person.",
    Kind.ROLLBACK_BLOCKED: "The way back would lead to a pool that is worse off. Repair that pool.",
    Kind.ROLLBACK_FINISHED: "All new traffic is on the old pool again, read back everywhere.",
    Kind.RELEASE_PAUSED: "A person paused the release. The share stays.",
    Kind.RELEASE_RESUMED: "A person resumed it; latched holds are cleared.",
    Kind.HOLD_STARTED: "The release waits for a reason that stood for a second.",
    Kind.HOLD_ENDED: "Nothing holds the release any more.",
    Kind.HOLD_PAGED: "The hold needs a person, or has lasted too long with traffic.",
    Kind.DRIFT_FOUND: "A load balancer routes otherwise than ordered: it is put right, or the target follows it.",
    Kind.DRIFT_CORRECTED: "Traffic that was changed from outside was set right.",
    Kind.INSTANCE_RELOADED: "A load balancer was reloaded or restarted.",
    Kind.INSTANCE_LOST: "A load balancer cannot be read.",
    Kind.INSTANCE_FOUND: "It answers again.",
    Kind.SERVER_CHANGED: "Servers went down, came up or became unknown. Told within some seconds; what changes "
    "together is one entry, and one that comes and goes is told ever more rarely. A server of a pool that is claimed "
    "(somebody deploys to it), or that is only unknown, must stay so for 30 s first.",
    Kind.CHECKER_SUSPECTED: "Health checks of both pools flipped at once: the checker is not believed.",
    Kind.JOURNAL_FAILED: "The journal cannot be written, or was found damaged. Nothing goes forward.",
    Kind.JOURNAL_RECOVERED: "The journal is written again.",
    Kind.OPERATION_FAILED: "A load balancer refuses changes. Told once; the change is tried again all the time.",
    Kind.OPERATION_RECOVERED: "It has refused nothing for a minute.",
    Kind.CONFIG_RELOADED: "A new config is in force.",
    Kind.CONFIG_REFUSED: "A new config is bad; the old one stays.",
    Kind.DAEMON_STARTED: "lbctld is up.",
}

ADVICE: dict[Kind, str] = {
    Kind.VERSION_WAITS: "`lbctl why UNIT` names the partner and the contract that are missing.",
    Kind.CLAIM_ENDED: "If CI still deploys there, it must claim anew: the pool is held for nobody now.",
    Kind.APPROVAL_AWAITED: "Somebody of `approvals.group` runs `lbctl release approve NUMBER`.",
    Kind.STEP_RETREATED: "Compare the pools: `lbctl explain NUMBER`. A second retreat is left to a person.",
    Kind.CONNECTIONS_STAY: "The text says which right is missing. Nothing breaks; the old pool empties by itself.",
    Kind.CERTIFICATE_VOID: "`lbctl retired NUMBER` lists who still uses the pool. Keep its servers running.",
    Kind.ROLLBACK_STARTED: "New traffic is on its way back already. `lbctl explain NUMBER` has the numbers.",
    Kind.ROLLBACK_BLOCKED: "Repair the pool the way leads to, or decide: `lbctl why NUMBER` says what is known.",
    Kind.ROLLBACK_FINISHED: "Nothing is tried again by itself. Fix the version, deploy it, and say it is ready.",
    Kind.HOLD_STARTED: "`lbctl why NUMBER` says what it needs, until when, and what happens then.",
    Kind.HOLD_PAGED: "A person decides: `lbctl why NUMBER`, then `lbctl promote` or `lbctl rollback`.",
    Kind.DRIFT_FOUND: "Somebody or something else writes the load balancer: `lbctl doctor` looks for it.",
    Kind.INSTANCE_LOST: "See that the load balancer runs and its socket is open to lbctl: `lbctl doctor`.",
    Kind.SERVER_CHANGED: "`lbctl status SERVICE` shows every server and what its last check said.",
    Kind.CHECKER_SUSPECTED: "Look at the network of this host: most of both pools cannot have died at once.",
    Kind.JOURNAL_FAILED: "Make room on the disk of `state_dir`, or repair it. Going back works meanwhile.",
    Kind.OPERATION_FAILED: "The text says what the load balancer answered: `lbctl doctor`.",
    Kind.CONFIG_REFUSED: "`lbctl config validate FILE` names every fault with its place; then reload again.",
}
"""What to do, where a line in the journal leaves it open. The catalogue for `journalctl -x` tells it."""

GENERATED = "Made by `docs/generate.py` from the code; do not edit.\n"


def states() -> str:
    """Return docs/reference/states.md."""
    return "\n".join(_states()) + "\n"


def events() -> str:
    """Return docs/reference/events.md."""
    return "\n".join(_events()) + "\n"


def doctor() -> str:
    """Return docs/reference/doctor.md."""
    return "\n".join(_doctor()) + "\n"


def metrics() -> str:
    """Return docs/reference/metrics.md."""
    return "\n".join(_metrics()) + "\n"


def catalog() -> str:
    """Return systemd/lbctl.catalog, by which `journalctl -x` explains lines."""
    return "\n".join(_catalog())


PAGES: dict[str, Callable[[], str]] = {
    "states.md": states,
    "events.md": events,
    "doctor.md": doctor,
    "metrics.md": metrics,
}


def _states() -> Iterator[str]:
    yield f"# States\n\n{GENERATED}"
    yield "A release is always in exactly one phase. `lbctl rollback` works in every phase that is not ended.\n"
    yield "## Phases of a release\n\n| phase | what it means | ended |\n|---|---|---|"
    for phase in Phase:
        yield f"| `{phase.value}` | {PHASES[phase]} | {'yes' if phase.ended else ''} |"
    yield "\n## Edges\n\n```mermaid\nstateDiagram-v2\n    [*] --> preflight"
    for here, there in _edges():
        yield f"    {here.value} --> {there.value}"
    for phase in Phase:
        if phase.ended:
            yield f"    {phase.value} --> [*]"
    yield "```\n\n| from | to | when |\n|---|---|---|"
    for here, there in _edges():
        yield f"| `{here.value}` | `{there.value}` | {ARROWS[here, there]} |"
    yield (
        "\nThere is no edge from `rolling_back` to a phase in which the candidate could get more traffic. Flags\n"
        "beside the phase: `paused` (by a person), holds (computed at every tick, see\n"
        "[when it holds](../how-to/when-it-holds.md)), latched holds (stored, cleared by `lbctl resume`)."
    )
    yield "\n## States of a pool\n\n| state | what it means |\n|---|---|"
    for state in PoolState:
        yield f"| `{state.value}` | {POOLS[state]} |"
    yield "\nColours are only names: the two pools swap states at every release."


def _edges() -> Iterator[tuple[Phase, Phase]]:
    for here in Phase:
        for there in Phase:
            if there in EDGES[here]:
                yield here, there


def _events() -> Iterator[str]:
    yield f"# Events\n\n{GENERATED}"
    yield (
        "Every event has an id that rises, a time, a kind, a severity (`info`, `warning`, `page`), one sentence, and\n"
        "the same numbers for machines. Read them with `lbctl events`, follow them with `lbctl events --follow`, or\n"
        "from `GET /v1/events` ([api.md](api.md)). `on:` is the word by which an alert channel asks for them\n"
        "([alerts](../how-to/alerts.md)); the word `page` stands for everything of severity `page`.\n"
    )
    yield "| kind | what happened | `on:` |\n|---|---|---|"
    for kind in Kind:
        yield f"| `{kind.value}` | {EVENTS[kind]} | {_words(kind)} |"
    yield (
        "\n## In systemd's journal\n\nEach kind has a number there, so that `journalctl -x` explains its lines and\n"
        "`journalctl MESSAGE_ID=…` finds them; the text is in `systemd/lbctl.catalog`, which the package installs.\n"
    )
    yield "| kind | `MESSAGE_ID` |\n|---|---|"
    for kind in Kind:
        yield f"| `{kind.value}` | `{MESSAGE_IDS[kind.value]}` |"


def _catalog() -> Iterator[str]:
    yield f"# {GENERATED}# Explains lines of lbctld's log: journalctl -u lbctl -x\n"
    for kind in Kind:
        yield f"-- {MESSAGE_IDS[kind.value]}"
        yield f"Subject: {kind.value.replace('.', ' ')}"
        yield "Defined-By: lbctl\nDocumentation: man:lbctl(1)\n"
        yield EVENTS[kind].replace("`", "'")
        if kind in ADVICE:
            yield f"\n{ADVICE[kind].replace('`', chr(39))}"
        yield "\nService: @LBCTL_SERVICE@\nRelease: @LBCTL_RELEASE@\n"


def _doctor() -> Iterator[str]:
    yield f"# Findings of doctor\n\n{GENERATED}"
    yield (
        "`lbctl doctor` and `lbctl config import` tell findings with a code, a place, what it means here, and the\n"
        "fix. A **fault** (✖): a release would not go, or not safely; `doctor` then exits 4. A **warning** (!): it\n"
        "goes, with a loss. A **note** (-): know it. What load balancers say themselves has the codes of\n"
        "[limits](limits.md).\n"
    )
    yield "| code | what it means | what to do |\n|---|---|---|"
    for code, (what, then) in CODES.items():
        yield f"| `{code}` | {what} | {then} |"


def _metrics() -> Iterator[str]:
    yield f"# Metrics\n\n{GENERATED}"
    yield (
        "`GET /metrics` at the control socket (role `observe`), and at `daemon.metrics` where that is configured; how\n"
        "to scrape it, the alert rules and the dashboard: [metrics](../how-to/metrics.md). Names are an interface.\n"
        "Base units; ratios from 0 to 1. Counters begin at 0 with each start of lbctld. 20 servers make at most 600\n"
        "series, and the number of a release is a label of `lbctl_release_info` alone. What nobody can say has no\n"
        "series: unknown is never 0. `color` is the colour of a pool, never its role.\n"
    )
    yield "| metric | kind | labels | meaning |\n|---|---|---|---|"
    yield from map(_metric, METRICS)
    yield "\n## Buckets\n\n| histogram | upper bounds, besides `+Inf` |\n|---|---|"
    for metric in METRICS:
        if metric.buckets:
            yield f"| `{metric.name}` | {', '.join(f'{bound:g}' for bound in metric.buckets)} |"


def _metric(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind.value} | {labels} | {metric.doc} |"


def _words(kind: Kind) -> str:
    return ", ".join(f"`{word}`" for word, kinds in WORDS.items() if kind in kinds)


def main() -> None:
    """Write every page."""
    for name, page in PAGES.items():
        (REFERENCE / name).write_text(page(), encoding="utf-8")
    CATALOG.write_text(catalog(), encoding="utf-8")


if __name__ == "__main__":
    main()
