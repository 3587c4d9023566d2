#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Open a freeze window, or remove it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: freeze
short_description: Open or remove a freeze window of lbctl
description:
  - While a freeze window is open no release starts and none goes forward. Going back is always possible.
  - Windows that come back every week belong into the config of lbctl. This module is for those that people make.
options:
  name:
    description: What the window is called. One of that name is changed.
    type: str
    required: true
  target:
    description: A service, with the unit that it belongs to, or a unit; without it, all.
    type: str
  until:
    description: When it ends, as V(2026-12-20 18:00). Without it, when it is removed.
    type: str
    default: ""
  zone:
    description: Whose time O(until) is, as V(Europe/Berlin).
    type: str
    default: UTC
  reason:
    description: Why, for people. It is stored and told.
    type: str
    default: ""
  state:
    description: V(present) opens the window now, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
"""

EXAMPLES = r"""
- name: Nothing new while the sale is on
  lbctl.core.freeze:
    name: sale
    target: shop
    until: "2026-11-30 06:00"
    zone: Europe/Berlin
    reason: Black Friday

- name: The sale is over early
  lbctl.core.freeze:
    name: sale
    state: absent
"""

RETURN = r"""
window:
  description: The window as lbctl has it; V(null) where there is none. In check mode as it was before.
  returned: always
  type: dict
  sample:
    name: sale
    source: person
    target: shop
    services: [accounts, storefront]
    open: true
    over: false
    from: ""
    until: "2026-11-30 06:00"
    zone: Europe/Berlin
    days: []
    reason: Black Friday
    by: root (0)
    since: "2026-11-20T10:00:00.000Z"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem, shown

COMPARED = ("target", "until", "zone", "reason")


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        name={"type": "str", "required": True},
        target={"type": "str"},
        until={"type": "str", "default": ""},
        zone={"type": "str", "default": "UTC"},
        reason={"type": "str", "default": ""},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
    )
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    daemon = Daemon(module.params["socket"])
    try:
        module.exit_json(**_set(module, daemon))
    except Problem as problem:
        problem.fail(module)


def _set(module, daemon):
    given = module.params
    there = _window(daemon, given["name"])
    before = None if there is None else {key: there[key] for key in COMPARED}
    after = {key: given[key] for key in COMPARED} if given["state"] == "present" else None
    if before == after:
        return {"changed": False, "window": there}
    told = shown({given["name"]: before}, {given["name"]: after})
    if module.check_mode:
        return {"changed": True, "window": there, "diff": told}
    if after is None:
        daemon.post("freezes", "remove", name=given["name"], reason=given["reason"])
    else:
        asked = {key: given[key] for key in ("until", "zone", "reason")}
        daemon.post("freezes", name=given["name"], service=given["target"], **asked)
    return {"changed": True, "window": _window(daemon, given["name"]), "diff": told}


def _window(daemon, name):
    return next((one for one in daemon.get("freezes")["windows"] if one["name"] == name), None)


if __name__ == "__main__":
    main()
