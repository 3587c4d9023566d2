"""What a server says it runs: how it is asked, and what it answered."""

from dataclasses import dataclass
from enum import StrEnum

from lbctl.model.units import Instant

UNKNOWN = "unknown"
"""What stands for a version that nobody named: it is compared with nothing."""


class VersionIn(StrEnum):
    """Where in an answer the version is."""

    JSON = "json"
    HEADER = "header"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionCheck:
    """How every server of a service is asked for its version. `port` None: the server's own.

    `name` is the JSON field (`build.version` for one inside another) or the header; empty where the whole body is it.
    """

    path: str
    tls: bool
    where: VersionIn
    name: str = ""
    port: int | None = None
    host: str | None = None


@dataclass(frozen=True, slots=True)
class Attested:
    """A server's last answer. `version` None: it named none, and `why` says what happened instead.

    `taken_at` is the instant *before* the question was sent.
    """

    version: str | None
    why: str
    taken_at: Instant
