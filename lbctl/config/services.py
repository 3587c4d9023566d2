"""The keys of a service: its pools, who calls it, how it is watched, released and judged."""

from lbctl.config import checks
from lbctl.config.atoms import BACKEND, COOKIE_VALUE, HOST, NAME, PATH, PROGRAM, TOKEN, URL_PATH, later
from lbctl.config.attestation import VERSION
from lbctl.config.composite import Items, Key, Named, Section
from lbctl.config.consumers import CONSUMER
from lbctl.config.freezing import FREEZE
from lbctl.config.hooks import HOOKS
from lbctl.config.hostkinds import Argv, Endpoint, Group, ServerKind, Statuses
from lbctl.config.kinds import STEP, Choice, Duration, Flag, Number, Share, Whole
from lbctl.config.leave import SessionsLeave
from lbctl.config.previewing import PREVIEW
from lbctl.model.sessions import AtDeadline, SessionPolicy
from lbctl.model.topology import (
    Deadlines,
    Drain,
    DriftPolicy,
    HaproxyForm,
    HoldLimit,
    JudgeSettings,
    Plan,
    PlanMode,
    Protocol,
    SessionsBack,
)
from lbctl.model.units import DAY, HOUR, MINUTE, SECOND

PLAN = Plan()
DEADLINES = Deadlines()
JUDGE = JudgeSettings()
DRAIN = Drain()
SESSIONS = SessionPolicy()

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
            kind=Number(words="1..1000 or `learned`", lowest=1, highest=1_000, special={"learned": None}),
            default=JUDGE.dispersion,
            doc="How much more errors come in bursts than independent ones; 1 = not at all; or `learned`.",
        ),
        "blind_limit": Key(
            kind=Duration(words="duration or `never`", lowest=MINUTE, special={"never": None}),
            default=JUDGE.blind_limit,
            doc="No counters for so long in a release, and active is well: go back.",
        ),
        "target_rate": Key(
            kind=Share(ratio=True),
            default=JUDGE.target_rate,
            doc="The part of failing requests that a plan should be long enough to see.",
        ),
        "plan": Key(
            kind=Choice(tuple(PlanMode)),
            default="warn",
            doc="A step too short for `target_rate`: `warn`, wait for the evidence (`auto`), or refuse (`strict`).",
        ),
        "retreat_above": Key(
            kind=Share(),
            default=JUDGE.retreat_above_bp,
            doc="A candidate above this share, worse than active used to be, goes to `retreat_to`; 100%: never.",
        ),
        "retreat_to": Key(kind=Share(), default=JUDGE.retreat_to_bp, doc="Where a retreat goes."),
        "slow_limit": Key(
            kind=Duration(lowest=SECOND, highest=10 * MINUTE),
            default=JUDGE.slow_limit,
            doc="A request that is not answered for so long counts as bad before it ends.",
        ),
    }
)

PLAN_KEYS: dict[str, Key] = {
    "steps": Key(
        kind=Items(STEP, "[5%, 25%, 50%, 100%]", "write a rising list that ends at 100%", 1, 50, check=checks.steps),
        default=list(PLAN.steps_bp),
        doc="The candidate's shares, one after the other: rising, ending at 100%.",
    ),
    "hold": Key(kind=HOLD, whole=True, doc="How long each step is proved."),
    "bake": Key(kind=Duration(highest=30 * DAY), default=PLAN.bake, doc="Proving time at 100% with the old pool warm."),
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
                    kind=Choice(tuple(SessionsBack)),
                    default="auto",
                    doc="Sessions on the candidate: `move` at once, `drain` at the session rate, `keep`, or `auto`: "
                    "move on errors or health, drain on latency where there is a rate, else keep.",
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
                "claim": Key(
                    kind=Duration(lowest=SECOND, highest=30 * DAY),
                    default=DEADLINES.claim,
                    doc="A claimed pool without a version that is ready by then: the claim ends, and people are told.",
                ),
                "board": Key(
                    kind=Duration(lowest=SECOND, highest=365 * DAY),
                    default=DEADLINES.board,
                    doc="A ready version that could not go by then leaves the board; told daily after a day.",
                ),
                "approval": Key(
                    kind=Duration(lowest=SECOND, highest=30 * DAY),
                    default=PLAN.approval,
                    doc="Not approved by then: the release is cancelled. See `approvals`.",
                ),
            }
        ),
        whole=True,
        doc="When waiting ends.",
    ),
    "approvals": Key(
        kind=Section(
            {
                "count": Key(
                    kind=Whole(words="0..20", lowest=0, highest=20),
                    default=PLAN.approvals.count,
                    doc="How many people must say yes before first traffic; nobody who started it, or said ready.",
                ),
                "group": Key(kind=Group(), doc="Whose yes counts: a group of this host. They need the role observe."),
            },
            (checks.approvals,),
        ),
        whole=True,
        doc="Whose yes a release needs.",
    ),
    "freeze": Key(kind=FREEZE, doc="When no release goes forward, and none starts. Going back is always possible."),
    "hooks": HOOKS,
    "rest_pin": later(),
}
"""How a release goes and is judged: of a unit, or of a service that is a unit of its own."""

SERVICE = Section(
    {
        "data_plane": Key(kind=NAME, required=True, doc="Which of `data_planes` routes this service."),
        "haproxy": Key(
            kind=Section(
                {
                    "form": Key(
                        kind=Choice(tuple(HaproxyForm)),
                        default="map",
                        doc="`map`: two backends, the split in a map. `weights`: one backend, the split in weights.",
                    ),
                    "backend": Key(
                        kind=BACKEND,
                        default_words="SERVICE_servers",
                        doc="Form `weights`: the backend with the servers of both pools.",
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
                        doc="Form `map`: HAProxy's names for the two pools.",
                    ),
                    "cookie": Key(kind=TOKEN, default_words="sessions.cookie", doc="The server cookie of both pools."),
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
        "protocol": Key(
            kind=Choice(tuple(Protocol)),
            default="http",
            doc="What users speak: `http` with WebSockets, `grpc` (HTTP/2 to the servers), or `tcp` (connections).",
        ),
        "health": Key(kind=HEALTH, doc="How servers are checked. Without it only the load balancer's view counts."),
        "version": Key(
            kind=VERSION,
            doc="How servers are asked for their version: a release goes on only while all of its candidate name it.",
        ),
        "tls": Key(
            kind=Section(
                {
                    "ca": Key(kind=PATH, required=True, doc="PEM file of the authorities to trust."),
                    "name": Key(kind=HOST, required=True, doc="The name that the certificate must carry."),
                }
            ),
            doc="How TLS servers are verified. Checks over `https` of the servers' own port: all speak TLS.",
        ),
        "sessions": Key(
            kind=Section(
                {
                    "cookie": Key(kind=TOKEN, default="SRV", doc="The cookie that names the server of a session."),
                    "policy": Key(
                        kind=SessionsLeave(),
                        default=SESSIONS.per_second,
                        default_words="`wait`",
                        doc="How sessions leave a pool that drains: `wait` for their end, or `{move: 20/s}`.",
                    ),
                    "deadline": Key(
                        kind=Duration(lowest=SECOND, highest=30 * DAY),
                        default=SESSIONS.deadline,
                        doc="How long they may take, from the end of the bake.",
                    ),
                    "at_deadline": Key(
                        kind=Choice(tuple(AtDeadline)),
                        default="keep",
                        doc="Sessions that are still there then: `keep` them, or move them and `close` what is left.",
                    ),
                }
            ),
            whole=True,
            doc="Sticky sessions.",
        ),
        **PLAN_KEYS,
        "consumers": Key(
            kind=Named(NAME, CONSUMER, "{SERVICE: {pin: …}}", ("no consumer", "name one, or delete the key"), 100),
            doc="Services of the same unit that call this one by the load balancer, and what tells their pools apart.",
        ),
        "drain": Key(
            kind=Section(
                {
                    "quiet": Key(
                        kind=Duration(lowest=100, highest=HOUR),
                        default=DRAIN.quiet,
                        doc="No request on an old pool for so long, and none in flight: nobody uses it.",
                    ),
                    "idle": Key(
                        kind=Duration(lowest=0, highest=30 * DAY),
                        default=DRAIN.idle,
                        doc="A sticky session that came within this time is still there. As the application's own.",
                    ),
                    "limit": Key(
                        kind=Duration(lowest=SECOND, highest=30 * DAY),
                        default=DRAIN.limit,
                        doc="Not proved unused by then: the release ends, unproven, and the old pool is kept.",
                    ),
                    "known": Key(
                        kind=Items(PROGRAM, "[node_exporter]", "write [node_exporter], as `ps -e` names it", 0, 20),
                        default=(),
                        doc="Programs of this host that stay connected to the servers, and are no use of a pool; "
                        "`uid:113` where lbctl may only know whose they are.",
                    ),
                }
            ),
            whole=True,
            doc="When an old pool counts as unused.",
        ),
        "preview": PREVIEW,
        "eject": later(),
    },
    (checks.service,),
)
