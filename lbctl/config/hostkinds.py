"""Kinds of values that point at this host or the network: addresses, servers, paths, programs, users."""

import ipaddress
import os
import re
from dataclasses import dataclass
from typing import Any

from lbctl.config.accounts import NOBODY, Principal
from lbctl.config.composite import Section
from lbctl.config.fault import did_you_mean
from lbctl.config.hosts import parse_address
from lbctl.config.kinds import Kind, expected, seen
from lbctl.config.nodes import Mapping, Node, Scalar, Sequence
from lbctl.config.place import BAD, Bad, Place
from lbctl.config.quantity import shown
from lbctl.model.topology import Address, RequestLog

SOCKET_PATH_MAX = 107
_NOT_A_PATH = re.compile(r"[a-z0-9+.]+@.*|.*:[0-9]+/?|[a-z]+://.*")


@dataclass(frozen=True, slots=True)
class Endpoint(Kind):
    """An address with a port. `listens`: one of this host's own, so a wildcard is fine and a name is not."""

    words: str
    listens: bool = False

    def read(self, node: Node, place: Place) -> Any:
        then = "write it as 127.0.0.1:8080 or [::1]:8080" + ("" if self.listens else " or app.example:8080")
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return expected(node, place, "an address with a port", then)
        try:
            found = parse_address(node.text, None if self.listens else place.scope.names)
        except ValueError as error:
            return place.fault(str(error), then)
        host = ipaddress.ip_address(found.host)
        if host.is_multicast or (host.is_unspecified and not self.listens):
            return place.fault(f"{found.host} is not the address of one server", then)
        return found

    def show(self, value: Any) -> Any:
        return None if value is None else str(value)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^.+:[1-9][0-9]{0,4}$"}


@dataclass(frozen=True, slots=True)
class Member:
    """A server as configured: its address, and its session cookie value where that is not its name."""

    address: Address
    cookie: str | None
    place: Place


@dataclass(frozen=True, slots=True)
class ServerKind(Kind):
    """An address, or `{addr, cookie}`."""

    address: Endpoint
    section: Section
    words: str = "address or {addr: ADDRESS, cookie: VALUE}"

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Mapping):
            values = self.section.read(node, place)
            if not values.good("addr", "cookie"):
                return BAD
            return Member(values["addr"], values["cookie"], values.at("addr"))
        found = self.address.read(node, place)
        return BAD if found is BAD else Member(found, None, place)

    def show(self, value: Any) -> Any:
        return str(value.address) if value.cookie is None else {"addr": str(value.address), "cookie": value.cookie}

    def json(self) -> dict[str, Any]:
        return {"anyOf": [self.address.json(), self.section.json()]}


@dataclass(frozen=True, slots=True)
class FilePath(Kind):
    """A path; a relative one starts at the directory of the config. The value is absolute."""

    words: str = "path"
    is_socket: bool = False
    no_path_then: str = "write the path of a unix socket"

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str) or not node.text:
            return expected(node, place, "a path", "write it as /run/haproxy/admin.sock")
        path = os.path.normpath(os.path.join(place.scope.base, node.text))
        if self.is_socket and _NOT_A_PATH.fullmatch(node.text):
            return place.fault(f"{shown(node.text)} is not a path", self.no_path_then)
        limit = SOCKET_PATH_MAX if self.is_socket else 1_024
        if len(os.fsencode(path)) > limit or "\n" in path:
            what = "a unix socket's path" if self.is_socket else "a path"
            return place.fault(f"{what} has at most {limit} bytes in one line", "use a shorter directory")
        return path

    def json(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


@dataclass(frozen=True, slots=True)
class LogAddress(Kind):
    """Where request lines come in: UDP on loopback, or a unix datagram socket. The value is a `RequestLog`."""

    words: str = "udp://LOOPBACK:PORT or unix:PATH"

    def read(self, node: Node, place: Place) -> Any:
        then = "write it as udp://127.0.0.1:5514 or unix:/run/lbctl/requests.sock"
        text = node.text if isinstance(node, Scalar) and isinstance(node.value, str) else ""
        if text.startswith("udp://"):
            return self._udp(text.removeprefix("udp://"), place, then)
        if not text.startswith("unix:") or text == "unix:":
            return expected(node, place, "the address of a request log", then)
        path = FilePath(is_socket=True).read(Scalar(text[5:], text[5:], node.mark), place)
        return BAD if path is BAD else RequestLog(path)

    def _udp(self, text: str, place: Place, then: str) -> RequestLog | Bad:
        try:
            found = parse_address(text, None)
        except ValueError as error:
            return place.fault(str(error), then)
        if not ipaddress.ip_address(found.host).is_loopback:
            what = f"{found.host} is not a loopback address: anybody on the network could send lines"
            return place.fault(what, "use 127.0.0.1 or [::1]; the load balancer is on this host")
        return RequestLog(found)

    def show(self, value: Any) -> Any:
        return None if value is None else str(value)

    def json(self) -> dict[str, Any]:
        return {"type": "string", "pattern": r"^(udp://.+:[1-9][0-9]{0,4}|unix:.+)$"}


@dataclass(frozen=True, slots=True)
class Argv(Kind):
    """A program by its path, alone or in a list with its arguments. Never a shell line. The value is a tuple."""

    words: str = "PATH or [PATH, ARGUMENT…]"

    def read(self, node: Node, place: Place) -> Any:
        then = "write the program's path, or a list: [/usr/local/bin/page-ops, --urgent]"
        items = node.items if isinstance(node, Sequence) else (node,)
        words = [item.text for item in items if isinstance(item, Scalar)]
        if not words or len(words) != len(items) or len(words) > 64:
            return expected(node, place, "a program", then)
        program = words[0]
        if "/" not in program or (isinstance(node, Scalar) and re.search(r"\s", program)):
            return place.fault(f"{shown(program)} is not the path of a program", then)
        if any(len(word) > 2_048 for word in words):
            return place.fault("an argument is longer than 2048 characters", "put it into a script")
        return (os.path.normpath(os.path.join(place.scope.base, program)), *words[1:])

    def show(self, value: Any) -> Any:
        return None if value is None else list(value)

    def json(self) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1}
        return {"anyOf": [text, {"type": "array", "items": {"type": ["string", "number", "boolean"]}, "minItems": 1}]}


@dataclass(frozen=True, slots=True)
class Statuses(Kind):
    """HTTP status codes: `200` or `200-399`, both ends included."""

    words: str = "`200-399` or `200`"

    def read(self, node: Node, place: Place) -> Any:
        found = re.fullmatch(r"([0-9]{3})(?:-([0-9]{3}))?", node.text) if isinstance(node, Scalar) else None
        if not found:
            return expected(node, place, "a range of HTTP status codes", 'write it as "200-399"')
        lowest, highest = int(found[1]), int(found[2] or found[1])
        if not 100 <= lowest <= highest <= 599:
            return place.fault(f"{found[0]} is not a range within 100-599", 'write it as "200-399"')
        return lowest, highest

    def show(self, value: Any) -> Any:
        return None if value is None else f"{value[0]}-{value[1]}"

    def json(self) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "pattern": "^[0-9]{3}(-[0-9]{3})?$"}, {"type": "integer"}]}


@dataclass(frozen=True, slots=True)
class People(Kind):
    """`{group: NAME}`, also user, gid or uid, or a list of such. The value is a tuple of principals."""

    words: str = "{group: NAME}, {user: NAME}, {gid: N} or {uid: N}, or a list of these"

    def read(self, node: Node, place: Place) -> Any:
        if isinstance(node, Sequence) and 0 < len(node.items) <= 64:
            found = [self._one(item, place.item(index, item.mark)) for index, item in enumerate(node.items)]
        else:
            found = [self._one(node, place)]
        return BAD if BAD in found else tuple(found)

    def _one(self, node: Node, place: Place) -> Principal | Bad:
        then = f"write {self.words}"
        if not isinstance(node, Mapping) or len(node.entries) != 1:
            return place.fault(f"expected a user or a group, not {seen(node)}", then)
        entry = node.entries[0]
        if entry.key not in {"group", "user", "gid", "uid"}:
            at = place.key(entry.key[:64], entry.mark)
            return at.fault("unknown key", did_you_mean(entry.key, ("group", "user", "gid", "uid")))
        at = place.key(entry.key, entry.value.mark)
        if not isinstance(entry.value, Scalar) or entry.value.value is None:
            return at.fault(f"expected one name or number, not {seen(entry.value)}", then)
        return self._principal(entry.key, entry.value, at)

    def _principal(self, key: str, node: Scalar, place: Place) -> Principal | Bad:
        is_group = key in {"group", "gid"}
        if key in {"gid", "uid"}:
            if isinstance(node.value, bool) or not isinstance(node.value, int) or not 0 <= node.value < 2**32 - 1:
                return place.fault(f"{shown(node.text)} is not a number of a user or group", "see `id`")
            return _mapped(Principal(is_group, node.value, f"{key} {node.value}"), place)
        of = place.scope.accounts.gid_of if is_group else place.scope.accounts.uid_of
        number = of(node.text) if "\0" not in node.text else None
        if number is None:
            make = "groupadd" if is_group else "useradd"
            then = f"correct the name, or create it with {make}"
            return place.fault(f"this host has no {key} {shown(node.text)}", then)
        return _mapped(Principal(is_group, number, f"{key} {node.text}"), place)

    def show(self, value: Any) -> Any:
        if not value:
            return None
        found = [_spoken(principal) for principal in value]
        return found[0] if len(found) == 1 else found

    def json(self) -> dict[str, Any]:
        one = {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "group": {"type": "string"},
                "user": {"type": "string"},
                "gid": {"type": "integer"},
                "uid": {"type": "integer"},
            },
        }
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


@dataclass(frozen=True, slots=True)
class Group(Kind):
    """The name of a group of this host. The value is a principal."""

    words: str = "a group of this host"

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Scalar) or node.value is None:
            return expected(node, place, self.words, "write its name, as in `group: deployers`")
        number = place.scope.accounts.gid_of(node.text) if "\0" not in node.text else None
        if number is None:
            return place.fault(
                f"this host has no group {shown(node.text)}", "correct the name, or create it with groupadd"
            )
        return _mapped(Principal(True, number, node.text), place)

    def show(self, value: Any) -> Any:
        return None if value is None else value.text

    def json(self) -> dict[str, Any]:
        return {"type": "string", "minLength": 1}


def _mapped(found: Principal, place: Place) -> Principal | Bad:
    """Refuse the number that stands for everybody whom a user namespace does not know."""
    if found.id != NOBODY:
        return found
    what = f"{found.text} is {NOBODY}, the number of everybody who comes from another user namespace: it gets no role"
    return place.fault(what, "name a user or group of its own, made with useradd or groupadd")


def _spoken(principal: Principal) -> dict[str, Any]:
    key, _, name = principal.text.partition(" ")
    return {key: int(name) if key in {"gid", "uid"} else name}
