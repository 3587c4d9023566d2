"""Proposals from an existing config: which services, pools and bindings, each with its reason and its line. Pure.

Nothing is guessed silently: what people must fill in is an empty place that `config validate` refuses.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lbctl.dataplane.haproxy.existing import asrunning, findings
from lbctl.dataplane.haproxy.existing.checking import Checked, checked
from lbctl.dataplane.haproxy.existing.colours import Found, found, service_name
from lbctl.dataplane.haproxy.existing.evidence import doubts, is_idle
from lbctl.dataplane.haproxy.existing.findings import Finding, Weight, mode_of
from lbctl.dataplane.haproxy.existing.known import strangers
from lbctl.dataplane.haproxy.existing.routing import Bind, Choice, binds, choices
from lbctl.dataplane.haproxy.existing.sections import Document, Line, Place, Remark, Section
from lbctl.dataplane.haproxy.existing.servers import Server
from lbctl.model.names import Colour, PlaneName, ServerName, ServiceName
from lbctl.model.topology import Address, HaproxyBinding, HaproxyForm, Pool, Protocol, Service
from lbctl.model.topology import Server as Known


@dataclass(slots=True)
class Proposed:
    """One service. `active` None: the config does not say who serves now."""

    name: str
    found: Found
    protocol: Protocol
    form: HaproxyForm
    form_why: Remark
    backends: dict[Colour, str]
    cookie: str
    choices: list[Choice]
    listen: Bind | None
    tls: bool
    health: Checked
    active: Colour | None = None
    active_why: str = ""
    doubts: list[Remark] = field(default_factory=list)
    """Why its two pools may not be colours of one service; then the second one is for people to fill in."""
    fill_in: list[Remark] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    @property
    def second(self) -> Colour:
        """The pool that is in doubt where the two may not be one service's: never the one that serves."""
        return Colour.GREEN if self.active is None else self.active.other

    @property
    def place(self) -> Place:
        """Where it stands in HAProxy's config."""
        return self.found.first.place

    @property
    def missing(self) -> list[str]:
        """The backends that HAProxy's config does not have yet."""
        there = {section.name for section in self.found.backends.values()}
        return [name for name in dict.fromkeys(self.backends.values()) if name not in there]


@dataclass(slots=True)
class Proposal:
    """All of it."""

    services: list[Proposed] = field(default_factory=list)
    socket: str = ""
    left_out: list[Remark] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    not_understood: list[Remark] = field(default_factory=list)


def propose(document: Document, only: Sequence[str] = ()) -> Proposal:
    """Return what lbctl would drive of this HAProxy; `only` names backends: then nothing else is proposed."""
    made = Proposal(not_understood=[*document.not_understood, *strangers(document)])
    made.not_understood += [
        Remark(place, f"${name} is not known here: give it by --env {name}=VALUE")
        for name, place in document.unknown_variables.items()
    ]
    made.findings += findings.of_global(document)
    sockets = findings.admin_sockets(document)
    made.socket = findings.socket_path(sockets[0]) if sockets else ""
    every = choices(document)
    made.not_understood += _dynamic(every)
    for one in _wanted(found(document.of("backend", "listen")), every, only, made):
        made.services.append(_proposed(one, every, document, {service.name for service in made.services}))
    _unmet(made)
    return made


def _unmet(made: Proposal) -> None:
    """Leave out a wildcard address whose port is a server's or another service's: lbctl would take it for its own."""
    for one in made.services:
        others = [other.listen.address for other in made.services if other.listen is not None and other is not one]
        servers = [server.address for service in made.services for server in service.found.servers]
        if one.listen is not None and _meets(one.listen.address, [*others, *servers]):
            one.listen = None


def _meets(address: str, others: Sequence[str]) -> bool:
    host, _, port = address.rpartition(":")
    wild = host in {"0.0.0.0", "[::]"}  # noqa: S104
    return address in others or (wild and any(other.rpartition(":")[2] == port for other in others))


def _wanted(every: Sequence[Found], chosen: Sequence[Choice], only: Sequence[str], made: Proposal) -> Iterator[Found]:
    """Whole services, or those that were named; one pool alone is proposed only where there is nothing better."""
    used = {choice.target for choice in chosen}
    whole = any(not one.single for one in every)
    for one in every:
        names = [section.name for section in one.backends.values()]
        reached = bool(used & set(names)) or any(choice.may_name(names) for choice in chosen)
        reached = reached or any(one.kind == "listen" for one in one.backends.values())
        if only:
            if set(only) & {*names, one.stem}:
                yield one
        elif not reached:
            made.left_out.append(Remark(one.first.place, f"{' and '.join(names)}: no frontend sends traffic there"))
        elif one.single and whole:
            then = f"if it is released by colours, add its second pool and say --only {names[0]}"
            made.left_out.append(Remark(one.first.place, f"{names[0]} has one pool; {then}"))
        else:
            yield one


def _dynamic(every: Sequence[Choice]) -> Iterator[Remark]:
    for choice in every:
        if choice.dynamic and choice.named is None:
            text = f"`use_backend {choice.target}`: which backend gets traffic is computed while HAProxy runs"
            yield Remark(choice.line.place, f"{text}; keep the pools of lbctl's services out of it, or take it out")


def _proposed(one: Found, every: Sequence[Choice], document: Document, taken: set[str]) -> Proposed:
    names = {section.name for section in one.backends.values()}
    mine = [choice for choice in every if choice.target in names]
    protocol = Protocol.TCP if mode_of(one.first) == "tcp" else Protocol.HTTP
    form, why = _form(one, protocol)
    name = service_name(one.stem, taken)
    listening = _frontends(one, mine)
    made = Proposed(
        name=name, found=one, protocol=protocol, form=form, form_why=why, backends=_backends(one, name, form),
        cookie=_cookie(one), choices=mine, listen=_listen(listening, every), tls=_by_tls(listening),
        health=checked(one.first, one.pools[Colour.BLUE]),
    )  # fmt: skip
    made.active, made.active_why = _active(one, mine, every)
    made.doubts += dict.fromkeys(doubts(one, every))
    made.health.doubts += _unlike(made)
    made.fill_in += _gaps(made)
    made.findings += _found(made, every)
    return made


def _unlike(made: Proposed) -> Iterator[tuple[Line | Server, str]]:
    """What is configured otherwise for the other pool, and lbctl knows one of only."""
    if made.found.single or made.found.shared:
        return
    green = made.found.backends[Colour.GREEN]
    other = checked(green, made.found.pools[Colour.GREEN])
    if other.keys != made.health.keys and other.why is not None:
        keys = ", ".join(sorted({key for key, _ in {*other.keys.items()} ^ {*made.health.keys.items()}}))
        yield other.why, f"{green.name} is checked otherwise ({keys}); lbctl checks both pools as written here"


def _form(one: Found, protocol: Protocol) -> tuple[HaproxyForm, Remark]:
    if one.shared and protocol is Protocol.HTTP:
        ready = [asrunning.weight_of(server) for servers in one.pools.values() for server in servers]
        backend = asrunning.backend_of(one.first)
        if backend.algorithm in {"roundrobin", ""} and len(set(ready)) <= 2:
            text = f"the servers of both pools are in {one.first.name}, told apart by {' and '.join(one.words)}"
            return HaproxyForm.WEIGHTS, Remark(one.first.place, text)
        place = findings.place_of(one.first, "balance")
        text = f"both pools are in {one.first.name}, where weights do not give exact shares: two backends are needed"
        return HaproxyForm.MAP, Remark(place, text)
    if one.single:
        return HaproxyForm.MAP, Remark(one.first.place, f"{one.first.name} is one pool; the other has none yet")
    if one.shared:
        return HaproxyForm.MAP, Remark(one.first.place, "TCP needs two backends: weights are for http")
    names = " and ".join(section.name for section in one.backends.values())
    return HaproxyForm.MAP, Remark(one.first.place, f"the names {names} differ only in {'/'.join(one.words)}")


def _backends(one: Found, name: str, form: HaproxyForm) -> dict[Colour, str]:
    if form is HaproxyForm.WEIGHTS:
        return dict.fromkeys(Colour, one.first.name)
    if one.shared:
        return {colour: f"{name}_{colour}" for colour in Colour}
    green = one.backends[Colour.GREEN].name if not one.single else f"{one.first.name}_green"
    return {Colour.BLUE: one.first.name, Colour.GREEN: green}


def _cookie(one: Found) -> str:
    """The server cookie, where lbctl can read its values."""
    lines = one.first.inherited("cookie")[-1:]
    readable = [line for line in lines if line.rest and not {"prefix", "rewrite", "dynamic"} & set(line.rest[1:])]
    return readable[0].rest[0] if readable else ""


def _frontends(one: Found, mine: Sequence[Choice]) -> list[Section]:
    own = [section for section in one.backends.values() if section.kind == "listen"]
    return list({id(section): section for section in [*own, *(choice.frontend for choice in mine)]}.values())


def _listen(listening: Sequence[Section], every: Sequence[Choice]) -> Bind | None:
    """Its own address, where one frontend serves this service and no other."""
    for section in listening:
        others = {choice.target for choice in every if choice.frontend is section}
        if len(others) <= 2 and (usable := [bind for bind in binds(section) if bind.address]):
            return next((bind for bind in usable if bind.tls), usable[0])
    return None


def _by_tls(listening: Sequence[Section]) -> bool:
    """Whether all of its users come by TLS; a redirect to https counts as such."""
    every = [(bind, section) for section in listening for bind in binds(section)]
    return any(bind.tls for bind, _ in every) and all(bind.tls or _redirects(section) for bind, section in every)


def _redirects(section: Section) -> bool:
    lines = section.inherited("redirect", "http-request")
    return any({"redirect", "scheme", "https"} <= set(line.words) and _of_all(line) for line in lines)


def _of_all(line: Line) -> bool:
    """Whether a rule is for every request, or asks for one thing only, which is TLS: not for some paths alone."""
    words = list(line.words)
    at = next((place for place, one in enumerate(words) if one in {"if", "unless"}), len(words))
    asked = " ".join(words[at + 1 :])
    return asked.count("{") <= 1 and (asked.startswith(("{", "!{")) or " " not in asked)


def _active(one: Found, mine: Sequence[Choice], every: Sequence[Choice]) -> tuple[Colour | None, str]:
    """Return who serves now, as far as the config alone says it."""
    if one.single:
        return Colour.BLUE, "the only pool there is"
    if one.shared:
        idle = [colour for colour in Colour if all(is_idle(server) for server in one.pools[colour])]
        if len(idle) == 1:
            return idle[0].other, f"every {idle[0]} server is disabled, a backup or has weight 0"
        return None, ""
    chosen = {colour for colour, section in one.backends.items() for choice in mine if choice.target == section.name}
    here = {id(section) for section in _frontends(one, mine)}
    names = [section.name for section in one.backends.values()]
    computed = next((one for one in every if one.may_name(names) and id(one.frontend) in here), None)
    if computed is not None:
        return None, f"{computed.line.place} may name either"
    if len(chosen) == 1:
        colour = chosen.pop()
        line = next(choice.line for choice in mine if choice.target == one.backends[colour].name)
        return colour, f"{line.place} names {one.backends[colour].name} alone"
    ours = next((choice for choice in mine if "txn.lb_" in " ".join(choice.condition)), None)
    return None, "" if ours is None else f"{ours.line.place} is lbctl's own rule: lbctl status knows it"


def _gaps(made: Proposed) -> Iterator[Remark]:
    """What only a person can know."""
    for doubt in made.doubts:
        text = f"services.{made.name}: is {_second(made)} its other pool? {doubt.text}"
        yield Remark(doubt.place, f"{text}; if it is, write it in: backend and servers")
    for colour in Colour:
        pool = made.found.pools.get(colour, [])
        if not pool:
            text = f"services.{made.name}.pools.{colour}: which servers are the other pool"
            yield Remark(made.place, f'{text}, as {{web3: "10.0.1.21:8080"}}')
        for place in dict.fromkeys(server.place for server in pool if server.why):
            names = [server.name for server in pool if server.place == place]
            why = next(server.why for server in pool if server.place == place)
            yield Remark(place, f"services.{made.name}.pools.{colour}: {', '.join(names)}: {why}")
    yield from _twice(made)


def _second(made: Proposed) -> str:
    one = made.found
    if one.shared:
        return ", ".join(server.name for server in one.pools[made.second])
    return one.backends[made.second].name


def _twice(made: Proposed) -> Iterator[Remark]:
    first: dict[str, Colour] = {}
    for colour, pool in made.found.pools.items():
        for server in pool:
            if first.setdefault(server.name, colour) is not colour:
                text = f"{server.name} is a server of both pools: rename one of them in HAProxy's config and here"
                yield Remark(server.place, text)


def _found(made: Proposed, every: Sequence[Choice]) -> Iterator[Finding]:
    yield from findings.of_frontends(made.choices or [])
    yield from () if made.found.shared else _beside(made.found, every)
    for section in {id(section): section for section in made.found.backends.values()}.values():
        yield from findings.of_backend(section)
    if not made.found.single and (made.form is HaproxyForm.WEIGHTS or not made.found.shared):
        yield from asrunning.said(service_of(made), made.found.backends)


def _beside(one: Found, every: Sequence[Choice]) -> Iterator[Finding]:
    """Yield each choice whose map file names a pool. One that nobody can read is told as not understood."""
    pools = {section.name for section in one.backends.values()}
    for choice in every:
        if there := sorted(pools & (choice.named or frozenset())):
            what = f"the map file of `use_backend {choice.target}` names {' and '.join(there)}, past lbctl's split"
            yield Finding(
                "RULES_BESIDE_SPLIT", Weight.WARNING, str(choice.line.place), what, "leave its pools out of it"
            )


def service_of(made: Proposed) -> Service:
    """The service as far as HAProxy's config knows it, for rules that ask about one."""
    pools = {
        colour: Pool(colour, tuple(Known(ServerName(one.name), Address("0.0.0.0", 1)) for one in pool))  # noqa: S104
        for colour, pool in made.found.pools.items()
    }
    return Service(
        name=ServiceName(made.name), plane=PlaneName("edge"), blue=pools[Colour.BLUE], green=pools[Colour.GREEN],
        protocol=made.protocol,
        haproxy=HaproxyBinding(made.backends, made.cookie or "SRV", f"lbctl_{made.name}", made.form),
    )  # fmt: skip
