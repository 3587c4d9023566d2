#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Put a version on the board of its unit, or take it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ready
short_description: Say that a version is deployed and may go, or take that back
description:
  - Puts a version on the board of its unit. As soon as it fits what the other services have there, and nothing else of
    the unit is released, lbctl cuts a release and moves traffic. Saying the same again changes nothing.
options:
  service:
    description: The service.
    type: str
    required: true
  unit:
    description: The unit that it is released with. A service in no unit is a unit of its own name.
    type: str
  version:
    description: What was deployed. Needed to say that it is ready.
    type: str
  build:
    description:
      - The address of the build, without blanks. Needed to say that it is ready; M(lbctl.core.release)
        follows it by this.
      - With O(state=absent), only what this build said is taken back.
    type: str
  provides:
    description: What the version offers its consumers, as V(accounts-api=2); several are a set.
    type: list
    elements: str
    default: []
  requires:
    description: What it needs of its providers, as V(accounts-api>=1,<3).
    type: list
    elements: str
    default: []
  state:
    description: V(present) says ready, V(absent) takes it back. A release that runs is not touched.
    type: str
    choices: [present, absent]
    default: present
  reason:
    description: Why, for people. It is stored and told.
    type: str
    default: ""
extends_documentation_fragment: [lbctl.core.control]
author: The lbctl maintainers (@lbctl)
seealso:
  - module: lbctl.core.claim
  - module: lbctl.core.release
"""

EXAMPLES = r"""
- name: Accounts 2.0.0 may go
  lbctl.core.ready:
    service: accounts
    unit: shop
    version: 2.0.0
    build: "{{ build_url }}"
    provides: [accounts-api=2]

- name: It may not after all
  lbctl.core.ready:
    service: accounts
    unit: shop
    build: "{{ build_url }}"
    state: absent
"""

RETURN = r"""
claim_needed:
  description:
    - Whether it would be refused as things are, because the service has no claim that is granted. In a play the claim
      comes before it, and check mode makes none.
  returned: in check mode, where something would change
  type: bool
  sample: false
fate:
  description: What became of the build. C(word) is waiting, released, superseded, withdrawn or refused.
  returned: when O(build) is given and O(state=present), except in check mode
  type: dict
  sample: {word: waiting, text: "waiting for storefront: 5.0.1 requires accounts-api <2", release: null}
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem, shown

REQUIREMENT = re.compile(r"\s*([a-z0-9][a-z0-9._-]*)\s*(.*)")


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        service={"type": "str", "required": True},
        unit={"type": "str"},
        version={"type": "str"},
        build={"type": "str"},
        provides={"type": "list", "elements": "str", "default": []},
        requires={"type": "list", "elements": "str", "default": []},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(
        argument_spec=options,
        supports_check_mode=True,
        required_if=[("state", "present", ("version", "build"))],
    )
    daemon = Daemon(module.params["socket"])
    try:
        absent = module.params["state"] == "absent"
        module.exit_json(**(_withdrawn if absent else _said)(module, daemon))
    except Problem as problem:
        problem.fail(module)


def _said(module, daemon):
    given = module.params
    fate = daemon.fate(given["build"])
    if fate is not None and fate["word"] == "released":
        return {"changed": False, "fate": fate}
    parked = daemon.service(given["service"])["board"]
    want = _record(given["version"], given["build"], _promised(given["provides"]), _required(given["requires"]))
    have = None if parked is None else _of_board(parked)
    if have == want:
        return {"changed": False, "fate": fate}
    told = shown({"board": have}, {"board": want})
    body = {key: given[key] for key in ("version", "build", "provides", "requires", "reason")}
    body["unit"] = given["unit"] or given["service"]
    if module.check_mode:
        return dict(_tried(daemon, given["service"], body), changed=True, diff=told)
    said = daemon.post("services", given["service"], "ready", **body)
    if said.get("warning"):
        module.warn(said["warning"])
    return {"changed": True, "diff": told, "fate": daemon.fate(given["build"])}


def _tried(daemon, service, body):
    """Return whether a claim is missing: it comes before this in a play, and check mode makes none."""
    try:
        daemon.post("services", service, "ready", dry_run=True, **body)
    except Problem as problem:
        if problem.code != "not_claimed":
            raise
        return {"claim_needed": True}
    return {"claim_needed": False}


def _withdrawn(module, daemon):
    given = module.params
    parked = daemon.service(given["service"])["board"]
    if parked is None or given["build"] not in (None, parked["build"]):
        return {"changed": False}
    told = shown({"board": _of_board(parked)}, {"board": None})
    if not module.check_mode:
        unit = given["unit"] or given["service"]
        daemon.post("services", given["service"], "withdraw", unit=unit, reason=given["reason"])
    return {"changed": True, "diff": told}


def _of_board(parked):
    requires = {name: _conditions(text) for name, text in parked["requires"].items()}
    return _record(parked["version"], parked["build"], parked["provides"], requires)


def _record(version, build, provides, requires):
    return {
        "version": version,
        "build": build,
        "provides": {name: sorted(set(numbers)) for name, numbers in provides.items()},
        "requires": requires,
    }


def _promised(provides):
    """Return the numbers by name; what cannot be read is left to the daemon to refuse."""
    found = {}
    for text in provides:
        name, number = [part.strip() for part in text.partition("=")[::2]]
        found.setdefault(name, []).append(int(number) if number.isdigit() else number)
    return found


def _required(requires):
    """Return the sorted conditions by name; several texts of one name are one requirement."""
    found = {}
    for text in requires:
        match = REQUIREMENT.match(text)
        name, rest = match.groups() if match else (text, "")
        found.setdefault(name, []).append(rest)
    return {name: _conditions(",".join(parts)) for name, parts in found.items()}


def _conditions(text):
    return sorted({"".join(part.split()) for part in text.split(",")})


if __name__ == "__main__":
    main()
