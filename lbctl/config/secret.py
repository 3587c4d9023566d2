"""Secrets: never in the config, never printed. The config names a credential or a file; it is read at load."""

import os
import re
import stat
from dataclasses import dataclass, field
from typing import Any

from lbctl.config.kinds import Kind
from lbctl.config.nodes import Mapping, Node, Scalar
from lbctl.config.place import BAD, Bad, Place

SECRET_MAX = 16_384
FIX = "put it into a file of its own and write {credential: NAME} or {file: PATH}"

_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,254}")


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and where it came from. Its repr and str never show the value; ask `value` only where it is used."""

    value: str = field(repr=False)
    source: str

    def __str__(self) -> str:
        return f"({self.source}, hidden)"


@dataclass(frozen=True, slots=True)
class SecretRef(Kind):
    """`{credential: NAME}` or `{file: PATH}`; an inline secret is refused and not repeated in the message."""

    words: str = "{credential: NAME} or {file: PATH}"

    def read(self, node: Node, place: Place) -> Any:
        if not isinstance(node, Mapping):
            return place.fault("a secret is written in the config", FIX)
        kind, value = _reference(node)
        if kind == "credential":
            return self._credential(value, place)
        return self._file(value, place) if kind == "file" else place.fault("not a reference to a secret", FIX)

    def _credential(self, name: str, place: Place) -> Secret | Bad:
        if not _CREDENTIAL.fullmatch(name):
            return place.fault("not a credential's name", FIX)
        directory = place.scope.environ.get("CREDENTIALS_DIRECTORY", "")
        if not directory and place.scope.read_secrets:
            then = f"start lbctld by systemd with LoadCredential={name}:PATH, or write {{file: PATH}}"
            return place.fault(f"no credential {name}: $CREDENTIALS_DIRECTORY is not set", then)
        missing = f"add LoadCredential={name}:PATH to the systemd unit"
        return _read(os.path.join(directory, name), f"credential {name}", place, missing)

    def _file(self, path: str, place: Place) -> Secret | Bad:
        if not path or "\0" in path or "://" in path:
            return place.fault("not a path", FIX)
        return _read(os.path.join(place.scope.base, path), f"file {path}", place, "write the path of a readable file")

    def show(self, value: Any) -> Any:
        if value is None:
            return None
        kind, _, name = value.source.partition(" ")
        return {kind: name}

    def json(self) -> dict[str, Any]:
        one = {"type": "object", "additionalProperties": False}
        text = {"type": "string"}
        return {
            "oneOf": [
                {**one, "properties": {"credential": text}, "required": ["credential"]},
                {**one, "properties": {"file": text}, "required": ["file"]},
            ]
        }


def _reference(node: Mapping) -> tuple[str, str]:
    entry = node.entries[0] if len(node.entries) == 1 else None
    if entry is None or not isinstance(entry.value, Scalar):
        return "", ""
    return entry.key, entry.value.text


def _read(path: str, source: str, place: Place, missing: str) -> Secret | Bad:
    if not place.scope.read_secrets:
        return Secret("", source)
    try:
        # O_NONBLOCK, so that a pipe put in the file's place cannot stop the start.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            about = os.fstat(handle)
            raw = os.read(handle, SECRET_MAX + 1) if stat.S_ISREG(about.st_mode) else b""
        finally:
            os.close(handle)
    except OSError as error:
        then = missing if isinstance(error, FileNotFoundError) else "let lbctl's user read it"
        return place.fault(f"{source} cannot be read: {error.strerror}", then)
    if source.startswith("file ") and about.st_mode & stat.S_IROTH:
        place.warn(f"everybody on this host may read {path}", f"chmod o-r {path}")
    return _checked(raw, source, place)


def _checked(raw: bytes, source: str, place: Place) -> Secret | Bad:
    try:
        value = raw.decode().strip("\r\n")
    except UnicodeDecodeError:
        return place.fault(f"{source} is not text", "write one line of UTF-8 into it")
    if not value or len(raw) > SECRET_MAX or not value.isprintable():
        return place.fault(f"{source} is empty, too long or more than one line", "write the secret alone into it")
    return Secret(value, source)


def url_fault(url: Any) -> str | None:
    """Return what is wrong with a secret URL without showing it."""
    if url is BAD or url is None or not url.value:
        return None
    return None if re.match(r"https?://[^/\s]", url.value) else f"{url.source} holds no http:// or https:// address"
