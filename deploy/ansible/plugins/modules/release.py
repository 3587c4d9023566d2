#!/usr/bin/python
# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""Follow a release, start one, pause it, take it back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: release
short_description: Follow a release, start one, pause it, or take it back
description:
  - Waits until a build, or the release of a service or unit, has come to a point. Waiting changes nothing; a task
    that is interrupted only stops waiting.
  - With O(version) or O(versions) it also starts the release, if these versions are not active or on their way.
  - Steps, holds and the way back by itself are lbctl's; no play takes part in them.
options:
  target:
    description: A service, a unit or the number of a release.
    type: str
  build:
    description: Instead of O(target), a build that was said to be ready. It is followed on the board, too.
    type: str
  version:
    description: Of a single service, the version in its other pool that is to be released.
    type: str
  versions:
    description: Of a unit, the version of each of its services.
    type: dict
  state:
    description:
      - V(present) - it is there, or was started. V(started) - the candidate has its first traffic. V(baked) - it was
        proved at 100 %. V(finished) - the old pool was released, too.
      - V(paused), V(resumed), V(rolled_back), V(cancelled) say what a running release is to be. V(resumed) also clears
        latched holds. V(rolled_back) waits until it is read back everywhere.
    type: str
    choices: [present, started, baked, finished, paused, resumed, rolled_back, cancelled]
    default: baked
  timeout:
    description: How many seconds to wait at most.
    type: int
    default: 14400
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
- name: Follow what was said to be ready
  lbctl.core.release:
    build: "{{ build_url }}"
    state: baked

- name: Release a unit by hand, from pools that were claimed and deployed to
  lbctl.core.release:
    target: shop
    versions: {accounts: 2.0.0, storefront: 5.1.0}
    reason: the spring collection

- name: Back
  lbctl.core.release:
    target: shop
    state: rolled_back
    reason: wrong prices
"""

RETURN = r"""
release:
  description: The release as it is now. None where there is none.
  returned: always
  type: dict
  sample: {id: "42", phase: draining, unit: shop, baked: true}
fate:
  description: What became of the build.
  returned: when O(build) is given
  type: dict
  sample: {word: released, release: "42"}
exit_code:
  description:
    - On failure, what C(lbctl) would exit with - 20 it went back by itself, 21 a person took it back, 22 time-out while
      it runs, 23 time-out while it waits for approval, 25 superseded by a newer build, 26 time-out while it waits for
      its partner.
  returned: failure
  type: int
  sample: 20
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lbctl.core.plugins.module_utils.control import (
    ENDED,
    OPTIONS,
    Daemon,
    Problem,
    shown,
    wait_until,
)

GOALS = {
    "started": ("shifting", "baking", "draining", "retiring", "finished"),
    "baked": ("draining", "retiring", "finished"),
    "finished": ("finished",),
}
LEFT = {"superseded": 25, "withdrawn": 21, "refused": 5}
BACK = ("rolling_back", "rolled_back", "cancelled")
RESUMABLE = {"paused", "latched", "token"}
"""Holds that `resume` ends."""
STEERS = {"paused": "pause", "resumed": "resume", "rolled_back": "rollback", "cancelled": "cancel"}


def main():
    """Run the module."""
    options = dict(
        OPTIONS,
        target={"type": "str"},
        build={"type": "str"},
        version={"type": "str"},
        versions={"type": "dict"},
        state={"type": "str", "choices": ["present", *list(GOALS), *list(STEERS)], "default": "baked"},
        timeout={"type": "int", "default": 14400},
        reason={"type": "str", "default": ""},
    )
    module = AnsibleModule(
        argument_spec=options,
        supports_check_mode=True,
        required_one_of=[("target", "build")],
        mutually_exclusive=[("target", "build"), ("version", "versions"), ("build", "version"), ("build", "versions")],
    )
    daemon = Daemon(module.params["socket"])
    try:
        module.exit_json(**_done(module, daemon))
    except Problem as problem:
        problem.fail(module)


def _done(module, daemon):
    state = module.params["state"]
    if module.params["build"]:
        return _of_build(module, daemon)
    if state in STEERS:
        return _steered(module, daemon, module.params["target"])
    started = _started(module, daemon)
    if state == "present" or module.check_mode:
        return started
    release = started["release"]
    if release is None:
        raise Problem("{} had no release yet".format(module.params["target"]), code="no_such_release", exit_code=7)
    return dict(started, release=_reached(module, daemon, release["id"]))


def _of_build(module, daemon):
    given, last = module.params, {}
    fate = daemon.fate(given["build"])
    if fate is None and not module.check_mode:
        raise Problem("nobody said that build {} is ready".format(given["build"]), code="no_such_build", exit_code=7)
    if module.check_mode and (fate is None or given["state"] not in STEERS):
        release = daemon.release(fate["release"]) if fate and fate["release"] else None
        return {"changed": False, "fate": fate, "release": release}

    def look():
        last.update(daemon.fate(given["build"]))
        return None if last["word"] == "waiting" else last

    try:
        fate = look() if given["state"] in STEERS else wait_until(look, given["timeout"], "it still waits")
    except Problem as problem:
        if problem.code != "timed_out":
            raise
        raise Problem(
            "build {} still waits".format(given["build"]), last["text"], code="waiting", exit_code=26
        ) from None
    if fate is None or fate["word"] in LEFT:
        word = "waiting" if fate is None else fate["word"]
        raise Problem(
            "build {} is {}".format(given["build"], word), last["text"], code=word, exit_code=LEFT.get(word, 26)
        )
    if given["state"] in STEERS:
        return dict(_steered(module, daemon, fate["release"]), fate=fate)
    if given["state"] == "present":
        return {"changed": False, "fate": fate, "release": daemon.release(fate["release"])}
    return {"changed": False, "fate": fate, "release": _reached(module, daemon, fate["release"])}


def _started(module, daemon):
    """Start the release if it is asked for and neither runs nor is over."""
    given = module.params
    known = daemon.release(given["target"])
    if not given["version"] and not given["versions"]:
        return {"changed": False, "release": known}
    views = daemon.get("status", service=given["target"])["services"]
    want = dict.fromkeys(views, given["version"]) if given["version"] else given["versions"]
    serves = {name: (view["pools"].get(view["active"]) or {}).get("version") for name, view in views.items()}
    runs = known is not None and known["phase"] not in ENDED + BACK
    going = {one["service"]: one["version"] for one in known["members"]} if runs else {}
    if want in (going, {name: serves.get(name) for name in want}):
        return {"changed": False, "release": known}
    told = shown({"serves": serves}, {"serves": dict(serves, **want)})
    if module.check_mode:
        return {"changed": True, "release": known, "diff": told}
    body = {
        "service": given["target"],
        "version": given["version"],
        "versions": given["versions"],
        "reason": given["reason"],
    }
    number = daemon.post("releases", **body)["release"]
    return {"changed": True, "release": daemon.release(number), "diff": told}


def _steered(module, daemon, target):
    given = module.params
    release = daemon.release(target)
    wish = given["state"]
    settled = release is None or release["phase"] in ("rolled_back", "cancelled") or _is_so(daemon, release, wish)
    if settled:
        return {"changed": False, "release": release}
    told = shown({"phase": release["phase"]}, {"phase": wish})
    if module.check_mode:
        _possible(release, wish)
        return {"changed": True, "release": release, "diff": told}
    if release["phase"] != "rolling_back":
        daemon.post("releases", release["id"], STEERS[wish], reason=given["reason"])
    if wish in ("rolled_back", "cancelled"):
        release = wait_until(lambda: _over(daemon, release["id"]), given["timeout"], "it is not read back everywhere")
    else:
        release = daemon.release(release["id"])
    return {"changed": True, "release": release, "diff": told}


def _possible(release, wish):
    """Refuse in check mode what the daemon would: what is over, or cannot go back any more."""
    number, phase = release["id"], release["phase"]
    then = "lbctl undo {}".format(release["unit"] or release["service"])
    if phase == "finished":
        raise Problem(f"release {number} has ended: finished", release["outcome"], then, "ended", 5)
    if phase == "retiring" and wish in ("rolled_back", "cancelled"):
        what = f"release {number} cannot go back by a rollback any more"
        raise Problem(what, "an old pool is certified as unused", then, "retiring", 5)
    if phase == "rolling_back" and wish in ("paused", "resumed"):
        raise Problem(f"release {number} is going back", "", f"lbctl why {number}", "going_back", 5)


def _is_so(daemon, release, wish):
    """Whether a pause is there, or is not. A release that is over can be neither."""
    if wish not in ("paused", "resumed"):
        return False
    holds = [] if release["phase"] in ENDED else [one["code"] for one in release.get("holds", [])]
    return ("paused" in holds) if wish == "paused" else not RESUMABLE.intersection(holds)


def _over(daemon, number):
    release = daemon.release(number)
    return release if release["phase"] in ENDED else None


def _reached(module, daemon, number):
    """Return the release once it has come to the wished point. Raises `Problem` where it ended elsewhere."""
    given = module.params
    goal = given["state"]

    def look():
        release = daemon.release(number)
        if release["phase"] in GOALS[goal]:
            return release
        if goal != "finished" and release["baked"] and release["phase"] not in BACK:
            return release
        if release["phase"] in ("rolled_back", "cancelled"):
            itself = release["phase"] == "rolled_back" and release["back_by"] == "itself"
            what = "went back by itself: a new version is worse" if itself else "was taken back or cancelled"
            then = f"lbctl explain {number}"
            raise Problem(f"release {number} {what}", release["reason"], then, release["phase"], 20 if itself else 21)
        return None

    try:
        return wait_until(look, given["timeout"], f"release {number} still runs")
    except Problem as problem:
        if problem.code != "timed_out" or daemon.release(number)["phase"] != "awaiting_approval":
            raise
        then = f"lbctl release approve {number}"
        raise Problem(f"release {number} waits for approval", "", then, "awaiting_approval", 23) from None


if __name__ == "__main__":
    main()
