#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Wait until an old pool is proved unused, or say that it is stopped."""

from __future__ import annotations

DOCUMENTATION = r"""
module: retired
short_description: Wait until the old pool of a release is proved unused, or say that it is stopped
description:
  - An old pool may be stopped when it is certified - no load balancer has a request of it in flight, none came for a
    while, and no session is honoured there any more. Waiting changes nothing.
  - A pool that others call is certified when its last consumer is certified and stopped.
options:
  service:
    description: Whose old pool.
    type: str
    required: true
  target:
    description: The number of a release, or a service or unit - its last one. Without it that of O(service).
    type: str
  state:
    description:
      - V(certified) waits for the certificate.
      - V(stopped) says that the certified pool is stopped. That is needed only where lbctl does not check the servers
        at their own port; else it sees that they refuse connections.
    type: str
    choices: [certified, stopped]
    default: certified
  timeout:
    description: How many seconds to wait at most.
    type: int
    default: 10800
  reason:
    description: Why, for people. It is stored and told.
    type: str
    default: ""
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
seealso:
  - module: lbctl.core.release
"""

EXAMPLES = r"""
- name: Nobody is on the old storefront any more
  lbctl.core.retired:
    service: storefront
  register: old

- name: So it may go
  ansible.builtin.systemd_service: {name: "storefront@{{ old.colour }}", state: stopped}
"""

RETURN = r"""
colour:
  description: The old pool.
  returned: always
  type: str
  sample: blue
certified:
  description: Whether it is proved unused.
  returned: always
  type: bool
  sample: true
certificate:
  description: Who looked, what was counted, since when. None while there is none.
  returned: always
  type: dict
  sample: {confidence: full, unused_since_ms: 31000}
holders:
  description: On a time-out, who is still there - client, server, age.
  returned: failure
  type: list
  elements: dict
  sample: [{client: "10.0.0.7:51234", server: web-blue-1, age_ms: 90000}]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, TIMED_OUT, Daemon, Problem, wait_until


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        service={"type": "str", "required": True},
        target={"type": "str"},
        state={"type": "str", "choices": ["certified", "stopped"], "default": "certified"},
        timeout={"type": "int", "default": 10800},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    daemon, last = Daemon(module.params["socket"]), {}
    try:
        module.exit_json(**_done(module, daemon, last))
    except Problem as problem:
        problem.fail(module, holders=last.get("holders", []))


def _done(module, daemon, last):
    given = module.params
    if given["state"] == "stopped":
        return _stopped(module, daemon, last)
    if module.check_mode:
        return _told(_look(given, daemon, last), changed=False)

    def certified():
        found = _look(given, daemon, last)
        if found["final"]:
            raise Problem(found["waits"], code="void", exit_code=5)
        return found if found["certified"] else None

    try:
        return _told(wait_until(certified, given["timeout"], "it is not certified"), changed=False)
    except Problem as problem:
        if problem.code != "timed_out":
            raise
        what = "the old pool of {} is not certified".format(given["service"])
        raise Problem(what, last.get("waits", ""), code="timed_out", exit_code=TIMED_OUT) from None


def _stopped(module, daemon, last):
    given = module.params
    found = _look(given, daemon, last)
    release = daemon.release(found["release"])
    over = release["phase"] not in ("draining", "retiring")
    if over or given["service"] in release["stopped"]:
        return _told(found, changed=False)
    if not module.check_mode:
        daemon.post("services", given["service"], "stopped", release=found["release"], reason=given["reason"])
    return _told(found, changed=True)


def _look(given, daemon, last):
    target = given["target"] or given["service"]
    last.update(daemon.get("releases", target, "retired", service=given["service"]))
    return last


def _told(found, changed):
    return {
        "changed": changed,
        "colour": found["colour"],
        "certified": found["certified"],
        "certificate": found["certificate"],
    }


if __name__ == "__main__":
    main()
