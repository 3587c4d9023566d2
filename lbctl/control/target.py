"""Which release a target means: a number, or a service or unit: its running or last one. Pure."""

from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]
ENDED = frozenset({"finished", "rolled_back", "cancelled"})


def chosen(releases: Sequence[Json], target: str) -> Json | None:
    """Return the release that `target` means among those of the record, None if there is none."""
    fitting = [one for one in releases if target in names_of(one)]
    return max(fitting, key=lambda one: (one["phase"] not in ENDED, int(one["id"])), default=None)


def names_of(release: Json) -> set[str]:
    """Return everything that a release can be called by."""
    members = {str(one["service"]) for one in release["members"]}
    return {str(release["id"]), str(release["unit"] or release["service"]), *members}
