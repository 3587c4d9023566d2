"""The line that HAProxy logs for every request: its writer (the rendered config) and its reader agree here.

It is a structured-data element of a syslog line (RFC 5424), so that the operator's own `log-format` stays as it is:

    <134>1 2026-11-26T23:01:12.467689+00:00 - haproxy 289 - [lbctl@0 r="edge/lb1|web_blue|w1|200|----|51|0"] …

Nothing of it comes from a client, and it stands before everything that does.
"""

SD_ID = "lbctl@0"
SD_PARAM = "r"
SEPARATOR = "|"

FIELDS = ("instance", "backend", "server", "status", "ending", "active_ms", "upload_ms")
"""`instance`: the `PLANE/NAME` of who sends it. `ending`: HAProxy's termination state. `active_ms`: from the first byte
of the request to the last byte of the answer. `upload_ms`: the part in which the client sent its headers."""
