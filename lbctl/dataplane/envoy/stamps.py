"""Whether the listeners of an Envoy that others configured tell callers apart. Pure: JSON in, sentences out.

What a listener says about who calls stands in the same words as in what lbctl renders, see `listeners`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lbctl.dataplane.envoy.callers import DIRECT, OVERWRITE, SOURCE, STAMP, listening
from lbctl.dataplane.envoy.dump import at, listed, text
from lbctl.dataplane.envoy.layout import tunnel_name
from lbctl.model.topology import PinKind, Protocol, Service

Said = Mapping[str, str]
"""What a door writes: header → value; empty: it is removed."""


def faults(service: Service, managers: Sequence[Any], proxies: Sequence[Any]) -> Iterator[str]:
    """Yield why consumer pools cannot be told apart; `managers` route this service, `proxies` are all those of TCP."""
    kinds = {consumer.kind for consumer in service.consumers.values()}
    tunnels = [one for one in proxies if text(one, "cluster") == tunnel_name(service.name)]
    doors = [*map(_of_proxy, tunnels)] if service.protocol is Protocol.TCP else [*map(_of_manager, managers)]
    for caller, address in listening(service):
        if not any(said.get(STAMP) == str(caller) for said in doors):
            yield f"no listener writes `{STAMP}: {caller}`, as the one on {address} should"
    if PinKind.LISTENER in kinds and not all(STAMP in said for said in doors):
        yield f"a listener lets clients write {STAMP} themselves: it must remove or overwrite it"
    if (kinds - {PinKind.LISTENER} or service.preview) and not all(said.get(SOURCE) == DIRECT for said in doors):
        yield f"a listener does not write `{SOURCE}: {DIRECT}`, so a source address tells nothing"


def _of_manager(manager: Any) -> Said:
    said: dict[str, str] = {}
    for extension in listed(at(manager, "early_header_mutation_extensions")):
        for one in listed(at(extension, "typed_config", "mutations")):
            if removed := text(one, "remove"):
                said[removed.lower()] = ""
            said |= _written(at(one, "append"))
    return said


def _of_proxy(proxy: Any) -> Said:
    """The request is Envoy's own: no client has written anything into it, so a header that is not set is as removed."""
    said: dict[str, str] = {STAMP: ""}
    for one in listed(at(proxy, "tunneling_config", "headers_to_add")):
        said |= _written(one)
    return said


def _written(option: Any) -> Said:
    """Anything but overwriting leaves what a client wrote."""
    key, value = text(option, "header", "key"), text(option, "header", "value")
    return {key.lower(): value} if key and text(option, "append_action") == OVERWRITE else {}
