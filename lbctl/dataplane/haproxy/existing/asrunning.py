"""What HAProxy would say of a backend while it runs, read from its config: so that one table judges both. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from lbctl.dataplane.haproxy.existing.findings import Finding, Weight, mode_of
from lbctl.dataplane.haproxy.existing.sections import Section
from lbctl.dataplane.haproxy.existing.servers import Server, servers
from lbctl.dataplane.haproxy.limits import limits, stickiness, wrong_mode
from lbctl.dataplane.haproxy.obstacles import obstacles
from lbctl.dataplane.haproxy.serverstate import State
from lbctl.dataplane.haproxy.weighed import Backend, Weighed, pools_of
from lbctl.model.names import Colour, ServerName
from lbctl.model.topology import HaproxyForm, Service

NOT_OF_A_TEXT = ("NOT_DURABLE", "SERVER_WITHOUT_COOKIE")
"""What only a running HAProxy knows, and what is found in either form."""


def backend_of(section: Section) -> Backend:
    """Return a backend as `show stat` would."""
    rows = {ServerName(one.name): _weighed(one) for one in servers(section)}
    cookie = section.inherited("cookie")
    balance = section.inherited("balance")
    return Backend(
        rows,
        algorithm=balance[-1].rest[0] if balance and balance[-1].rest else "",
        cookie=cookie[-1].rest[0] if cookie and cookie[-1].rest else "",
        mode=mode_of(section),
    )


def _weighed(one: Server) -> Weighed:
    agent = "L7OK" if "agent-check" in one.flags else ""
    backup = "backup" in one.flags
    return Weighed(serving=True, weight=weight_of(one), agent=agent, cookie=one.cookie, backup=backup)


def weight_of(one: Server) -> int:
    """Return the configured weight; HAProxy's default is 1."""
    text = one.values.get("weight", "1")
    return min(int(text), 256) if text.isascii() and text.isdigit() and len(text) < 5 else 1


def binds_users(section: Section) -> bool:
    """Whether a stick table of this backend names servers."""
    return any(line.rest[:1] in {("on",), ("match",), ("store-request",), ("store-response",)}
               for line in section.own("stick"))  # fmt: skip


def said(service: Service, sections: Mapping[Colour, Section]) -> Iterator[Finding]:
    """Yield what a running HAProxy would be said to lack with this config; an obstacle is a fault."""
    where = str(sections[Colour.BLUE].place)
    hard, soft = _texts(service, sections)
    for text in hard:
        code, _, what = text.partition(": ")
        told, _, fix = what.rpartition(": ")
        yield Finding(code, Weight.FAULT, where, told or what, fix if told else "")
    for text in soft:
        code, _, what = text.partition(": ")
        yield Finding(code, Weight.NOTE, where, what, "")


def _texts(service: Service, sections: Mapping[Colour, Section]) -> tuple[list[str], list[str]]:
    assert service.haproxy is not None
    distinct = _distinct(service, sections)
    names = [section.name for section in distinct]
    seen = [backend_of(section) for section in distinct]
    tables = {section.name: binds_users(section) for section in distinct}
    sticky = stickiness(names, seen, tables)
    hard = [*wrong_mode(service, names, seen)]
    if service.haproxy.form is HaproxyForm.WEIGHTS:
        pools = pools_of(service, seen[0])
        states = {ServerName(one.name): _state(one) for one in servers(distinct[0])}
        every = obstacles(service, seen[0], pools, states, uptime_s=0)
        hard += [text for text in every if not text.startswith(NOT_OF_A_TEXT)]
    return hard, [*limits(service, sticky)]


def _distinct(service: Service, sections: Mapping[Colour, Section]) -> Sequence[Section]:
    one_only = service.haproxy is not None and service.haproxy.form is HaproxyForm.WEIGHTS
    return [sections[colour] for colour in Colour if colour in sections][: 1 if one_only else 2]


def _state(one: Server) -> State:
    return State("", "", weight_of(one), weight_of(one), 0, "")
