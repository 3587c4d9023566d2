#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Drain one server, or let it be ready again."""

from __future__ import annotations

DOCUMENTATION = r"""
module: drain
short_description: Drain one server, or let it be ready again
description:
  - A drained server keeps the sessions it has and gets no new ones. lbctl remembers it over reloads of the load
    balancer and over its own restarts.
  - It is refused where it would take the last healthy capacity of a pool that takes traffic.
options:
  service:
    description: Whose server.
    type: str
    required: true
  pool:
    description: The pool it is in.
    type: str
    required: true
    choices: [blue, green]
  server:
    description: Its name, as in the config.
    type: str
    required: true
  state:
    description: V(drained) gives it no new sessions. V(ready) lets it be ready again, and waits until it is.
    type: str
    choices: [drained, ready]
    default: drained
  empty:
    description:
      - With V(state=drained), wait until every load balancer reads it back, nothing is in flight on any, and nothing
        came for O(quiet) seconds. A load balancer that cannot be read is waited for.
    type: bool
    default: false
  quiet:
    description: How many seconds without a request count as empty.
    type: int
    default: 30
  timeout:
    description: How many seconds to wait at most.
    type: int
    default: 3600
  reason:
    description: Why, for people. It is stored and told.
    type: str
    default: ""
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
"""

EXAMPLES = r"""
- name: Before the host is rebooted
  lbctl.core.drain:
    service: storefront
    pool: blue
    server: web-1
    empty: true

- name: Afterwards
  lbctl.core.drain:
    service: storefront
    pool: blue
    server: web-1
    state: ready
"""

RETURN = r"""
drained:
  description: Whether it is drained now.
  returned: always
  type: bool
  sample: true
in_flight:
  description: How many requests or connections are in flight there; null where not every load balancer can be read.
  returned: always
  type: int
  sample: 0
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem, shown, wait_until


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        service={"type": "str", "required": True},
        pool={"type": "str", "required": True, "choices": ["blue", "green"]},
        server={"type": "str", "required": True},
        state={"type": "str", "choices": ["drained", "ready"], "default": "drained"},
        empty={"type": "bool", "default": False},
        quiet={"type": "int", "default": 30},
        timeout={"type": "int", "default": 3600},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        module.exit_json(**_done(module, Daemon(module.params["socket"])))
    except Problem as problem:
        problem.fail(module)


def _done(module, daemon):
    given = module.params
    wish = given["state"] == "drained"
    before = _server(given, daemon)
    changed = _is_drained(before) is not wish
    told = shown({"drained": not wish}, {"drained": wish}) if changed else shown({}, {})
    if changed and not module.check_mode:
        body = {"pool": given["pool"], "server": given["server"], "on": wish, "reason": given["reason"]}
        daemon.post("services", given["service"], "drain", **body)
    if module.check_mode:
        return dict(_told(before), changed=changed, diff=told)
    return dict(_told(_settled(given, daemon, wish)), changed=changed, diff=told)


def _settled(given, daemon, wish):
    """Wait for what was asked for: empty, or ready again everywhere."""
    seen = {"requests": None, "since": time.monotonic()}

    def look():
        one = _server(given, daemon)
        if not wish:
            return one if one["drained"] is None else None
        if not given["empty"]:
            return one if _is_drained(one) else None
        if not _is_drained(one):
            what = "{} is not drained any more".format(given["server"])
            raise Problem(what, why="somebody lets it be ready again", code="not_drained", exit_code=5)
        # Where nobody knows a number, somebody may be there.
        unknown = one["requests"] is None or not one["drained"]["read_back"]
        if unknown or one["requests"] != seen["requests"] or one["in_flight"] != 0:
            seen.update(requests=one["requests"], since=time.monotonic())
        return one if time.monotonic() - seen["since"] >= given["quiet"] else None

    what = "{} is not empty".format(given["server"]) if wish else "{} is not ready again".format(given["server"])
    return wait_until(look, given["timeout"], what)


def _server(given, daemon):
    service = daemon.service(given["service"])
    one = service["servers"].get(given["server"])
    if one is None or one["pool"] != given["pool"]:
        what = "{} of {} has no server {}".format(given["pool"], given["service"], given["server"])
        raise Problem(
            what, then="lbctl status {} --servers".format(given["service"]), code="no_such_server", exit_code=7
        )
    return one


def _is_drained(one):
    return bool(one["drained"]) and one["drained"]["state"] == "drain"


def _told(one):
    return {"drained": _is_drained(one), "in_flight": one["in_flight"]}


if __name__ == "__main__":
    main()
