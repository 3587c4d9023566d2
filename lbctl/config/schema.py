"""The config as a whole: every key's kind, default, meaning, and whether this version has it.

The reference page, the JSON Schema, `config show` and all messages come from here and from `planes`, `services`,
`consumers`, `units` and `receivers`.
"""

from lbctl.config import across
from lbctl.config.atoms import NAME, PATH, SOCKET
from lbctl.config.composite import Items, Key, Named, Section
from lbctl.config.hostkinds import People
from lbctl.config.kinds import Choice
from lbctl.config.planes import PLANE
from lbctl.config.receivers import ALERT
from lbctl.config.scraping import ScrapeAddress
from lbctl.config.services import SERVICE
from lbctl.config.units import UNIT

DAEMON = Section(
    {
        "state_dir": Key(
            kind=PATH,
            default_words="/var/lib/lbctl for root, else $XDG_STATE_HOME/lbctl or ~/.local/state/lbctl",
            doc="The journal and the record: what lbctl decided. Survives a reboot.",
        ),
        "runtime_dir": Key(
            kind=PATH,
            default_words="/run/lbctl for root, else $XDG_RUNTIME_DIR/lbctl or a 0700 directory in the temp folder",
            doc="Tokens that allow a running release to raise its share. Empty after a reboot, kept over restarts.",
        ),
        "control_socket": Key(
            kind=SOCKET, default_words="control.sock in runtime_dir", doc="Where the command line talks to the daemon."
        ),
        "metrics": Key(
            kind=ScrapeAddress(),
            doc="A second place for Prometheus besides the control socket: `GET /metrics` and nothing else. Whoever "
            "reaches it may read.",
        ),
        "dashboard": Key(
            kind=ScrapeAddress(what="the dashboard is read", port=8090),
            doc="A page for browsers, which changes nothing: on a unix socket of its own, for those who may observe; "
            "on a port of this host whoever reaches it may read. Off unless it is set.",
        ),
    }
)

_ROLE = People()
ACCESS = Section(
    {
        "observe": Key(kind=_ROLE, default=(), doc="May look."),
        "operate": Key(kind=_ROLE, default=(), doc="May release, pause and roll back."),
        "admin": Key(kind=_ROLE, default=(), doc="May adopt and put into maintenance; root and lbctl's user always."),
        "gate": Key(
            kind=Named(NAME, _ROLE, "{SERVICE: {group: NAME}}", ("no service", "name one, or delete the key")),
            doc="Per service: its CI may claim, say ready and withdraw for it, and pause and roll back its unit.",
        ),
    }
)

ROOT = Section(
    {
        "apiVersion": Key(kind=Choice(("lbctl/v1",)), required=True, doc="The version of this format: lbctl/v1."),
        "daemon": Key(kind=DAEMON, whole=True, doc="Where lbctl keeps its own files."),
        "data_planes": Key(
            kind=Named(NAME, PLANE, "{NAME: {driver: …}}", ("no data plane", "add one"), 100),
            required=True,
            doc="The load balancers that lbctl drives.",
        ),
        "services": Key(
            kind=Named(NAME, SERVICE, "{NAME: {…}}", ("no service", "add one"), 500),
            required=True,
            doc="What is released: a name of its own for each, never all digits, not blue or green.",
        ),
        "units": Key(
            kind=Named(NAME, UNIT, "{NAME: {services: […]}}", ("no unit", "add one, or delete the key"), 500),
            doc="Services released together: a name for each unit that is no service's.",
        ),
        "alerts": Key(
            kind=Items(ALERT, "[{name: …, exec: …}]", "add one, or delete the key", 0, 50),
            default=[],
            doc="Who is told.",
        ),
        "access": Key(
            kind=ACCESS, whole=True, doc="Who may use the control socket. Without it: root and lbctl's own user."
        ),
    },
    (across.root,),
)
