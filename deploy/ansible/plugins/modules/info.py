#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Read what lbctl knows."""

from __future__ import annotations

DOCUMENTATION = r"""
module: info
short_description: Read what serves, what moves, and why it waits
description:
  - Reads the control socket of lbctl and changes nothing.
options:
  target:
    description: A service or a unit; without it, all.
    type: str
  build:
    description: A build whose fate is wanted, too.
    type: str
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
"""

EXAMPLES = r"""
- name: What serves shop
  lbctl.core.info:
    target: shop
  register: shop

- name: Say it
  ansible.builtin.debug:
    msg: "accounts is on {{ shop.services.accounts.active }}"
"""

RETURN = r"""
services:
  description: Each service with its pools, servers, share, claim and place on the board.
  returned: always
  type: dict
  sample: {accounts: {active: blue, mode: adopted, share_bp: 0, phase: null, claim: null}}
units:
  description: Each unit of several services with its pins, board and claims.
  returned: always
  type: dict
  sample: {shop: {services: [accounts, storefront], phase: null, board: {}}}
releases:
  description: The running or last release of each service or unit.
  returned: always
  type: list
  elements: dict
  sample: [{id: "42", phase: shifting, share_bp: 2500}]
why:
  description: Why the release of O(target) waits.
  returned: when O(target) is given
  type: list
  elements: dict
  sample: [{what: "held for another 1m48s", needs: time}]
fate:
  description: What became of O(build). None if nobody said that it is ready.
  returned: when O(build) is given
  type: dict
  sample: {word: waiting, text: "waiting for storefront"}
daemon:
  description: Version and journal of the daemon.
  returned: always
  type: dict
  sample: {version: 0.1.0, journal: ok}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem


def main():
    """Run the module."""
    options = dict(OPTIONS, target={"type": "str"}, build={"type": "str"})
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    daemon = Daemon(module.params["socket"])
    try:
        module.exit_json(changed=False, **_read(module.params, daemon))
    except Problem as problem:
        problem.fail(module)


def _read(given, daemon):
    found = dict(daemon.get("status", service=given["target"]))
    found.update(daemon.get("releases", service=given["target"]))
    if given["target"]:
        found["why"] = _why(given["target"], daemon)
    if given["build"]:
        found["fate"] = daemon.fate(given["build"])
    return found


def _why(target, daemon):
    """Return the reasons to wait; without any release, there are none."""
    try:
        return daemon.get("why", target)["lines"]
    except Problem as problem:
        if problem.code != "no_such_release":
            raise
        return []


if __name__ == "__main__":
    main()
