# Copyright: the lbctl maintainers
# SPDX-License-Identifier: Apache-2.0
"""What all modules have in common, for their documentation."""

from __future__ import annotations


class ModuleDocFragment:
    """The control socket, and the attributes of every module."""

    DOCUMENTATION = r"""
options:
  socket:
    description:
      - The control socket of the C(lbctld) on this host.
      - The user of the task needs a role there, see C(access) in the config of lbctl.
    type: path
    default: /run/lbctl/control.sock
attributes:
  check_mode:
    description: Says what would change and changes nothing.
    support: full
  diff_mode:
    description: Shows what changes.
    support: full
"""
