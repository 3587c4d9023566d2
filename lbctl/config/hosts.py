"""Addresses: `IPv4:port`, `[IPv6]:port`, or `name:port`, resolved once, when the config is loaded, in bounded time."""

import ipaddress
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence

from lbctl.config.quantity import shown
from lbctl.model.topology import Address

Resolve = Callable[[str], Sequence[str]]
"""Returns the numeric addresses of a name. Raises OSError with the reason."""

LOOKUP_TIMEOUT_S = 2.0
LOOKUPS_TOTAL_S = 6.0

_PORT = re.compile(r"[1-9][0-9]{0,4}")
_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?")
_NUMERIC = re.compile(r"[0-9.]+")


def system_resolve(host: str) -> Sequence[str]:
    """Ask this host's resolver. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(info[4][0]) for info in found})


class Names:
    """Resolves each name once. A slow name server costs at most LOOKUPS_TOTAL_S in a whole config."""

    def __init__(
        self, resolve: Resolve, *, lookup_s: float = LOOKUP_TIMEOUT_S, total_s: float = LOOKUPS_TOTAL_S
    ) -> None:
        self._resolve = resolve
        self._known: dict[str, str] = {}
        self._lookup_s = lookup_s
        self._left_s = total_s

    def address(self, host: str) -> str:
        """Return the only address of `host`.

        Raises:
            ValueError: none or several, or no answer in time; the text says which.
        """
        if host not in self._known:
            self._known[host] = self._only(host)
        return self._known[host]

    def _only(self, host: str) -> str:
        found = list(dict.fromkeys(_plain(ipaddress.ip_address(text)) for text in self._bounded(host)))
        if len(found) != 1:
            some = ", ".join(found[:4]) or "none"
            raise ValueError(f"{host} has {len(found)} addresses ({some}), not one")
        return found[0]

    def _bounded(self, host: str) -> Sequence[str]:
        """Look up in a thread, because the system's resolver cannot be interrupted; a late one is left behind."""
        answer: list[Sequence[str] | OSError] = []
        began = time.monotonic()
        thread = threading.Thread(target=_answer, args=(self._resolve, host, answer), daemon=True)
        if self._left_s > 0:
            thread.start()
            thread.join(min(self._lookup_s, self._left_s))
            self._left_s -= time.monotonic() - began
        found = answer[0] if answer else TimeoutError(0, "no answer in time")
        if isinstance(found, OSError):
            raise ValueError(f"{host} cannot be resolved: {found.strerror or found}")  # noqa: TRY004
        return found


def _answer(resolve: Resolve, host: str, answer: list[Sequence[str] | OSError]) -> None:
    try:
        answer.append(resolve(host))
    except OSError as error:
        answer.append(error)
    except UnicodeError as error:
        answer.append(OSError(0, f"not a host name: {error}"))


def parse_address(text: str, names: Names | None) -> Address:
    """Return the address; a name is resolved if `names` is given.

    Raises:
        ValueError: it is not an address; the text says why, without a next step.
    """
    host, port = _split(text)
    if not _PORT.fullmatch(port) or int(port) > 65_535:
        raise ValueError(f"{shown(port)} is not a port within 1..65535")
    return Address(_host(host, names), int(port))


def _split(text: str) -> tuple[str, str]:
    host, colon, port = text.rpartition(":")
    if not colon or host.endswith(":") or text.endswith("]"):
        raise ValueError(f"{shown(text)} has no port")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ValueError(f"{shown(text)}: an IPv6 address needs brackets")
    return host, port


def _host(host: str, names: Names | None) -> str:
    if host.startswith("["):
        return _plain(_ipv6(host[1:-1]))
    if _NUMERIC.fullmatch(host):
        try:
            return str(ipaddress.IPv4Address(host))
        except ValueError:
            raise ValueError(f"{shown(host)} is not an IPv4 address") from None
    if not _NAME.fullmatch(host):
        raise ValueError(f"{shown(host)} is not an address and not a host name")
    if names is None:
        raise ValueError(f"{shown(host)} is a name, and only an address can be listened on")
    return names.address(host)


def _plain(found: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """An IPv4 address that is written as IPv6 is that IPv4 address: the kernel makes one connection of both."""
    return str(getattr(found, "ipv4_mapped", None) or found)


def _ipv6(text: str) -> ipaddress.IPv6Address:
    try:
        found = ipaddress.IPv6Address(text)
    except ValueError:
        raise ValueError(f"{shown(text)} is not an IPv6 address") from None
    if found.scope_id:
        raise ValueError(f"{shown(text)} has a zone, which cannot be routed")
    return found
