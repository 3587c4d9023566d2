"""How a hook may reach the candidate before its users do. Pure."""

from collections.abc import Mapping
from dataclasses import replace

from lbctl.model.names import Colour
from lbctl.model.preview import HEADER
from lbctl.model.topology import Address, Service

ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what a wildcard is called by from this host


def way(service: Service, candidate: Colour) -> Mapping[str, object] | None:
    """Return where users of `service` come in and what a request must say to be answered by the candidate.

    None: it has no preview. The address is empty where the config does not know it (`listen`).
    """
    if not service.preview:
        return None
    headers = {HEADER: candidate.value}
    return {"service": service.name, "pool": candidate.value, "url": _url(service), "headers": headers}


def _url(service: Service) -> str:
    if service.listen is None:
        return ""
    called: Address = replace(service.listen, host=ANYWHERE.get(service.listen.host, service.listen.host))
    return f"{'https' if service.listen_tls else 'http'}://{called}"
