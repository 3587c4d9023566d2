"""HAProxy's server-state file of one backend: the boot value of its weights. Text and file, nothing else.

lbctl writes the weights and leaves everything else to HAProxy's config and checks: no server is kept down or in
maintenance by the file, so an old file can bring back an old share, which is read back and put right, but no old fault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lbctl.dataplane.patience import Patience
from lbctl.dataplane.slotfile import SlotFile
from lbctl.model.digits import whole
from lbctl.model.names import ServerName, ServiceName
from lbctl.model.topology import Instance

FIELDS = (
    "be_id", "be_name", "srv_id", "srv_name", "srv_addr", "srv_op_state", "srv_admin_state", "srv_uweight",
    "srv_iweight", "srv_time_since_last_change", "srv_check_status", "srv_check_result", "srv_check_health",
    "srv_check_state", "srv_agent_state", "bk_f_forced_id", "srv_f_forced_id", "srv_fqdn", "srv_port", "srvrecord",
)  # fmt: skip
"""Those of the format's version 1 that must be there; HAProxy takes lines without the later ones."""
NUMBERS = ("srv_uweight", "srv_iweight", "srv_time_since_last_change", "srv_admin_state")
DRAINED = 0x08 | 0x10
"""Bits of `srv_admin_state`: by an order, or after another server."""
HEAD = f"1\n# {' '.join(FIELDS)}\n# Written by lbctl after every change of a weight.\n"
UNCHANGED_MIN_S = 60
"""A server that has been in its state for longer than its process lives shows that the file was loaded."""
LINE_BYTES = 256
BLOCK_BYTES = 4_096
PADDING = b"\n"
"""HAProxy skips empty lines."""


@dataclass(frozen=True, slots=True)
class State:
    """One server. HAProxy takes `weight` only while its config has `configured` for this server."""

    backend_id: str
    number: str
    weight: int
    configured: int
    unchanged_s: int
    port: str
    drained: bool = False
    """Whether somebody ordered it. A server of weight 0 is shown as drained whatever was ordered."""


States = Mapping[ServerName, State]


def state_path(instance: Instance, service: ServiceName) -> Path:
    """Return where the file is, as HAProxy's config must name it, too."""
    return Path(instance.directory) / f"{service}.state"


def parse_states(backend: str, lines: Sequence[str]) -> dict[ServerName, State] | None:
    """Return the servers of a file or of a `show servers state` answer; None if it is neither."""
    if not lines or lines[0].strip() != "1":
        return None
    found: dict[ServerName, State] = {}
    for line in lines[1:]:
        fields = line.split()
        if len(fields) < len(FIELDS) or line.startswith("#") or fields[1] != backend:
            continue
        one = dict(zip(FIELDS, fields, strict=False))
        numbers = [number for key in NUMBERS if (number := whole(one[key])) is not None]
        if len(numbers) < len(NUMBERS):
            return None
        weight, configured, unchanged, admin = numbers
        drained = bool(admin & DRAINED)
        state = State(one["be_id"], one["srv_id"], weight, configured, unchanged, one["srv_port"], drained)
        # The first of two equal lines counts, as in HAProxy.
        found.setdefault(ServerName(one["srv_name"]), state)
    return found


def rendered(backend: str, states: States) -> bytes:
    """Return the file's content: every server runs, in nobody's maintenance, for its check to confirm."""
    lines = (
        f"{one.backend_id} {backend} {one.number} {name} - 2 0 {one.weight} {one.configured} "
        f"{max(one.unchanged_s, UNCHANGED_MIN_S)} 1 0 0 0 0 0 0 - {one.port} -\n"
        for name, one in states.items()
    )
    return (HEAD + "".join(lines)).encode()


class StateFile:
    """The file of one service. It is read at every look and hardly ever changes: what it said is remembered."""

    def __init__(self, instance: Instance, service: ServiceName, backend: str) -> None:
        self.path = state_path(instance, service)
        self._backend = backend
        self._last: tuple[bytes | None, dict[ServerName, State] | None] = (None, None)

    def read(self) -> dict[ServerName, State] | None:
        """Return what HAProxy would read at its next start; None if there is nothing to use. Raises OSError."""
        raw = SlotFile(self.path, 0, PADDING).read()
        before, said = self._last
        if raw != before:
            lines = [] if raw is None else raw.decode("utf-8", "replace").splitlines()
            said = parse_states(self._backend, lines)
            self._last = (raw, said)
        return said

    def write(self, states: States, patience: Patience | None = None) -> None:
        """Replace the file, durably. `patience`: see `SlotFile.write`. Raises OSError, ValueError."""
        blocks = 1 + (len(HEAD) + len(states) * LINE_BYTES) // BLOCK_BYTES
        SlotFile(self.path, blocks * BLOCK_BYTES, PADDING).write(rendered(self._backend, states), patience)
