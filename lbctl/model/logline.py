"""The line that HAProxy logs for every request: its writer (the rendered config) and its reader agree here.

It is a structured-data element of a syslog line (RFC 5424), so that the operator's own `log-format` stays as it is:

    <134>1 2026-11-26T23:01:12.467689+00:00 - haproxy 289 - [lbctl@0 r="edge/lb1|web_blue|w1|200|----|51|0|kept|4711"] …

Nothing of it comes from a client, and it stands before everything that does.
"""

SD_ID = "lbctl@0"
SD_PARAM = "r"
SEPARATOR = "|"

TIMES = ("instance", "backend", "server", "status", "ending", "active_ms", "upload_ms")
"""What a line had before it told sessions: such lines are still read."""
SESSIONS = ("why", "bucket")
FIELDS = (*TIMES, *SESSIONS)
"""`instance`: the `PLANE/NAME` of who sends it. `ending`: HAProxy's termination state. `active_ms`: from the first byte
of the request to the last byte of the answer. `upload_ms`: the part in which the client sent its headers. `why`:
`kept`, `moved`, `new` or `pin`, what decided the pool; `bucket`: the session's number. Both are `-` where there is
none, and are the load balancer's own words: no text of a client's."""
