"""Runs in a process of its own and hands one alert to apprise: its libraries, threads and faults stay out of lbctld.

Reads `{"url", "title", "body", "type"}` from stdin, so that the url is in no list of processes. Exit 0 is a delivery;
else one line on stderr says why, without anything of the url but its scheme.
"""

import json
import logging
import os
import re
import sys
from typing import Any

WORD_MIN = 4
"""Shorter parts of a url are no secrets, and are words of every sentence."""
SAID_MAX = 300
NOT_DELIVERED, NOT_UNDERSTOOD, BROKEN = 1, 4, 70


class _Heard(logging.Handler):
    """The last thing apprise complained about."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage()


def main() -> None:
    """Deliver, and end with the exit code."""
    # Whatever libraries print may hold the url.
    stderr = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    url = ""
    try:
        asked = json.load(sys.stdin)
        url = str(asked["url"])
        code, why = _delivered(asked)
    except Exception as error:  # noqa: BLE001 - a fault of a plugin is an answer too
        code, why = BROKEN, type(error).__name__
    if why:
        os.write(stderr, without(url, why).encode("utf-8", "replace"))
    os._exit(code)


def _delivered(asked: dict[str, Any]) -> tuple[int, str]:
    import apprise  # noqa: PLC0415 - an extra, and slow

    heard = _Heard()
    for name in ("apprise", ""):
        logging.getLogger(name).handlers = [heard]
    app = apprise.Apprise(asset=apprise.AppriseAsset(app_id="lbctl", app_desc="lbctl", app_url="", async_mode=False))
    if not app.add(asked["url"]):
        return NOT_UNDERSTOOD, f"apprise cannot read the url: {heard.said}"
    done = app.notify(body=asked["body"], title=asked["title"], notify_type=asked["type"], body_format="text")
    return (0, "") if done else (NOT_DELIVERED, heard.said or "apprise could not deliver it")


def without(url: str, text: str) -> str:
    """Return `text` without any part of the url that follows its scheme."""
    _, _, rest = url.partition("://")
    words = {url, rest, *re.split(r"[/:@?&=#,+]+", rest)}
    for word in sorted((one for one in words if len(one) >= WORD_MIN), key=len, reverse=True):
        text = re.sub(re.escape(word), "(hidden)", text, flags=re.IGNORECASE)
    return " ".join(text.split())[:SAID_MAX]


if __name__ == "__main__":
    main()
