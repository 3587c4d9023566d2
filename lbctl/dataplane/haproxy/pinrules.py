"""The lines of HAProxy's config that tell consumer pools apart, obey their pins, and count their calls.

Who calls is known from the listener, the address or the header; everybody else is unknown, and follows the split. A pin
is stronger than session and split, and a pinned call never goes to the other pool, also not when its own is empty.

Calls are counted where they reach a pool, so a call that comes in past these rules is counted, too, as unknown. The
table stands in a `peers` section of its own, which is disabled and sends nothing: HAProxy empties the table of a proxy
when a reload stops it, while old workers go on routing.
"""

from collections.abc import Callable, Iterator, Sequence

from lbctl.dataplane.haproxy import templates
from lbctl.dataplane.haproxy.callers import BY_HEADER, addresses, callers_path, looks_at_addresses, table_of
from lbctl.model.errors import Garbled
from lbctl.model.names import Colour, ServiceName
from lbctl.model.route import UNKNOWN
from lbctl.model.topology import Address, HaproxyForm, Instance, PinKind, Protocol, Service

Word = Callable[[str, str], str]
"""Takes a text and what it is, and returns it if it is one plain word to HAProxy. Raises Garbled."""
CELL_BYTES = 160
CELLS_MAX = "1k"

FROM = {
    PinKind.LISTENER: templates.FROM_LISTENER,
    PinKind.SOURCE: templates.FROM_ADDRESS,
    PinKind.HEADER: templates.FROM_HEADER,
}
RULE = {True: "tcp-request content", False: "http-request"}
REFUSE = {True: "reject", False: "return status 503 hdr x-lbctl-refused pin"}
COUNTER = {True: "conn_cnt", False: "http_req_cnt"}


def binds(service: Service, bind: Callable[[Address], str], word: Word) -> str:
    """Return what follows the `bind` of the service's own address: one for each consumer pool told by its listener."""
    taken = {service.listen}
    lines = []
    for caller in service.callers:
        consumer = service.consumers[caller.service]
        if consumer.kind is not PinKind.LISTENER:
            continue
        where = f"services.{service.name}.consumers.{caller.service}.{caller.colour}"
        at = consumer.listeners[caller.colour]
        if at in taken:
            raise Garbled(f"{where}: {at} is taken, and callers that share a listener cannot be told apart by it")
        taken.add(at)
        address, _, remark = bind(at).partition(" ")
        lines.append(f"\n    bind {address} name {word(str(caller), where)} {remark}".rstrip())
    return "".join([*lines, "\n    option socket-stats"]) if lines else ""


def rules(instance: Instance, service: Service, services: Sequence[Service], state: str, word: Word) -> tuple[str, str]:
    """Return the lines before those that choose a colour, and those after. `state` is the state map.

    Raises:
        Garbled: callers cannot be told apart as configured; the text says why.
    """
    tcp = service.protocol is Protocol.TCP
    if not service.callers:
        return _stripped(service, services, word), ""
    _check(service)
    addresses(service, services)
    file = word(str(callers_path(instance, service.name)), "map_dir")
    at = templates.AT.format(rule=RULE[tcp], file=file) if looks_at_addresses(service) else ""
    told = at + "".join(_told(service, RULE[tcp], word)) + _stripped(service, services, word)
    pins = templates.PINS.format(rule=RULE[tcp], told=told, name=service.name, map=state, refuse=REFUSE[tcp])
    return pins, templates.STAY.format(rule=RULE[tcp])


def counted(service: Service, colour: Colour) -> str:
    """Return the lines of a backend that count calls."""
    if not service.callers:
        return ""
    tcp = service.protocol is Protocol.TCP
    return templates.COUNT.format(rule=RULE[tcp], unknown=UNKNOWN, colour=colour, table=table_of(service.name))


def table(service: Service) -> str:
    """Return the section that holds the counts."""
    if not service.callers:
        return ""
    section, _, name = table_of(service.name).partition("/")
    counter = COUNTER[service.protocol is Protocol.TCP]
    return templates.TABLE.format(section=section, table=name, length=CELL_BYTES, size=CELLS_MAX, counter=counter)


def _check(service: Service) -> None:
    where = f"services.{service.name}"
    if service.haproxy is not None and service.haproxy.form is HaproxyForm.WEIGHTS:
        raise Garbled(f"{where}: form weights cannot pin callers: write `form: map`, or remove `consumers`")
    headers = (name for name, consumer in service.consumers.items() if consumer.kind is PinKind.HEADER)
    if service.protocol is Protocol.TCP and (name := next(headers, None)):
        raise Garbled(f"{where}.consumers.{name}: TCP has no headers: use `pin: listener`")


def _told(service: Service, rule: str, word: Word) -> Iterator[str]:
    """Yield a rule for each consumer, the surest ones first."""
    surest = list(FROM)
    for name, consumer in sorted(service.consumers.items(), key=lambda pair: (surest.index(pair[1].kind), pair[0])):
        where = f"services.{service.name}.consumers.{name}"
        names = " ".join(word(f"{name}-{colour}", where) for colour in Colour)
        header = _header(service, name, word) if consumer.kind is PinKind.HEADER else ""
        yield FROM[consumer.kind].format(rule=rule, names=names, header=header, by_header=BY_HEADER)


def _stripped(service: Service, services: Sequence[Service], word: Word) -> str:
    """No user can say which consumer pool he is: neither here nor through a consumer that passes his headers on."""
    if service.protocol is Protocol.TCP:
        return ""
    headers = {
        _header(provider, name, word)
        for provider in services
        for name, consumer in provider.consumers.items()
        if consumer.kind is PinKind.HEADER and service.name in {provider.name, name}
    }
    return "".join(f"    http-request del-header {header}\n" for header in sorted(headers))


def _header(service: Service, consumer: ServiceName, word: Word) -> str:
    where = f"services.{service.name}.consumers.{consumer}"
    header = service.consumers[consumer].header
    if not header:
        raise Garbled(f"{where}.header is needed with `pin: header`: add its name")
    return word(header, f"{where}.header")
