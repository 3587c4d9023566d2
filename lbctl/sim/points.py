"""Every fault that the simulated world can do, by name. Each is counted where it happens; a fault that no seed of a
test meets proves nothing."""

BOUNDARIES = tuple(
    f"{when} {effect}"
    for effect in ("Mark", "Free", "Save", "Note", "Apply", "Reply", "Ask")
    for when in ("before", "after")
)
"""Where a process can be killed: around every effect, and between the parts of a batch."""
CRASHES = tuple(
    f"crash {where}"
    for where in (
        *BOUNDARIES,
        "within Apply runtime",
        "within Apply boot",
        "before recorded",
        "before applied",
        "after durable",
        "between two steps",
    )
)
PERSON_ASKS = ("Pause", "Resume", "Promote", "Rollback", "Cancel", "Undo", "Maintenance")
POINTS = (
    *CRASHES,
    "crash, a write under way is lost",
    "crash, a write under way is there",
    "reboot",
    "reboot, the load balancers live on",
    "reboot, the end of the journal is torn",
    "reboot, the clock goes back",
    "operation late",
    "operation lost",
    "operation stuck",
    "operation lands, nobody hears",
    "operation refused",
    "operation of a dead process lands",
    "operation outcome unknown",
    "operation stale: fence",
    "operation stale: generation",
    "operation stale: route",
    "batch of one instance overtakes another's",
    "load balancer unreadable",
    "load balancer stalled",
    "reading skipped",
    "reload",
    "reload, old workers go on",
    "reload, no routes told yet",
    "restart",
    "edit",
    "edit of the boot value",
    "two instances",
    "one file is both",
    "fence dies with the process",
    "disk full",
    "write failed",
    "write slow",
    "server dies",
    "pool dies",
    "errors of blue",
    "errors of green",
    "errors of both",
    "checker late",
    "checker suspect",
    "tokens gone",
    "person asks",
    "person regrets",
    "host suspended",
    "job claims",
    "job gives back",
    "job says ready",
    "job withdraws",
    "job's release ends",
    "hook says no",
    "hook wants back",
    "hook answers late",
    "hook never answers",
    "session moved",
    "user stays",
    "users cut off",
    "stray request",
    "connections closed by force",
)
"""What must be met."""
OUTCOMES = ("crash", "landed", "certified", "finished", "rolled_back", "cancelled")
"""What is counted besides: how releases end, and how often anything changed."""
_ONE_SERVICE = (
    *(f"crash {when} {effect}" for effect in ("Mark", "Free", "Ask") for when in ("before", "after")),
    "two instances",
    "one file is both",
    "fence dies with the process",
    "reboot, the end of the journal is torn",
    "reboot, the clock goes back",
)
"""What the world of one service is asked for: a unit has it not, or too seldom."""
UNIT_POINTS = (
    *(
        point
        for point in POINTS
        if point not in _ONE_SERVICE and not point.startswith(("hook", "job", "session", "users", "connections"))
    ),
    *(f"person asks for {what}" for what in PERSON_ASKS),
    "person undoes",
    "stopped pool is started again",
    "old pool is stopped",
    "call stays",
    "job is refused a claim",
    "job takes over",
    "job runs out of time",
    *(f"job dies while it {stage}" for stage in ("claims", "waits", "deploys", "says")),
    "job deploys",
    "job says ready late",
    "job says ready twice",
    "job is ready",
    "job is not ready",
    "job withdraws",
    "job gives back",
    "job says stopped",
)
"""What must be met in the world of a unit: the faults of one service, and what teams, people and pools do there."""
UNIT_OUTCOMES = (
    "crash",
    "landed",
    "granted",
    "certified",
    *(
        f"{who} {end}"
        for who in ("joint", "accounts alone", "storefront alone")
        for end in ("finished", "rolled_back", "cancelled")
    ),
)
"""What is counted besides: which services went over, alone or together, and how that ended."""
