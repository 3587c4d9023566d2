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
    "stray request",
    "connections closed by force",
)
"""What must be met."""
OUTCOMES = ("crash", "landed", "certified", "finished", "rolled_back", "cancelled")
"""What is counted besides: how releases end, and how often anything changed."""
