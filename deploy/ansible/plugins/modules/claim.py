#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Hold the pool that may be deployed to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: claim
short_description: Hold the pool of a service that may be deployed to
description:
  - Asks lbctl which pool of a service may be deployed to, holds it, and returns its colour once it is safe - no user
    reaches it, and what its servers call through a pin is refused, on every load balancer, now and after a reload.
  - Until its release the new version sees no provider. Check its C(/healthz) alone.
  - A claim takes what the service had on the board off it again.
options:
  service:
    description: The service.
    type: str
    required: true
  state:
    description:
      - V(present) holds the pool. V(absent) gives the claim of O(build) back, or without one the user's own - its
        deployment failed and has ended, so the next build need not wait for the end of the claim. The claim of another
        build is refused.
    type: str
    choices: [present, absent]
    default: present
  unit:
    description: The unit that it will be said ready for. A wrong one is refused here, not only after the deployment.
    type: str
  build:
    description:
      - The build that is to be deployed, as it will be given to M(lbctl.core.ready). It holds the claim - another build
        is refused, here and by M(lbctl.core.ready). Without it the claim is shared by all that the user starts.
      - If it is on the board already, or went with a release, nothing is claimed and RV(needed) is false. That makes a
        whole playbook repeatable.
    type: str
  wait:
    description:
      - Wait until the pool may be deployed to, also for the end of a release that uses it, for an old pool of a
        consumer that may still call it, and for another build that holds it.
    type: bool
    default: true
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
seealso:
  - module: lbctl.core.ready
"""

EXAMPLES = r"""
- name: Hold the idle pool of accounts
  lbctl.core.claim:
    service: accounts
    build: "{{ build_url }}"
    reason: "{{ build_url }}"
  register: claim

- name: Deploy to it
  ansible.builtin.include_role: {name: accounts}
  vars: {accounts_colour: "{{ claim.colour }}"}
  when: claim.needed

- name: Give it back where the deployment failed
  lbctl.core.claim:
    service: accounts
    build: "{{ build_url }}"
    state: absent
"""

RETURN = r"""
needed:
  description: Whether there is anything to deploy; false if O(build) was said to be ready before.
  returned: always
  type: bool
  sample: true
colour:
  description: The pool that may be deployed to. None where nothing is needed, and in check mode where it would be
    waited for.
  returned: always
  type: str
  sample: green
granted:
  description: Whether it may be deployed to now.
  returned: always
  type: bool
  sample: true
fate:
  description: What became of the build, if O(build) is known already.
  returned: where nothing is needed
  type: dict
  sample: {word: released, release: "42"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import OPTIONS, Daemon, Problem, shown, wait_until

SETTLED = ("waiting", "released")
WAITED_FOR = ("in_release", "still_called", "claimed", "sessions_kept")
"""Refusals that end when others go on."""


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        service={"type": "str", "required": True},
        state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        unit={"type": "str"},
        build={"type": "str"},
        wait={"type": "bool", "default": True},
        timeout={"type": "int", "default": 3600},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(argument_spec=options, supports_check_mode=True)
    try:
        absent = module.params["state"] == "absent"
        module.exit_json(**(_given_back if absent else _claimed)(module, Daemon(module.params["socket"])))
    except Problem as problem:
        problem.fail(module)


def _claimed(module, daemon):
    given = module.params
    fate = daemon.fate(given["build"]) if given["build"] else None
    if fate is not None and fate["word"] in SETTLED:
        return {"changed": False, "needed": False, "colour": None, "granted": False, "fate": fate}
    before = daemon.service(given["service"])
    held, parked = before["claim"], before["board"]
    told = shown(_brief(held, parked), {"claimed": None, "board": None})
    asked = _tried(given, daemon) if module.check_mode else _ask(given, daemon)
    if asked is None:
        return {"changed": True, "needed": True, "colour": None, "granted": False, "diff": told}
    if asked["already"]:
        return dict(_granted(module, daemon, asked["colour"]), changed=False, needed=True)
    told["after"]["claimed"] = asked["colour"]
    if asked.get("superseded"):
        told["after"]["superseded"] = "release {}".format(asked["superseded"])
    found = {"colour": asked["colour"], "granted": False} if module.check_mode else None
    found = found or _granted(module, daemon, asked["colour"])
    return dict(found, changed=True, needed=True, diff=told)


def _given_back(module, daemon):
    given = module.params
    body = {key: given[key] for key in ("build", "reason")}
    said = daemon.post("services", given["service"], "give-back", dry_run=module.check_mode, **body)
    told = shown({"claimed": said["colour"]}, {"claimed": None})
    return {"changed": said["given_back"], "needed": False, "colour": None, "granted": False, "diff": told}


def _post(given, daemon, **more):
    keys = ("build", "unit", "reason")
    return daemon.post("services", given["service"], "claim", **dict({key: given[key] for key in keys}, **more))


def _ask(given, daemon):
    """Claim; what ends when others go on is waited for."""
    last = {}

    def look():
        try:
            return _post(given, daemon)
        except Problem as problem:
            if problem.code not in WAITED_FOR or not given["wait"]:
                raise
            last["problem"] = problem
            return None

    try:
        return wait_until(look, given["timeout"], "it waits")
    except Problem as problem:
        if problem.code != "timed_out" or "problem" not in last:
            raise
        why = last["problem"]
        then = f"{why.then}; where that is another team's, ask them"
        raise Problem(why.what, "after {} s: {}".format(given["timeout"], why.why), then, why.code, 22) from None


def _tried(given, daemon):
    """Return what a claim would be answered with; None where it would be waited for."""
    try:
        return _post(given, daemon, dry_run=True)
    except Problem as problem:
        if problem.code not in WAITED_FOR or not given["wait"]:
            raise
        return None


def _granted(module, daemon, colour):
    given = module.params
    if module.check_mode or not given["wait"]:
        claim = daemon.service(given["service"])["claim"]
        return {"colour": colour, "granted": bool(claim and claim["granted"])}

    def look():
        claim = daemon.service(given["service"])["claim"]
        if claim is None:
            raise Problem(
                "the claim of {} ended while it was waited for".format(given["service"]), then="claim it again"
            )
        return claim if claim["granted"] else None

    claim = wait_until(look, given["timeout"], "no pool of {} is granted".format(given["service"]))
    return {"colour": claim["colour"], "granted": True}


def _brief(held, parked):
    claimed = None if held is None else held["colour"]
    return {"claimed": claimed, "board": None if parked is None else parked["version"]}


if __name__ == "__main__":
    main()
