"""How an Envoy is, for people and for programs."""

from dataclasses import dataclass

from lbctl.model.names import Generation


@dataclass(frozen=True, slots=True)
class EnvoyStatus:
    """`detail` is a sentence. `faults` say why lbctl cannot drive it, `lacks` what it cannot do with it."""

    running: bool
    detail: str
    pid: int | None = None
    generation: Generation | None = None
    version: str = ""
    did: tuple[str, ...] = ()
    """What start or stop did, as sentences; empty: nothing was to do."""
    faults: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
