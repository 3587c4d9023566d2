"""A small valid config, and how tests read a changed one."""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from lbctl.config.accounts import Accounts
from lbctl.config.load import Config, ConfigError, load_text

VALID = """\
apiVersion: lbctl/v1
daemon: {state_dir: /var/lib/lbctl, runtime_dir: /run/lbctl, control_socket: /run/lbctl/control.sock}
data_planes:
  edge:
    driver: haproxy
    instances:
      lb1: {socket: /run/haproxy/admin.sock, master_socket: /run/haproxy/master.sock, map_dir: /var/lib/lbctl/haproxy}
  demo:
    driver: envoy
    mode: embedded
services:
  accounts:
    data_plane: edge
    haproxy: {form: map, backends: {blue: accounts_blue, green: accounts_green}}
    pools:
      blue: {a-blue-1: 10.0.1.11:8080, a-blue-2: 10.0.1.12:8080}
      green: {a-green-1: 10.0.1.21:8080, a-green-2: 10.0.1.22:8080}
    listen: 10.0.0.5:9000
    health: {http: /healthz, interval: 1s, timeout: 500ms, rise: 2, fall: 3}
  web:
    data_plane: demo
    listen: 127.0.0.1:8080
    pools:
      blue: {blue-1: 127.0.0.1:8081}
      green: {green-1: 127.0.0.1:8091}
    steps: [1%, 25%, 100%]
    hold: {min: 2m, max: 30m, then: ask}
alerts:
  - {name: ops, exec: /usr/local/bin/page-ops, on: [rollback, held, page]}
access:
  observe: {group: lbctl}
  gate: {web: {group: ci-web}}
"""

SHOP = """\
apiVersion: lbctl/v1
daemon: {state_dir: /var/lib/lbctl, runtime_dir: /run/lbctl, control_socket: /run/lbctl/control.sock}
data_planes:
  edge:
    driver: haproxy
    instances:
      lb1: {socket: /run/haproxy/admin.sock, master_socket: /run/haproxy/master.sock, map_dir: /var/lib/lbctl/haproxy}
services:
  accounts:
    data_plane: edge
    haproxy: {form: map}
    pools: {blue: {a-1: 10.0.1.1:80, a-2: 10.0.1.2:80}, green: {a-3: 10.0.1.3:80, a-4: 10.0.1.4:80}}
    listen: 10.0.0.5:9000
    consumers:
      storefront: {pin: listener, blue: 10.0.0.5:9001, green: 10.0.0.5:9002}
  storefront:
    data_plane: edge
    haproxy: {form: map}
    pools: {blue: {s-1: 10.0.2.1:80, s-2: 10.0.2.2:80}, green: {s-3: 10.0.2.3:80, s-4: 10.0.2.4:80}}
    listen: 10.0.0.5:8000
  pay:
    data_plane: edge
    haproxy: {form: map}
    pools: {blue: {p-1: 10.0.3.1:80}, green: {p-2: 10.0.3.2:80}}
    steps: [50%, 100%]
units:
  shop:
    services: [accounts, storefront]
    steps: [1%, 100%]
"""

GROUPS = {"lbctl": 990, "ci-web": 991}
HOSTS = {"app.example": ["10.9.9.9"], "two.example": ["10.9.9.1", "10.9.9.2"]}


def resolve(host: str) -> Sequence[str]:
    """Know a few names."""
    if host not in HOSTS:
        raise OSError(-2, "Name or service not known")
    return HOSTS[host]


def config(
    text: str, *, uid: int = 0, environ: Mapping[str, str] | None = None, file: str | Path = "lbctl.yaml"
) -> Config:
    """Load text on a host with a few groups and names."""
    accounts = Accounts(uid_of={"root": 0, "nobody": 65_534}.get, gid_of=GROUPS.get)
    return load_text(
        str(file), textwrap.dedent(text).encode(), uid=uid, environ=environ or {}, resolve=resolve, accounts=accounts
    )


def faults(text: str, *, uid: int = 0, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the rendered faults; none if it loads."""
    try:
        config(text, uid=uid, environ=environ)
    except ConfigError as error:
        return error.render().splitlines()
    return []


def changed(*edits: tuple[str, str], text: str = VALID) -> str:
    """Return the valid config with texts replaced; each must be there."""
    for old, new in edits:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text
