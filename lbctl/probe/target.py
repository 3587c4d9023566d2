"""What is to be probed: one value per server, checked where it is made and again where the worker reads it."""

import socket
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from lbctl.model.topology import Probe

TARGETS_MAX = 20_000
INTERVAL_MS = (50, 3_600_000)
TIMEOUT_MS = (10, 60_000)
TEXT_MAX = 2_048
COMMAND_WORDS_MAX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One server and how it is asked.

    `ip` is a numeric IPv4 or IPv6 address without brackets. `host` is the Host header (empty: the address). `status`
    is inclusive. `tls_ca` is a PEM file (empty: the system's store), `tls_name` what the certificate must carry
    (empty: the address). `command` is run without a shell with LBCTL_SERVER, LBCTL_HOST and LBCTL_PORT; exit 0 = up.

    Raises:
        ValueError: a value is outside its bounds; the text names the key and the value.
    """

    key: str
    kind: Probe
    ip: str
    port: int
    path: str = "/"
    host: str = ""
    status: tuple[int, int] = (200, 399)
    interval_ms: int = 1_000
    timeout_ms: int = 500
    keep_alive: bool = False
    tls_ca: str = ""
    tls_name: str = ""
    command: tuple[str, ...] = ()
    server: str = ""

    def __post_init__(self) -> None:
        for fault in _faults(self):
            raise ValueError(f"probe target {self.key[:100]!r}: {fault}")

    @property
    def family(self) -> socket.AddressFamily:
        """The address family of `ip`."""
        return socket.AF_INET6 if ":" in self.ip else socket.AF_INET

    @property
    def authority(self) -> str:
        """The Host header: as given, or the address."""
        shown = f"[{self.ip}]" if ":" in self.ip else self.ip
        return self.host or f"{shown}:{self.port}"

    def to_wire(self) -> dict[str, Any]:
        """Return what `from_wire` reads, leaving out what is default."""
        return {name: value for name, value in asdict(self).items() if value != _DEFAULTS.get(name)}

    @classmethod
    def from_wire(cls, raw: object) -> "Target":
        """Read a target that came over the wire.

        Raises:
            ValueError: not a target; the text says what is wrong.
        """
        if not isinstance(raw, Mapping) or not raw.keys() <= _TYPES.keys():
            raise ValueError(f"not a probe target: {str(raw)[:100]!r}")
        values: dict[str, Any] = {name: _TYPES[name](value) for name, value in raw.items()}
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"not a probe target: {error}") from None


def _faults(target: Target) -> list[str]:
    """Return what is wrong with a target, in words."""
    lowest, highest = target.status
    bounds = (
        (target.key and len(target.key) <= 512, "its key is empty or longer than 512 characters"),
        (_numeric(target), f"{target.ip!r} is not a numeric IPv4 or IPv6 address"),
        (1 <= target.port <= 65_535, f"port {target.port} is not within 1..65535"),
        (
            _plain(target.path) and target.path.startswith("/"),
            "its path must start with / and be plain ASCII",
        ),
        (_plain(target.host) and _plain(target.tls_name), "its host or TLS name must be plain ASCII"),
        (100 <= lowest <= highest <= 599, f"status range {lowest}-{highest} is not within 100-599"),
        (
            _within(target.interval_ms, INTERVAL_MS),
            f"interval {target.interval_ms} ms is not within {INTERVAL_MS}",
        ),
        (
            _within(target.timeout_ms, TIMEOUT_MS),
            f"timeout {target.timeout_ms} ms is not within {TIMEOUT_MS}",
        ),
        (
            (target.kind is Probe.COMMAND) == bool(target.command),
            "a command goes with kind `command`, and only there",
        ),
        (_runnable(target.command), f"a command has at most {COMMAND_WORDS_MAX} words and no NUL characters"),
    )
    return [fault for holds, fault in bounds if not holds]


def _numeric(target: Target) -> bool:
    try:
        socket.inet_pton(target.family, target.ip)
    except (OSError, ValueError):
        return False
    return True


def _plain(text: str) -> bool:
    """No blanks and no control characters: nothing that could end a request line or a header."""
    return len(text) <= TEXT_MAX and all("!" <= c <= "~" for c in text)


def _within(value: int, bounds: tuple[int, int]) -> bool:
    return bounds[0] <= value <= bounds[1]


def _runnable(command: tuple[str, ...]) -> bool:
    return len(command) <= COMMAND_WORDS_MAX and all("\0" not in word and len(word) <= TEXT_MAX for word in command)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ValueError(f"expected text, not {str(value)[:50]!r}")


def _whole(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError(f"expected a whole number, not {str(value)[:50]!r}")


def _flag(value: object) -> bool:
    if isinstance(value, bool):
        return value
    raise ValueError(f"expected true or false, not {str(value)[:50]!r}")


def _range(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2:
        return _whole(value[0]), _whole(value[1])
    raise ValueError(f"expected two whole numbers, not {str(value)[:50]!r}")


def _words(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(_text(word) for word in value)
    raise ValueError(f"expected a list of words, not {str(value)[:50]!r}")


_TYPES: dict[str, Callable[[object], object]] = {
    **dict.fromkeys(("key", "ip", "path", "host", "tls_ca", "tls_name", "server"), _text),
    **dict.fromkeys(("port", "interval_ms", "timeout_ms"), _whole),
    "kind": lambda value: Probe(_text(value)),
    "status": _range,
    "keep_alive": _flag,
    "command": _words,
}
_DEFAULTS = {field.name: field.default for field in fields(Target)}
