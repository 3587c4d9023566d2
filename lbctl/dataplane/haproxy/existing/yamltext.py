"""The proposed config as text: every key with its reason and the line of HAProxy's config it comes from. Pure."""

import json
import re
from collections.abc import Iterator

from lbctl.dataplane.haproxy.existing.proposal import Proposal, Proposed
from lbctl.dataplane.haproxy.existing.sections import Remark
from lbctl.dataplane.haproxy.existing.servers import Server
from lbctl.model.names import Colour
from lbctl.model.topology import HaproxyForm, Protocol
from lbctl.model.visible import escaped

HEAD = """\
# Proposed by `lbctl config import` from {files}. It is a proposal: read every line before you use it.
# FILL IN marks what only you can know; `lbctl config validate` refuses the file until it is done.
# All keys and defaults: docs/reference/config.md.
apiVersion: lbctl/v1

daemon:   # as lbctl's systemd units have it; without these keys they are places of the user that lbctld runs as
  state_dir: /var/lib/lbctl
  runtime_dir: /run/lbctl
  control_socket: /run/lbctl/control.sock

data_planes:
  edge:
    driver: haproxy
    # request_log: udp://127.0.0.1:5514   # lets HAProxy tell the time of every request, so that latency is judged
    instances:
      lb1:
{socket}
{master}
        map_dir: {map_dir}   # make it, for lbctl's user; config management must not own what is in it

services:
"""
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./-]*")
_WORDS = frozenset({"yes", "no", "true", "false", "on", "off", "null", "y", "n"})


def text(made: Proposal, files: str, master_socket: str, map_dir: str) -> str:
    """Return the YAML; `master_socket` empty: nobody knows it, and the key stays a comment."""
    socket = f"        socket: {scalar(made.socket)}"
    if not made.socket:
        socket = "        socket:   # FILL IN: the `stats socket … level admin` that HAProxy's config does not have yet"
    master = (
        f"        master_socket: {scalar(master_socket)}   # workers that outlive a reload are then seen and written"
    )
    if not master_socket:
        master = "        # master_socket: PATH   # what HAProxy's `-S` names; without it a reload holds a release"
    head = HEAD.format(files=comment(files), socket=socket, master=master, map_dir=scalar(map_dir))
    body = "\n".join("\n".join(_service(one)) + "\n" for one in made.services)
    return head + (body or "  # FILL IN: nothing was found that lbctl could drive\n")


def scalar(value: str) -> str:
    """Return a YAML text that is read as exactly `value`, whatever is in it."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value)


def comment(value: object) -> str:
    """Return foreign text as part of one comment line."""
    return escaped(str(value))


def _service(one: Proposed) -> Iterator[str]:
    yield f"  {scalar(one.name)}:"
    yield "    data_plane: edge"
    yield f"    # {comment(one.form_why.text)} ({comment(one.form_why.place)})"
    if one.form is HaproxyForm.WEIGHTS:
        yield f"    haproxy: {{form: weights, backend: {scalar(one.backends[Colour.BLUE])}}}"
    else:
        left = one.doubts and not one.found.shared
        names = ", ".join(
            f"{colour}: {'' if left and colour is one.second else scalar(name)}"
            for colour, name in one.backends.items()
        )
        missing = f"   # to be added: {comment(', '.join(one.missing))}" if one.missing else ""
        green = f"   # FILL IN: {comment(one.backends[one.second])}, if it is the other pool" if left else missing
        yield f"    haproxy: {{form: map, backends: {{{names}}}}}{green}"
    if one.protocol is Protocol.TCP:
        yield f"    protocol: tcp   # `mode tcp` ({comment(one.place)})"
    yield from _listen(one)
    yield from _pools(one)
    yield from _health(one)
    if one.cookie:
        line = one.found.first.inherited("cookie")[-1]
        yield f"    sessions: {{cookie: {scalar(one.cookie)}}}   # {comment(line.place)}: nobody is logged out"
    elif one.protocol is not Protocol.TCP:
        yield "    # no session cookie that lbctl can read: while new traffic is split, every request is drawn anew"
        if not any(section.inherited("cookie", "stick") for section in one.found.backends.values()):
            yield "    drain: {idle: 30s}   # nothing binds users to a pool: none comes back to an old one"
    for remark in one.fill_in:
        yield f"    # FILL IN: {comment(remark.place)}: {comment(remark.text)}"


def _listen(one: Proposed) -> Iterator[str]:
    if one.listen is not None:
        yield f"    listen: {scalar(one.listen.address)}   # {comment(one.listen.place)}"
    if one.tls:
        yield "    listen_tls: true   # users come by TLS: lbctl's cookie is Secure"


def _pools(one: Proposed) -> Iterator[str]:
    yield "    pools:"
    for colour in Colour:
        pool = one.found.pools.get(colour, [])
        word = one.found.words[0 if colour is Colour.BLUE else 1]
        why = f"   # `{comment(word)}` in HAProxy" if word and word != colour.value else ""
        if not pool:
            yield f'      {colour}: {{}}   # FILL IN: the servers of the other pool, as {{web3: "10.0.1.21:8080"}}'
            continue
        doubtful = bool(one.doubts) and colour is one.second
        yield (
            f"      {colour}: {{}}   # FILL IN: these, if they are the other pool"
            if doubtful
            else f"      {colour}:{why}"
        )
        named: set[str] = set()
        for server in pool:
            given = _server(one, server) or "  # FILL IN, as 10.0.1.21:8080"
            again = server.name in named
            named.add(server.name)
            mark, why = "# " * (doubtful or again), "; a name twice, which HAProxy refuses" * again
            yield f"        {mark}{scalar(server.name)}: {given}   # {comment(server.place)}{why}"


def _server(one: Proposed, server: Server) -> str:
    if not server.address:
        return ""
    if one.cookie and server.cookie and server.cookie != server.name:
        return f"{{addr: {scalar(server.address)}, cookie: {scalar(server.cookie)}}}"
    return scalar(server.address)


def _health(one: Proposed) -> Iterator[str]:
    if not one.health.keys:
        yield "    # no `check` that lbctl could do itself: only HAProxy's own view of its servers counts"
    else:
        why = one.health.why
        at = f"   # {comment(why.place)}" if why is not None else ""
        yield f"    health: {{{', '.join(f'{key}: {_value(value)}' for key, value in one.health.keys.items())}}}{at}"
    if one.health.tls:
        yield f"    tls: {{{', '.join(f'{key}: {scalar(value)}' for key, value in one.health.tls.items())}}}"
    for line, doubt in one.health.doubts:
        yield f"    # {comment(line.place)}: {comment(doubt)}"


def _value(value: str) -> str:
    return value if re.fullmatch(r"[a-z0-9]+(-[0-9]+)?", value) else scalar(value)


def remark_line(remark: Remark) -> str:
    """Return one line for people."""
    return f"{comment(remark.place)}: {comment(remark.text)}"
