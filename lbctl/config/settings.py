"""What a config says beside the topology: the daemon's own files, who is told, who may do what."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from lbctl.config.accounts import Principal
from lbctl.config.fault import Fault, Mark
from lbctl.config.secret import Secret
from lbctl.model.names import ServiceName
from lbctl.model.topology import Address, Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonSettings:
    """Absolute paths; none of them has to exist yet."""

    state_dir: str
    runtime_dir: str
    control_socket: str
    metrics: Address | str | None = None
    """Where Prometheus reads besides the control socket: on loopback, or the path of a unix socket."""
    dashboard: Address | str | None = None
    """Where browsers read, likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecAlert:
    """Tell a program. `argv[0]` is an absolute path."""

    name: str
    argv: tuple[str, ...]
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAlert:
    """Tell an HTTP server by signed POST."""

    name: str
    url: Secret
    secret: Secret
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackAlert:
    """Tell a channel of Slack as a bot. `channel` is a name with `#`, or an id."""

    name: str
    token: Secret
    channel: str
    api: str
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatHookAlert:
    """Tell a chat by an incoming webhook as Slack has it; Mattermost and others speak it."""

    name: str
    url: Secret
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PagerDutyAlert:
    """Tell PagerDuty. `api` is where its Events API is."""

    name: str
    routing_key: Secret
    api: str
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerAlert:
    """Tell an Alertmanager at `url`; `authorization` is the value of that header."""

    name: str
    url: str
    authorization: Secret | None
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamsAlert:
    """Tell Microsoft Teams by a workflow's address."""

    name: str
    url: Secret
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseAlert:
    """Tell whatever apprise can reach by `url`."""

    name: str
    url: Secret
    on: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpAlert:
    """Send the trace of every release that has ended to an OTLP receiver below `url`."""

    name: str
    url: str
    authorization: Secret | None
    on: frozenset[str]


Receiver = SlackAlert | ChatHookAlert | TeamsAlert | PagerDutyAlert | AlertmanagerAlert | AppriseAlert | OtlpAlert
"""Services that lbctl speaks to itself."""
Alert = ExecAlert | WebhookAlert | Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who has which role, besides root and the daemon's own user, which are admin. `gate` is per service."""

    observe: tuple[Principal, ...] = ()
    operate: tuple[Principal, ...] = ()
    admin: tuple[Principal, ...] = ()
    gate: Mapping[ServiceName, tuple[Principal, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One config without faults.

    `warnings` are rendered lines. `digest` is the SHA-256 of the text. `places` tells where each path of the config
    stands (`services.web.pools.blue.blue-1`), for faults that only show when it is used. `effective` is the whole
    config with every default, as plain data and without secrets.
    """

    path: str
    topology: Topology
    daemon: DaemonSettings
    alerts: tuple[Alert, ...] = ()
    access: Access = field(default_factory=Access)
    warnings: tuple[str, ...] = ()
    digest: str = ""
    places: Mapping[str, Mark] = field(default_factory=dict, repr=False)
    effective: Mapping[str, object] = field(default_factory=dict, repr=False)

    def fault(self, path: str, what: str, then: str) -> Fault:
        """Return a fault at the place of `path`, or of the closest place above it that the text has."""
        known = path
        while known and known not in self.places:
            known = known[: max(known.rfind("."), known.rfind("["), 0)]
        return Fault(self.places.get(known, Mark()), path, what, then)
