#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Start driving a service."""

from __future__ import annotations

DOCUMENTATION = r"""
module: adopt
short_description: Start driving a service
description:
  - Until it is adopted lbctl only observes a service. Somebody who knows says which of its pools serves now, and
    what runs there.
  - A service that is adopted already is left alone, whatever is active by now.
options:
  service:
    description: The service.
    type: str
    required: true
  active:
    description: The pool that serves now.
    type: str
    choices: [blue, green]
    required: true
  version:
    description: What runs there.
    type: str
    default: unknown
  provides:
    description: What that version offers its consumers, as V(accounts-api=1); several are a set.
    type: list
    elements: str
    default: []
  requires:
    description: What it needs of its providers, as V(accounts-api<2).
    type: list
    elements: str
    default: []
  settle:
    description: Bring all new traffic to that pool first.
    type: bool
    default: false
  timeout:
    description: How many seconds to wait until the load balancers can be read.
    type: int
    default: 30
  reason:
    description: Why, for people. It is stored and told.
    type: str
    default: ""
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
"""

EXAMPLES = r"""
- name: Blue serves accounts now
  lbctl.core.adopt:
    service: accounts
    active: blue
    version: 1.9.3
    provides: [accounts-api=1]
"""

RETURN = r"""
active:
  description: The pool that is active now.
  returned: always
  type: str
  sample: blue
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem, shown, wait_until


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        service={"type": "str", "required": True},
        active={"type": "str", "choices": ["blue", "green"], "required": True},
        version={"type": "str", "default": "unknown"},
        provides={"type": "list", "elements": "str", "default": []},
        requires={"type": "list", "elements": "str", "default": []},
        settle={"type": "bool", "default": False},
        timeout={"type": "int", "default": 30},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    daemon = Daemon(module.params["socket"])
    try:
        module.exit_json(**_adopted(module, daemon))
    except Problem as problem:
        problem.fail(module)


def _adopted(module, daemon):
    given = module.params
    before = daemon.service(given["service"])
    if before["active"] is not None:
        return {"changed": False, "active": before["active"]}
    told = shown({"active": None}, {"active": given["active"], "version": given["version"]})
    if not module.check_mode:
        keys = ("active", "version", "provides", "requires", "settle", "reason")
        body = {key: given[key] for key in keys}

        def look():
            try:
                return daemon.post("services", given["service"], "adopt", **body)
            except Problem as problem:
                if problem.code != "unreachable" or problem.exit_code == 3:
                    raise
                return None

        said = wait_until(look, given["timeout"], "the load balancers of {} cannot be read".format(given["service"]))
        if said.get("warning"):
            module.warn(said["warning"])
    return {"changed": True, "active": given["active"], "diff": told}


if __name__ == "__main__":
    main()
