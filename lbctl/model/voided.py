"""What stays known of a certificate that somebody made void who came after all."""

from dataclasses import dataclass

from lbctl.model.units import Instant, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """A pool was proved unused, and somebody came all the same: who comes seldom is not there between two calls.

    It is forgotten with the next claim, or when the pool serves again; a new certificate stands beside it.
    """

    at: Instant
    by: str = "a late request"
    """What made it void, in a word."""
    why: str
    """What came and through whom, as far as that is known."""
    named: bool = False
    """Whether `why` has a caller, and not only a load balancer."""
    unused: Span
    """For how long nobody had come before."""
    quiet: Span
    """For so long must nobody come now, until it may be certified again."""
    times: int = 1
    """How often in a row."""
