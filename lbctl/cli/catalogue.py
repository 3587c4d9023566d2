"""Every command: its name, where it lives, one line of help. The lazy loader and the reference page read this."""

COMMANDS: dict[str, tuple[str, str]] = {
    "status": ("reads:status", "What serves now, what moves, why it waits, what is next."),
    "plan": ("releases:plan", "What a switch would do, and what would stop it."),
    "switch": ("releases:switch", "Release a service to its other pool, step by step."),
    "release": ("release:release", "Follow releases: status, wait, list, show, cancel."),
    "pause": ("releases:pause", "Hold a release where it is."),
    "resume": ("releases:resume", "End a pause or a latched hold."),
    "promote": ("releases:promote", "Go to the next step now."),
    "rollback": ("releases:rollback", "Go back now."),
    "why": ("reads:why", "Why a release waits: since when, for what, until when."),
    "history": ("reads:history", "Past releases."),
    "events": ("events:events", "What happened, one line each."),
    "explain": ("reads:explain", "Every decision of a release with its numbers."),
    "watch": ("events:watch", "Follow live."),
    "adopt": ("services:adopt", "Start driving a service."),
    "maintenance": ("services:maintenance", "Stop or resume all writes."),
    "notify": ("services:notify", "Alerts: test."),
    "envoy": ("envoy:envoy", "The embedded Envoy: start, stop, status."),
    "config": ("config:config", "Config files: validate, show, schema, render."),
    "demo": ("demo:demo", "Two real releases on this machine, in under 90 s."),
    "version": ("reads:version", "Versions of lbctl and of the daemon."),
}
