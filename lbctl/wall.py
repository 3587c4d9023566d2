"""Wall time as text: ISO 8601 in UTC, to the millisecond. For people and receivers; nothing is ever decided by it."""

import datetime as dt


def now() -> str:
    """Return the time now."""
    return text(dt.datetime.now(dt.UTC))


def text(at: dt.datetime) -> str:
    """Return a time, whatever its zone."""
    return at.astimezone(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def of_unix(seconds: float) -> str:
    """Return the time so long after 1970."""
    return text(dt.datetime.fromtimestamp(seconds, dt.UTC))


def unix_ms(said: str) -> int:
    """Return the milliseconds from 1970 to the time that a text names. Raises ValueError."""
    return round(dt.datetime.fromisoformat(said).timestamp() * 1_000)
