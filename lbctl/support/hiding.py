"""Secrets taken out of whatever goes into a bundle: those that the config names, and what looks like one.

The config's own are known, because the files it names are read. What only looks like a secret is hidden by its form;
that catches what people wrote where none belongs, and can catch more than that.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lbctl.config.secret import SECRET_MAX
from lbctl.notify.masking import HIDDEN, PART_MIN, masked, variants
from lbctl.support.reading import CannotRead, read

CREDENTIALS = "/run/credentials/lbctl.service"
_REFERENCE = re.compile(r"\b(file|credential)\b[\"']?[ \t]*:[ \t]*[\"']?([^\s\"'},#]+)")
_SHAPES = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), HIDDEN if not keeps else rf"\g<1>{HIDDEN}")
    for keeps, pattern in (
        (False, r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)"),
        (True, r"\b((?:proxy-)?authorization[\"']?[ \t]*[:=][ \t]*[\"']?(?:\w+[ \t]+)?)[^\s\"',}]{6,}"),
        (True, r"\b((?:bearer|basic)[ \t]+)[\w.~+/=-]{8,}"),
        (False, r"\bxox[a-z]-[\w-]{6,}"),
        (True, r"(https://hooks\.slack\.com/)[^\s\"'<>]+"),
        (True, r"(https://[\w.-]*(?:webhook\.office|logic\.azure|powerplatform|discord(?:app)?)\.com[:/])[^\s\"'<>]+"),
        (True, r"(://)[^\s/@\"'<>]+:[^\s/@\"'<>]+(?=@)"),
        (
            True,
            r"([?&;](?:token|key|sig|signature|secret|pass(?:word|wd)?|pwd|auth|api[_-]?key|access_token)=)[^&\s\"'<>]+",
        ),
        (True, r"\b((?:insecure-)?pass(?:word|wd|phrase)?[\"']?[ \t]*[:=][ \t]*[\"']?)[^\s\"',{}]{4,}"),
        (True, r"\b((?:secret|token|api[_-]?key|routing_key)[\"']?[ \t]*[:=][ \t]*[\"']?)[^\s\"',{}]{12,}"),
        (True, r"\b(SetCredential(?:Encrypted)?=)[^\n]+"),
    )
)


@dataclass(frozen=True, slots=True)
class Hider:
    """Hides. `known` are the config's secrets in every form in which they may come back; `unread` could not be read."""

    known: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    def hidden(self, text: str) -> str:
        """Return the text without secrets."""
        text = masked(text, self.known)
        for shape, instead in _SHAPES:
            text = shape.sub(instead, text)
        return text


def hider(config_text: str, base: str, environ: Mapping[str, str], loaded: Mapping[str, str]) -> Hider:
    """Return what hides the secrets that a config refers to, whether that config is valid or not.

    `base` is its directory; `loaded` tells systemd's `LoadCredential=`, by name.
    """
    known: set[str] = set()
    unread: list[str] = []
    for kind, name in sorted(set(_REFERENCE.findall(config_text))):
        places = [os.path.join(base, name)] if kind == "file" else _of_credential(name, environ, loaded)
        value = next(_values(places), None)
        if value is None:
            unread.append(f"{kind} {name}")
        else:
            known.update(one for one in _forms(value) if len(one) >= PART_MIN)
    return Hider(tuple(sorted(known, key=len, reverse=True)), tuple(unread))


def _forms(secret: str) -> Iterator[str]:
    for one in variants(secret):
        yield from (one, json.dumps(one)[1:-1], json.dumps(one, ensure_ascii=False)[1:-1])


def _of_credential(name: str, environ: Mapping[str, str], loaded: Mapping[str, str]) -> list[str]:
    directories = [one for one in (environ.get("CREDENTIALS_DIRECTORY", ""), CREDENTIALS) if one]
    return [os.path.join(directory, name) for directory in directories] + ([loaded[name]] if name in loaded else [])


def _values(places: Sequence[str]) -> Iterator[str]:
    for place in places:
        try:
            text = read(place, SECRET_MAX, follow=True).decode().strip("\r\n")
        except (CannotRead, UnicodeDecodeError):
            continue
        if text:
            yield text
