"""Which addresses a webhook may go to: never the cloud's metadata service or a link's neighbours, and this host only
when the URL says so itself, so that a name under somebody else's control cannot point us inwards."""

import asyncio
import ipaddress
import socket
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

_METADATA = frozenset(map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "168.63.129.16")))
_NAMES_OF_THIS_HOST = {"localhost", "ip6-localhost"}


class Forbidden(OSError):
    """The address may not be reached by a webhook."""


def fault(address: str, *, loopback_ok: bool) -> str | None:
    """Return why `address` may not be reached, or None."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or getattr(found, "sixtofour", None) or found
    if inner in _METADATA or inner.is_link_local:
        return "a link-local or metadata address"
    if inner.is_unspecified or inner.is_multicast:
        return "not the address of one host"
    return "this host, and the url does not say so" if inner.is_loopback and not loopback_ok else None


def literal(host: str) -> bool | None:
    """Return whether `host` literally says this host; None when it is a name that must be resolved."""
    if host in _NAMES_OF_THIS_HOST:
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return None


class CarefulResolver(AbstractResolver):
    """Resolves names in a thread of its own (a slow name server delays nobody else) and refuses forbidden answers."""

    def __init__(self, *, loopback_ok: bool) -> None:
        self._loopback_ok = loopback_ok
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="webhook-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of `host`. Raises Forbidden if any of them is forbidden: a name is good or it is not."""
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _lookup, host, port, family)
        for result in found:
            why = fault(result["host"], loopback_ok=self._loopback_ok)
            if why:
                raise Forbidden(f"{host} is {result['host']}: {why}")
        return found

    async def close(self) -> None:
        """Let the thread go when it has ended."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _lookup(host: str, port: int, family: socket.AddressFamily) -> list[ResolveResult]:
    infos = socket.getaddrinfo(host, port, family=family, type=socket.SOCK_STREAM)
    return [
        ResolveResult(hostname=host, host=str(address[0]), port=int(address[1]), family=kind, proto=proto,
                      flags=socket.AI_NUMERICHOST)
        for kind, _, proto, _, address in infos
    ]  # fmt: skip
