"""Every code that `lbctl doctor` has of its own; the others are those of plan and status, docs/reference/limits.md."""

CODES: dict[str, tuple[str, str]] = {
    "CONFIG_INVALID": ("lbctl's config cannot be used; one finding for each fault.", "`lbctl config validate FILE`"),
    "NO_CONFIG": ("There is no lbctl.yaml yet.", "`lbctl config import /etc/haproxy/haproxy.cfg`"),
    "CONFIG_REFUSED": (
        "The config file was refused at the last reload: lbctld runs with the one before it.",
        "`systemctl reload lbctl` with a good one; a restart for what cannot change while it runs",
    ),
    "CONFIG_WARNED": ("lbctl's config can be used, and means something else than it seems.", "As the text says"),
    "MISSING_HERE": (
        "Something that the config names is not on this host, is closed to this user, or does not answer.",
        "As the text says",
    ),
    "DAEMON_UNREACHABLE": ("No daemon answers: the load balancers were asked directly.", "Start lbctld"),
    "VERSION_DIFFERS": ("The command line and the running daemon are of different versions.", "Restart lbctld"),
    "NO_PLAN": ("The daemon refuses a plan of this service as it stands.", "`lbctl plan SERVICE`"),
    "JOURNAL_BROKEN": ("The daemon cannot write its journal: nothing goes forward.", "Room on the disk of `state_dir`"),
    "NOT_DRIVABLE": (
        "The load balancer cannot be asked, or not by lbctl: socket, level, version, map.",
        "As the text says",
    ),
    "MAP_RIGHTS": (
        "A map file, or its directory, belongs to another user than lbctl's, or others may write it.",
        "Owner as `state_dir`, mode 0644 or less",
    ),
    "MAP_MANAGED": (
        "Config management or a clean-up of temporary files owns lbctl's map files, and will undo a release.",
        "Take the directory out of it",
    ),
    "CONFIG_MANAGED": (
        "HAProxy's config says that config management writes it.",
        "Put lbctl's lines into its template",
    ),
    "OTHER_BALANCER": (
        "There is a second load balancer (VRRP, peers) that lbctl on this host neither moves nor judges.",
        "Release on both hosts; know that the other one routes on its own after a takeover",
    ),
    "CLOCK_UNSYNCHRONISED": (
        "The kernel says that no time server keeps the clock. Decisions do not use it; freeze windows and texts do.",
        "`timedatectl set-ntp true`, or chrony",
    ),
    "QUEUE_SHORT": (
        "Unix datagrams wait in a queue that is too short: request lines get lost, and latency is not judged.",
        "net.unix.max_dgram_qlen = 4096, before lbctld starts",
    ),
    "BUFFER_SMALL": ("UDP request lines get lost in bursts.", "net.core.rmem_max = 8388608"),
    "NO_REQUEST_LOG": ("HAProxy sends no request lines: latency is not judged.", "`request_log:` of the data plane"),
    "LOG_LOST": ("HAProxy dropped log lines because nobody took them in time.", "A longer queue; a running lbctld"),
    "CONFIG_NOT_FOUND": ("HAProxy's config was not found, and was not looked at.", "`--haproxy-cfg FILE`"),
    "BACKEND_NOT_FOUND": (
        "HAProxy's config has no backend that lbctl's config names.",
        "`lbctl config render haproxy`",
    ),
    "SERVERS_DIFFER": (
        "A pool and its backend in HAProxy's config have different servers.",
        "The same names and addresses in both",
    ),
    "SOCKET_LEVEL": ("No `stats socket` of HAProxy has level admin.", "`level admin`"),
    "SOCKET_GROUP": (
        "lbctl's user may not open a socket of HAProxy's.",
        "`group lbctl`; of the master socket behind `-S`",
    ),
    "SOCKET_OPEN": ("Every user of the host may use a stats socket, and so move traffic.", "mode 660, lbctl's group"),
    "SOCKET_BY_TCP": ("A stats socket is open by TCP and asks for no password.", "A unix socket"),
    "NBPROC": ("Several processes share no map.", "`nbthread`"),
    "HARD_STOP": ("After a reload HAProxy cuts what is left after a time.", "Reload outside of releases"),
    "CHROOT": ("HAProxy looks for a `unix:` request log inside its chroot.", "UDP, or a socket inside"),
    "IDLE_CLOSE": ("Without `option idle-close-on-response` a reload cuts clients' next requests.", "The option"),
    "NO_REDISPATCH": ("Without `option redispatch` a refused connection is a failed request.", "The option"),
    "RULES_NOT_REACHED": (
        "A rule or a choice before lbctl's own lets requests past it: no split holds for them, and no rollback.",
        "lbctl's lines before it, as `lbctl config render haproxy --into` puts them",
    ),
    "RULES_BESIDE_SPLIT": ("A rule sends requests past split and sessions.", "Delete it"),
    "STICK_TABLE_ELSEWHERE": ("Users are bound by the stick table of another proxy.", "A cookie"),
    "STALE_STATE_FILE": (
        "A reload brings back weights and drains of an old day.",
        "`load-server-state-from-file none`",
    ),
    "COOKIE_NOT_READ": (
        "The server's name is hidden in the cookie; lbctl cannot keep sessions by it.",
        "`cookie … insert`",
    ),
    "COOKIE_SEEN_BY_SERVERS": ("Servers see the server cookie.", "`indirect nocache`"),
    "CUT_WHEN_DOWN": ("A server that fails its checks has all its requests cut.", "Know it"),
    "NOT_UNDERSTOOD": ("A word in HAProxy's config that lbctl does not know.", "Is it safe with two pools?"),
}
