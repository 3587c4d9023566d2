"""The lines of a frontend that make HAProxy tell every request. See `lbctl.model.logline` for what they say and why."""

from lbctl.model.logline import FIELDS, SD_ID, SD_PARAM, SEPARATOR

_TELLS = {
    "backend": "%b",
    "server": "%s",
    "status": "%ST",
    "ending": "%tsc",
    "active_ms": "%Ta",
    "upload_ms": "%TR",
    "why": "%[var(txn.lb_why)]",
    "bucket": "%[var(txn.lb_bucket)]",
}
_LENGTH = 512
"""The element fits easily; of what follows it, which has client addresses and URLs, hardly anything is sent."""

TIMES = "# Times of requests for lbctl. Keep your own `log` lines; your own `log-format` may stand for httplog."
LINES = """    {times}
    log {at} len {length} format rfc5424 local0
    log-format-sd "{element}"
    option httplog
"""


def log_lines(instance: str, at: str) -> str:
    """Return the lines for one HAProxy that sends to `at`. Both are plain words."""
    told = SEPARATOR.join({"instance": instance, **_TELLS}[field] for field in FIELDS)
    element = f'[{SD_ID} {SD_PARAM}=\\"{told}\\"]'
    return LINES.format(times=TIMES, at=at, length=_LENGTH, element=element)
