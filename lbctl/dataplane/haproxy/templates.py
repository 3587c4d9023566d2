"""The sections of HAProxy's config as text: a frontend for each form and protocol, and the backends behind it.

Rules of an HTTP frontend, in their order: is the caller pinned (see `pinrules`), which colour had this session (its server cookie), is that session still
honoured, else it moves to the other colour; without a session the split decides. In form `map` the rules draw the
colour; a session without bucket gets one below its colour's limit and is born honoured. In form `weights` the weights
of the one backend draw it, and a session that moves loses its server cookie for this request, so that they draw anew.
"""

HEAD = """# Rendered by lbctl for {name}. Frontends, backends and tables only; the global section must contain:
#     stats socket {socket} mode 600 level admin
# and the master must be started with `haproxy -W -S {master},mode,600`.
# Where lbctld runs as another user than HAProxy: mode 660 and lbctl's group on both, never more.
# HAProxy does not start without {map} and its like: `lbctl config render haproxy --write-maps` makes them.
"""

FRONTEND = """
frontend {name}
    mode http
    bind {bind}
{log}    option idle-close-on-response
    timeout client 1h
    timeout http-request 10s
    timeout http-keep-alive 1m
"""

STATE = """    http-request set-var(txn.lb_state) str({name}),map({map})
    http-request set-var(txn.lb_mix) bool(true) if !{{ var(txn.lb_state) -m reg {value} }}
    http-request set-var(txn.lb_state) str({default}) if {{ var(txn.lb_mix) -m bool }}
"""

KEEP = """{had}
    http-request set-var(txn.lb_keep) var(txn.lb_state),field(2,:),add(0) if {{ var(txn.lb_had) -m str blue }}
    http-request set-var(txn.lb_keep) var(txn.lb_state),field(3,:),add(0) if {{ var(txn.lb_had) -m str green }}
"""

BY_MAP = """    http-request set-var(txn.lb_green) var(txn.lb_state),field(1,:),add(0)
    http-request set-var(txn.lb_mix) bool(true) if {{ var(txn.lb_green) -m int 1:9999 }}
{keep}    http-request set-var(txn.lb_bucket) req.cook({bucket}),add(0) if {{ req.cook({bucket}) -m reg ^[0-9]{{1,4}}$ }}
    # 1 kept session (no bucket yet = kept)   2 session to move: the other colour, never drawn   3 new: by the split
    http-request set-var(txn.lb_why) str(kept) if !{{ var(txn.lb_why) -m found }} {{ var(txn.lb_had) -m found }} !{{ var(txn.lb_bucket) -m found }} !{{ var(txn.lb_keep) -m int 0 }}
    http-request set-var(txn.lb_why) str(kept) if !{{ var(txn.lb_why) -m found }} {{ var(txn.lb_had) -m found }} {{ var(txn.lb_bucket) -m found }} {{ var(txn.lb_bucket),sub(txn.lb_keep) -m int lt 0 }}
    http-request set-var(txn.lb_why) str(moved) if !{{ var(txn.lb_why) -m found }} {{ var(txn.lb_had) -m found }}
    http-request set-var(txn.lb_why) str(new) if !{{ var(txn.lb_why) -m found }}
    http-request set-var(txn.lb_colour) var(txn.lb_had) if {{ var(txn.lb_why) -m str kept }}
    http-request set-var(txn.lb_colour) str(green) if {{ var(txn.lb_why) -m str moved }} {{ var(txn.lb_had) -m str blue }}
    http-request set-var(txn.lb_colour) str(blue) if {{ var(txn.lb_why) -m str moved }} {{ var(txn.lb_had) -m str green }}
    http-request set-var(txn.lb_colour) str(green) if {{ var(txn.lb_why) -m str new }} {{ rand(10000),sub(txn.lb_green) -m int lt 0 }}
    http-request set-var(txn.lb_colour) str(blue) if !{{ var(txn.lb_colour) -m found }}
    http-request set-var(txn.lb_limit) var(txn.lb_state),field(2,:),add(0) if {{ var(txn.lb_colour) -m str blue }}
    http-request set-var(txn.lb_limit) var(txn.lb_state),field(3,:),add(0) if {{ var(txn.lb_colour) -m str green }}
    http-request set-var(txn.lb_give) rand(10000),mod(txn.lb_limit) if !{{ var(txn.lb_bucket) -m found }} {{ var(txn.lb_limit) -m int gt 0 }}
    http-after-response add-header Set-Cookie "{bucket}=%[var(txn.lb_give)]; path=/; HttpOnly; SameSite=Lax{secure}" if {{ var(txn.lb_give) -m found }}
"""

CHOICE = """    # Only while both pools take new traffic (or nobody said which does) may one stand in for the other.
    use_backend {green} if {{ var(txn.lb_mix) -m bool }} {{ var(txn.lb_colour) -m str blue }} {{ nbsrv({blue}) eq 0 }} {{ nbsrv({green}) gt 0 }}
    use_backend {blue} if {{ var(txn.lb_mix) -m bool }} {{ var(txn.lb_colour) -m str green }} {{ nbsrv({green}) eq 0 }} {{ nbsrv({blue}) gt 0 }}
    use_backend {green} if {{ var(txn.lb_colour) -m str green }}
    default_backend {blue}
"""

BY_WEIGHTS = """{keep}    http-request set-var(txn.lb_bucket) req.cook({bucket}),add(0) if {{ req.cook({bucket}) -m reg ^[0-9]{{1,4}}$ }}
    # As in form `map`, but where a session that moves goes, and a new one, the weights decide.
    http-request set-var(txn.lb_why) str(new) if !{{ var(txn.lb_had) -m found }}
    http-request set-var(txn.lb_why) str(kept) if !{{ var(txn.lb_why) -m found }} !{{ var(txn.lb_bucket) -m found }} !{{ var(txn.lb_keep) -m int 0 }}
    http-request set-var(txn.lb_why) str(kept) if !{{ var(txn.lb_why) -m found }} {{ var(txn.lb_bucket) -m found }} {{ var(txn.lb_bucket),sub(txn.lb_keep) -m int lt 0 }}
    http-request set-var(txn.lb_why) str(moved) if !{{ var(txn.lb_why) -m found }}
    http-request set-var(txn.lb_moved) bool(true) if {{ var(txn.lb_why) -m str moved }}
    http-request set-var(txn.lb_give) rand(10000) if !{{ var(txn.lb_bucket) -m found }} !{{ var(txn.lb_why) -m str kept }}
    http-request set-var(txn.lb_give) rand(10000),mod(txn.lb_keep) if !{{ var(txn.lb_bucket) -m found }} {{ var(txn.lb_why) -m str kept }}
    http-after-response add-header Set-Cookie "{bucket}=%[var(txn.lb_give)]; path=/; HttpOnly; SameSite=Lax{secure}" if {{ var(txn.lb_give) -m found }}
    # A session to move: its server cookie is taken away, and the weights choose anew. Twice, for a cookie sent twice.
    http-request replace-header Cookie '^(.*; *)?{pattern}=[^;]*(.*)$' '\\1lbctl_moved=1\\2' if {{ var(txn.lb_moved) -m bool }}
    http-request replace-header Cookie '^(.*; *)?{pattern}=[^;]*(.*)$' '\\1lbctl_moved=1\\2' if {{ var(txn.lb_moved) -m bool }}
    default_backend {blue}
"""

TCP_FRONTEND = """
frontend {name}
    mode tcp
    bind {bind}
    timeout client 1h
    tcp-request content set-var(txn.lb_state) str({name}),map({map})
    tcp-request content set-var(txn.lb_mix) bool(true) if !{{ var(txn.lb_state) -m reg {value} }}
    tcp-request content set-var(txn.lb_state) str({default}) if {{ var(txn.lb_mix) -m bool }}
"""

TCP_BY_MAP = """    tcp-request content set-var(txn.lb_green) var(txn.lb_state),field(1,:),add(0)
    tcp-request content set-var(txn.lb_mix) bool(true) if {{ var(txn.lb_green) -m int 1:9999 }}
    tcp-request content set-var(txn.lb_colour) str(green) if !{{ var(txn.lb_colour) -m found }} {{ rand(10000),sub(txn.lb_green) -m int lt 0 }}
    tcp-request content set-var(txn.lb_colour) str(blue) if !{{ var(txn.lb_colour) -m found }}
"""

BACKEND = """
backend {backend}
    mode {mode}
    balance {balance}
    option redispatch
    retries 3
{http}    timeout connect 2s
    timeout queue 5s
    timeout server 1h
    timeout tunnel 1h
    timeout check {check_timeout_ms}ms
{more}{check}{servers}
"""

HTTP_BACKEND = """    retry-on conn-failure
"""
COOKIE = """    cookie {cookie} insert indirect nocache httponly{secure}
"""
STATE_FILE = """    load-server-state-from-file local
    server-state-file-name {state}
"""

FROM_LISTENER = """    {rule} set-var(txn.lb_from) so_name if {{ so_name -m str -- {names} }}
"""
AT = """    {rule} set-var(txn.lb_at) src,map_ip({file})
"""
FROM_ADDRESS = """    {rule} set-var(txn.lb_from) var(txn.lb_at) if !{{ var(txn.lb_from) -m found }} {{ var(txn.lb_at) -m str -- {names} }}
"""
FROM_HEADER = """    {rule} set-var(txn.lb_from) req.fhdr({header}) if !{{ var(txn.lb_from) -m found }} {{ var(txn.lb_at) -m str -- {by_header} }} {{ req.fhdr_cnt({header}) eq 1 }} {{ req.fhdr({header}) -m str -- {names} }}
"""
PINS = """    # Who calls, and where to. Without an entry of his own a caller follows the split.
{told}    {rule} set-var(txn.lb_pin) str({name}<),concat(,txn.lb_from),map({map}) if {{ var(txn.lb_from) -m found }}
    {rule} {refuse} if {{ var(txn.lb_pin) -m str none }}
    {rule} set-var(txn.lb_colour) var(txn.lb_pin) if {{ var(txn.lb_pin) -m str blue green }}
    {rule} set-var(txn.lb_why) str(pin) if {{ var(txn.lb_colour) -m found }}
"""
STAY = """    {rule} unset-var(txn.lb_mix) if {{ var(txn.lb_why) -m str pin }}
"""
COUNT = """    {rule} set-var(txn.lb_from) str({unknown}) if !{{ var(txn.lb_from) -m found }}
    {rule} track-sc2 var(txn.lb_from),concat(>{colour}) table {table}
"""
TABLE = """
peers {section}
    disabled
    table {table} type string len {length} size {size} nopurge store {counter}
"""

PREVIEW_SAID = """    # A request from a listed network may name its pool; whoever is known to be a consumer pool may not.
"""
PREVIEW_TAKEN = """    http-request set-var(txn.lb_preview) req.fhdr({header}) if !{{ var(txn.lb_from) -m found }} {{ src {networks} }} {{ req.fhdr_cnt({header}) eq 1 }} {{ req.fhdr({header}) -m str blue green }}
"""
PREVIEW_STRIPPED = """    http-request del-header {header}
"""
PREVIEW = """    # A preview is nobody's session: it gets no bucket.
    http-request set-var(txn.lb_why) str(preview) if { var(txn.lb_preview) -m found }
    http-request set-var(txn.lb_bucket) int(0) if { var(txn.lb_preview) -m found }
"""
PREVIEW_CHOICE = """    use_backend {green} if {{ var(txn.lb_preview) -m str green }}
    use_backend {blue} if {{ var(txn.lb_preview) -m str blue }}
"""
PREVIEW_BACKEND = """
backend {backend}
    mode http
    balance random
    option redispatch
    retries 3
    retry-on conn-failure
    timeout connect 2s
    timeout queue 5s
    timeout server 1h
    timeout tunnel 1h
    http-after-response set-header {header} {colour}
{servers}
"""
