"""The words of an alert's `on:`."""

ALERT_WORDS = (
    "started", "step", "finished", "certified", "cancelled", "rollback", "held", "paused", "drift", "instance",
    "health", "journal", "service", "board", "config", "daemon", "page",
)  # fmt: skip
"""What an alert may be told of; `page`: everything that a person must act on."""

ALERT_DEFAULT = tuple(word for word in ALERT_WORDS if word != "step")
