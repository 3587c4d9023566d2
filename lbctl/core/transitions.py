"""The edges of a release's life, as one table. Guards are in `rules`; the picture in the docs is drawn from this.

`rolling_back` has no edge to any phase in which the candidate could get more traffic: it is latched. `retiring` has no
edge back: its first certificate says that the old pool may be stopped.
"""

from lbctl.model.record import Phase

EDGES: dict[Phase, frozenset[Phase]] = {
    Phase.PREFLIGHT: frozenset({Phase.AWAITING_APPROVAL, Phase.SHIFTING, Phase.CANCELLED}),
    Phase.AWAITING_APPROVAL: frozenset({Phase.SHIFTING, Phase.CANCELLED}),
    Phase.SHIFTING: frozenset({Phase.SHIFTING, Phase.BAKING, Phase.ROLLING_BACK}),
    Phase.BAKING: frozenset({Phase.SHIFTING, Phase.DRAINING, Phase.ROLLING_BACK}),
    Phase.DRAINING: frozenset({Phase.RETIRING, Phase.FINISHED, Phase.ROLLING_BACK}),
    Phase.RETIRING: frozenset({Phase.RETIRING, Phase.FINISHED}),
    Phase.ROLLING_BACK: frozenset({Phase.ROLLED_BACK}),
    Phase.FINISHED: frozenset(),
    Phase.ROLLED_BACK: frozenset(),
    Phase.CANCELLED: frozenset(),
}


def may_go(here: Phase, there: Phase) -> bool:
    """Whether the table has this edge (staying in a phase is always allowed)."""
    return here is there or there in EDGES[here]
