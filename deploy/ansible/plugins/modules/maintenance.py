#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Stop or resume all writes."""

from __future__ import annotations

DOCUMENTATION = r"""
module: maintenance
short_description: Stop or resume all writes of lbctl
description:
  - In maintenance lbctl writes nothing to a load balancer, starts no release and holds a running one. Only a person's
    rollback still writes. Traffic stays as it is.
options:
  target:
    description: A service or a unit; without it, all.
    type: str
  state:
    description: V(present) turns maintenance on, V(absent) off.
    type: str
    choices: [present, absent]
    default: present
  reason:
    description: Why, for people. It is stored and told.
    type: str
    default: ""
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
"""

EXAMPLES = r"""
- name: Nothing moves while the load balancer is upgraded
  lbctl.core.maintenance:
    reason: HAProxy is upgraded
"""

RETURN = r"""
services:
  description: The mode of each service - observe, adopted or maintenance.
  returned: always
  type: dict
  sample: {accounts: maintenance, storefront: maintenance}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem, shown, wait_until

SETTLE_S = 10


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        target={"type": "str"},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    daemon = Daemon(module.params["socket"])
    try:
        module.exit_json(**_set(module, daemon))
    except Problem as problem:
        problem.fail(module)


def _set(module, daemon):
    given = module.params
    on = given["state"] == "present"
    before = _modes(daemon, given["target"])
    changed = any((mode == "maintenance") is not on for mode in before.values())
    if not changed:
        return {"changed": False, "services": before}
    after = {name: _mode(mode, on) for name, mode in before.items()}
    told = shown({"services": before}, {"services": after})
    if module.check_mode:
        return {"changed": True, "services": before, "diff": told}
    daemon.post("maintenance", on=on, service=given["target"], reason=given["reason"])

    def look():
        now = _modes(daemon, given["target"])
        return now if all((mode == "maintenance") is on for mode in now.values()) else None

    return {"changed": True, "services": wait_until(look, SETTLE_S, "maintenance is not so everywhere"), "diff": told}


def _modes(daemon, target):
    return {name: view["mode"] for name, view in daemon.get("status", service=target)["services"].items()}


def _mode(mode, on):
    return "maintenance" if on else "adopted" if mode == "maintenance" else mode


if __name__ == "__main__":
    main()
