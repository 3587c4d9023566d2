"""The number of each kind of event in systemd's journal: `journalctl -x` finds by it what lbctl.catalog says of it.

Derived from the kind's name, so that it stays as long as the name does, and two kinds never share one.
"""

from uuid import UUID, uuid5

from lbctl.model.entry import Kind

OURS = UUID("9b0f2b83-e162-48ee-baf3-67b34330ba93")
"""Never changed: every number is made from it."""

MESSAGE_IDS: dict[str, str] = {kind.value: uuid5(OURS, kind.value).hex for kind in Kind}
